"""One run of ``run_table.py``: train, test, and write what came out to
``results.json`` in the working directory."""

import argparse
import os.path as osp
import time

import mmengine
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from sr4ir_mm.cli import add_common_args, load_config, load_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_args(parser)
    cfg = load_config(parser.parse_args())
    start = time.time()
    runner = Runner.from_cfg(cfg)
    if 'weights' in cfg:
        for name, checkpoint in cfg.weights.items():
            load_network(runner.model, name, checkpoint)
    else:
        runner.train()
    metrics = runner.test()
    if is_main_process():
        mmengine.dump(
            dict(metrics=metrics, seconds=time.time() - start),
            osp.join(cfg.work_dir, 'results.json'),
        )


if __name__ == '__main__':
    main()
