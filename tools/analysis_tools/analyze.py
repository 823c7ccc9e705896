"""What task models see in LR, SR and HR images:
``python tools/analysis_tools/analyze.py tsne|gradcam|spectra CHECKPOINT ...``

tsne     maps of a task model's features of HR and SR images, with PSNR and the
         mean distance of their features (the paper's figure S1)
gradcam  where a task model looks for a class in LR, SR and HR (figure S2)
spectra  which frequencies an SR network brings back: power relative to HR, and
         correlation with it

Images are those of the first checkpoint's config (``test_dataloader``).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Dict, List

from sr4ir_mm.cli import add_checkpoint_args, load_models

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.data import Dataset


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True)
    tsne, gradcam, spectra = (
        commands.add_parser(name) for name in ('tsne', 'gradcam', 'spectra')
    )
    for command in (tsne, gradcam, spectra):
        add_checkpoint_args(command)
        command.add_argument('--out', help='picture to write, *.png')
    for command in (tsne, spectra):
        command.add_argument(
            '--num-images',
            type=int,
            default=200,
            help='evenly spread over the test set (default: 200)',
        )
    tsne.add_argument(
        '--task-model',
        metavar='CHECKPOINT',
        help='look by the task model of this one, in a single map, as the '
        'paper does by that of H -> T (default: each by its own)',
    )
    tsne.add_argument(
        '--tap',
        default=-1,
        type=lambda tap: int(tap) if tap.lstrip('-').isdigit() else tap,
        help='feature map or module of the task model, as TDPLoss.taps '
        '(default: the last map)',
    )
    gradcam.add_argument(
        '--image', default='0', help='number in the test set, or part of path'
    )
    gradcam.add_argument(
        '--class',
        dest='category',
        help="its name (default: the image's largest)",
    )
    gradcam.add_argument(
        '--layer',
        help='module of the task model (default: the last of its backbone)',
    )
    return parser.parse_args()


def spread(dataset: Dataset, number: int) -> List[int]:
    """Indices of images, evenly spread over a data set."""
    import numpy as np

    number = min(number, len(dataset))
    return (
        np.linspace(0, len(dataset) - 1, number).round().astype(int).tolist()
    )


def tsne(args: argparse.Namespace, models: Dict, dataset: Dataset) -> Figure:
    from sr4ir_mm.apis import init_model
    from sr4ir_mm.apis.analysis.features import (
        borrow_task_model,
        collect_features,
        draw_feature_maps,
        embed,
    )

    if args.task_model:
        other = init_model(
            args.task_model, None, args.device, args.cfg_options
        )
        for model in models.values():
            borrow_task_model(model, other)
    indices = spread(dataset, args.num_images)
    pairs = {
        name: collect_features(model, dataset, indices, args.tap)
        for name, model in models.items()
    }
    if args.task_model:  # HR is the same for all
        hr = next(iter(pairs.values())).hr
        hr, *views = embed([hr, *(pair.sr for pair in pairs.values())])
        maps = [(hr, sr) for sr in views]
    else:
        maps = [embed([pair.hr, pair.sr]) for pair in pairs.values()]
    for name, pair in pairs.items():
        print(
            f'{name}: PSNR {pair.psnr:.2f} dB, distance {pair.distance:.3f}, '
            f'{len(indices)} images'
        )
    return draw_feature_maps(dict(zip(pairs, maps)), pairs)


def gradcam(
    args: argparse.Namespace, models: Dict, dataset: Dataset
) -> Figure:
    from sr4ir_mm.apis.analysis.activation_maps import (
        activation_map,
        draw_activation_maps,
        main_class,
    )
    from sr4ir_mm.apis.analysis.comparison import find_images, iterate_views

    (index,) = find_images(dataset, [args.image])
    classes = list(dataset.metainfo['classes'])
    if args.category is not None and args.category not in classes:
        raise SystemExit(
            f'--class {args.category}: expected one of {", ".join(classes)}.'
        )
    rows = {}
    for name, model in models.items():
        (views,) = iterate_views(model, dataset, [index])
        if args.category is None:
            args.category = classes[main_class(model, views)]
        category = classes.index(args.category)
        shown = dict.fromkeys(('bilinear', model.view, 'hr'))
        rows[name] = {
            view: activation_map(model, views, view, category, args.layer)
            for view in shown
        }
    return draw_activation_maps(rows, args.category)


def spectra(
    args: argparse.Namespace, models: Dict, dataset: Dataset
) -> Figure:
    from sr4ir_mm.apis.analysis.spectra import (
        collect_pairs,
        compare_spectra,
        draw_spectra,
    )

    indices = spread(dataset, args.num_images)
    curves = {}
    for name, model in models.items():
        pairs = collect_pairs(model, dataset, indices)
        curves.setdefault('bicubic', compare_spectra(pairs['bicubic']))
        curves[name] = compare_spectra(pairs['view'])
    scale = next(iter(models.values())).scale
    return draw_spectra(curves, scale)


def analyze(args: argparse.Namespace) -> None:
    from sr4ir_mm.apis.analysis.comparison import build_test_set
    from sr4ir_mm.utils.files import whole_file

    models = load_models(args)
    dataset = build_test_set(next(iter(models.values())))
    draw = dict(tsne=tsne, gradcam=gradcam, spectra=spectra)[args.command]
    figure = draw(args, models, dataset)
    out = args.out or f'{args.command}.png'
    with whole_file(out) as part:
        figure.savefig(part, dpi=120)
    print(out)


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        analyze(args)


if __name__ == '__main__':
    main()
