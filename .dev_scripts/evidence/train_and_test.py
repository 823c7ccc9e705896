"""One run of ``run_table.py``: train, test, and write what came out to
``results.json`` in the working directory."""

import argparse
import os
import os.path as osp
import time
from contextlib import suppress
from typing import Dict

import mmengine
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from sr4ir_mm.cli import add_common_args, load_config, load_network
from sr4ir_mm.engine.contract import NothingLeftError
from sr4ir_mm.engine.run_folder import find_checkpoints
from sr4ir_mm.evaluation.sr_benchmarks import evaluate_sr_benchmarks
from sr4ir_mm.models.degradations import GaussianNoise


def test_over_noise(runner: Runner) -> Dict[str, dict]:
    """Metrics by the variance of the noise on LR images, RGB in [0, 1]."""
    metrics = {}
    for variance in runner.cfg.noise:
        for step in runner.model.modules():
            if isinstance(step, GaussianNoise):
                step.std = 255 * variance**0.5
        metrics[f'{variance:g}'] = runner.test()
    return metrics


def test_on_sr_benchmarks(runner: Runner) -> Dict[str, float]:
    """Metrics of the SR network alone; none if it is as random as at the
    start."""
    model = getattr(runner.model, 'module', runner.model)
    if 'sr_net' not in runner.cfg.weights:
        if model.sr_net.init_cfg is None:
            return {}
        model.sr_net.init_weights()
    model.eval()
    device = next(model.parameters()).device
    scores = evaluate_sr_benchmarks(
        lambda lr: model.sr_net(lr.to(device)),
        runner.cfg.sr_benchmarks,
        model.scale,
    )
    return {f'sr/{name}': score for name, score in scores.items()}


def test(runner: Runner) -> dict:
    """Metrics, as the table needs them."""
    if 'sr_benchmarks' in runner.cfg and 'weights' in runner.cfg:
        return test_on_sr_benchmarks(runner)
    if 'noise' in runner.cfg:
        return test_over_noise(runner)
    return runner.test()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_args(parser)
    cfg = load_config(parser.parse_args())
    start = time.time()
    cfg.resume = bool(find_checkpoints(cfg.work_dir))
    if cfg.resume or 'weights' in cfg:
        cfg.load_from = None  # mmengine would take it instead
    runner = RUNNERS.build(cfg)
    if 'weights' in cfg:
        for name, checkpoint in cfg.weights.items():
            load_network(runner.model, name, checkpoint)
    else:
        with suppress(NothingLeftError):  # it died in the test
            runner.train()
    metrics = test(runner)
    if is_main_process():
        path = osp.join(cfg.work_dir, 'results.json')
        results = dict(metrics=metrics, seconds=time.time() - start)
        mmengine.dump(results, f'{path}.part', file_format='json')
        os.replace(f'{path}.part', path)


if __name__ == '__main__':
    main()
