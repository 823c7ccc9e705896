"""How hard each loss of the SR network pulls at the SR image: ``python
tools/analysis_tools/gradient_ratio.py CONFIG [CHECKPOINT]``.

For some training batches, prints the norm of the gradient of each loss with
respect to the SR image, its ratio to the pixel loss's, and the cosine of the
angle between both. A task-driven loss with a ratio far below 1 changes
nothing, one far above 1 leaves nothing of the pixel loss.
"""

from __future__ import annotations

import argparse
from statistics import mean
from typing import TYPE_CHECKING, Dict, Tuple

from sr4ir_mm.cli import add_cfg_options, add_debug

if TYPE_CHECKING:
    from torch import Tensor

    from sr4ir_mm.models.phase import Phase
    from sr4ir_mm.models.views import Views


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Gradients of the losses at the SR image'
    )
    parser.add_argument('config')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='of a training (default: the networks as they start)',
    )
    parser.add_argument('--batches', type=int, default=10)
    add_cfg_options(parser, 'override settings of the config')
    add_debug(parser)
    return parser.parse_args()


def gradients(model, phase: Phase, views: Views) -> Dict[str, Tensor]:
    """Gradient of each loss of a phase at the SR image, by its name."""
    import torch

    found = {}
    with model.in_phase(phase, views):
        sr = views['sr']
        for loss in phase.losses:
            values = loss(model, views)
            total = sum(v for k, v in values.items() if 'loss' in k)
            (gradient,) = torch.autograd.grad(total, sr, retain_graph=True)
            found[type(loss).__name__] = gradient
    return found


def compare(gradient: Tensor, pixel: Tensor) -> Tuple[float, float, float]:
    """Norm, its ratio to the pixel loss's, and the cosine between both."""
    norm, reference = gradient.norm(), pixel.norm()
    cosine = (gradient * pixel).sum() / (norm * reference)
    return norm.item(), (norm / reference).item(), cosine.item()


def measure(model, loader, batches: int) -> Dict[str, list]:
    """Means over batches of what :func:`compare` returns, by loss.

    Raises:
        ValueError: If no phase compares SR images with HR images.
    """
    from sr4ir_mm.models.losses import PixelLoss

    phases = [
        phase
        for phase in model.phases
        if any(isinstance(loss, PixelLoss) for loss in phase.losses)
    ]
    if not phases:
        raise ValueError('model.phases: no phase has a PixelLoss.')
    rows = {}
    for _, batch in zip(range(batches), loader):
        found = gradients(model, phases[-1], model.make_views(batch))
        for name, gradient in found.items():
            figures = compare(gradient, found['PixelLoss'])
            rows.setdefault(name, []).append(figures)
    return {name: list(map(mean, zip(*row))) for name, row in rows.items()}


def report(args: argparse.Namespace) -> None:
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner, load_checkpoint, set_random_seed

    from sr4ir_mm.config_files import merge_options, read_config_file
    from sr4ir_mm.registry import MODELS

    cfg = read_config_file(args.config)
    merge_options(cfg, args.cfg_options)
    init_default_scope(cfg.default_scope)
    set_random_seed(0)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if args.checkpoint:
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    print(f'{"loss":16} {"gradient":>10} {"ratio":>8} {"cosine":>7}')
    for name, row in measure(model, loader, args.batches).items():
        norm, ratio, cosine = row
        print(f'{name:16} {norm:10.2e} {ratio:8.3f} {cosine:7.3f}')


def main() -> None:
    args = parse_args()
    from sr4ir_mm.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        report(args)


if __name__ == '__main__':
    main()
