"""SR2's comparison: SR networks alone, in sequence and in parallel with a
classifier, over noise levels and training seeds.

.. code-block:: bash

    python tools/benchmark/run_sr2.py work_dirs/sr2 --seeds 0 1 2

Into the folder go, after each run, ``results.csv`` (the columns of
``plot_noise.py``), ``results.md`` (a table, the paper's figures beside) and
``results.png`` (as figures 4, 6 and 10). The same command goes on where it
was interrupted, and does what more seeds or noise levels ask for. Needs
pandas.
"""

import argparse
import os.path as osp
import sys
from glob import glob
from typing import List

import pandas as pd
from mmengine.config import Config, DictAction
from mmengine.fileio import dump, load
from mmengine.runner import Runner, find_latest_checkpoint

from sr4ir_mm.models.degradations import GaussianNoise

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
sys.path.insert(0, osp.join(ROOT, 'tools', 'analysis_tools'))
import plot_noise  # noqa: E402

# Table 1: SSIM on MNIST at noise variance 1e-4, x2 and x4.
PAPER = {
    ('FSRCNN', 'sr'): {2: 0.944, 4: 0.796},
    ('WDSR', 'sr'): {2: 0.950, 4: 0.768},
    ('FSRCNN', 'sr2'): {2: 0.942, 4: 0.828},
    ('WDSR', 'sr2'): {2: 0.959, 4: 0.801},
}


def run(path: str, seed: int, args: argparse.Namespace) -> List[dict]:
    """Train a config and evaluate it, or what of both is left to do; returns
    lines of the CSV file."""
    name = osp.splitext(osp.basename(path))[0]
    folder = osp.join(args.out, name, f'seed_{seed}')
    file = osp.join(folder, 'results.json')
    lines = load(file) if osp.isfile(file) else []
    done = {line['noise'] for line in lines}
    noise = [variance for variance in args.noise if variance not in done]
    if noise:
        runner = train(make_config(path, folder, seed, args))
        form, network, _, scale = name.split('_')
        for variance in noise:
            metrics = evaluate(runner, variance)
            lines.append(
                dict(
                    network=network.upper(),
                    form=form,
                    scale=int(scale[1:]),
                    noise=variance,
                    seed=seed,
                    SSIM=metrics['sr/SSIM'],
                    accuracy=metrics.get('accuracy/top1'),
                )
            )
            dump(lines, file)
    return [line for line in lines if line['noise'] in args.noise]


def make_config(
    path: str, folder: str, seed: int, args: argparse.Namespace
) -> Config:
    cfg = Config.fromfile(path)
    cfg.work_dir, cfg.randomness = folder, dict(seed=seed)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.budget:
        cfg.train_cfg.max_iters = args.budget
        cfg.param_scheduler.milestones = [args.budget // 2]
        cfg.default_hooks.checkpoint.interval = max(1, args.budget // 4)
    cfg.merge_from_dict(args.cfg_options)
    return cfg


def train(cfg: Config) -> Runner:
    """A runner whose training is over, whatever of it there was before."""
    last = find_latest_checkpoint(cfg.work_dir)
    finished = str(last).endswith(f'iter_{cfg.train_cfg.max_iters}.pth')
    if finished:
        cfg.load_from = last
    else:
        cfg.resume = True
    runner = Runner.from_cfg(cfg)
    if not finished:
        runner.train()
    return runner


def evaluate(runner: Runner, variance: float) -> dict:
    """Metrics at a noise variance, RGB in [0, 1], on the LR images."""
    for step in runner.model.degradation.modules():
        if isinstance(step, GaussianNoise):
            step.std = 255 * variance**0.5
    return runner.test()


def write_results(lines: List[dict], out: str) -> None:
    csv = osp.join(out, 'results.csv')
    pd.DataFrame(lines).to_csv(csv, index=False)
    summary = plot_noise.summarize(plot_noise.read_results(csv))
    plot_noise.draw(summary).savefig(osp.join(out, 'results.png'), dpi=150)
    table = [
        '| network | form | scale | noise | SSIM | paper | accuracy, % |',
        '| --- | --- | --- | --- | --- | --- | --- |',
    ]
    for (network, form, scale, noise), row in summary.iterrows():
        paper = PAPER.get((network, form), {}) if noise == 1e-4 else {}
        cells = (
            f'{network} | {form} | x{scale} | {noise:g} | '
            f'{row["SSIM", "mean"]:.3f} | {paper.get(scale, "-")} | '
            f'{row["accuracy", "mean"]:.1f}'.replace('nan', '-')
        )
        table.append(f'| {cells} |')
    with open(osp.join(out, 'results.md'), 'w') as f:
        f.write('\n'.join(table) + '\n')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run SR2's comparison.")
    parser.add_argument('out', help='folder for all that is written')
    parser.add_argument(
        '--configs',
        nargs='+',
        default=sorted(glob(osp.join(ROOT, 'configs/sr2/*_mnist_*.py'))),
        help='of one data set (default: all of MNIST)',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument(
        '--noise',
        nargs='+',
        type=float,
        default=[0, 1e-5, 3.2e-5, 1e-4, 3.2e-4, 1e-3],
        help='variances, RGB in [0, 1]',
    )
    parser.add_argument(
        '--budget', type=int, help="iterations, in place of the configs'"
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settings = dict(budget=args.budget, cfg_options=args.cfg_options)
    file = osp.join(args.out, 'settings.json')
    if osp.isfile(file) and load(file) != settings:
        raise ValueError(
            f'{args.out} has runs with {load(file)}, not {settings}: name '
            'another folder.'
        )
    dump(settings, file)
    lines = []
    for seed in args.seeds:
        for path in args.configs:
            lines += run(path, seed, args)
            write_results(lines, args.out)


if __name__ == '__main__':
    main()
