"""Super-resolve LR images and predict from them: ``python tools/infer.py
INPUTS CHECKPOINT``, ``INPUTS FILE.onnx``, or ``--model NAME``."""

import argparse
import logging
import os
import re
import subprocess
import sys
from typing import List, Tuple

from sr4ir_mm.cli import (
    add_cfg_options,
    add_checkpoint,
    add_debug,
    parse_with_checkpoint,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Super-resolve LR images and predict from them. Exits '
        'with 1 if some of the inputs had to be skipped, and with 2 if '
        'nothing could be done.'
    )
    parser.add_argument(
        'inputs',
        help='image, folder of images or tar shards, pattern '
        '("photos/*.jpg", "shards-{000..009}.tar"), address, video, or a '
        "webcam's index",
    )
    add_checkpoint(parser)
    parser.add_argument(
        '--config', help='config file (default: the one inside the checkpoint)'
    )
    parser.add_argument(
        '--out-dir',
        default='outputs',
        help='folder for vis (LR, SR, predictions), sr and pred',
    )
    parser.add_argument(
        '--hr',
        action='store_true',
        help='the images are HR: degrade them first',
    )
    parser.add_argument(
        '--every',
        type=int,
        default=1,
        metavar='N',
        help='of a video: predict from each N-th frame',
    )
    parser.add_argument(
        '--tile',
        type=int,
        help='for large images: LR pixels per side of what the networks see '
        'at once, e.g. 256',
    )
    parser.add_argument(
        '--bands',
        type=int,
        nargs='+',
        metavar='N',
        help='of a scene (GeoTIFF ...): the bands that the model takes, from '
        '1 on',
    )
    parser.add_argument(
        '--polygons',
        action='store_true',
        help='of a scene: write regions, or masks of objects, as polygons, '
        'too',
    )
    parser.add_argument(
        '--precision',
        choices=['float32', 'bfloat16', 'float16'],
        default='float32',
        help='of the networks, by autocast: less time, slightly other '
        'predictions (default: float32)',
    )
    parser.add_argument(
        '--coordinates',
        choices=['input', 'sr'],
        default='input',
        help='of predictions: those of the image that is given, or of the SR '
        'image',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='images of one size that go through the networks at once',
    )
    parser.add_argument(
        '--pred-score-thr',
        type=float,
        default=0.3,
        help='score from which on boxes are drawn',
    )
    parser.add_argument(
        '--device', help='cpu or cuda; default: the GPU, if there is one'
    )
    parser.add_argument(
        '--show', action='store_true', help='show drawings in a window'
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='leave out images that have a row in OUT_DIR/results.jsonl',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='of dist_infer.sh and slurm_infer.sh: each process takes its '
        'share of the images',
    )
    parser.add_argument('--no-save-vis', action='store_true')
    parser.add_argument('--no-save-sr', action='store_true')
    parser.add_argument('--no-save-pred', action='store_true')
    add_cfg_options(parser, 'override settings of the config')
    add_debug(parser)
    args = parse_with_checkpoint(parser)
    if args.inputs.isdigit():
        args.inputs = int(args.inputs)
    return args


def join(launcher: str) -> Tuple[int, int]:
    """Which process this is, and of how many; it takes a GPU of its own."""
    names = dict(
        pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
        slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    )
    if launcher == 'none':
        return 0, 1
    rank, world, local = (int(os.environ[name]) for name in names[launcher])
    gpus = os.environ.get('CUDA_VISIBLE_DEVICES')
    gpus = _list_gpus(local) if gpus is None else gpus.split(',')
    os.environ['CUDA_VISIBLE_DEVICES'] = gpu = gpus[local % len(gpus)]
    # Slurm may have told each process of its own GPU alone
    too_few = local >= len(gpus) and launcher == 'pytorch'
    if too_few and gpu not in ('', '-1'):
        logging.getLogger('sr4ir_mm').warning(
            'Process %d shares GPU %s with another: this machine has more '
            'processes than GPUs (%d).',
            *(rank, gpu, len(gpus)),
        )
    return rank, world


def _list_gpus(local: int) -> List[str]:
    """Their numbers; of as many as there are processes, if nobody knows."""
    try:
        text = subprocess.check_output(['nvidia-smi', '-L'], text=True)
    except (OSError, subprocess.CalledProcessError):
        text = ''
    num = len(re.findall('^GPU ', text, re.M)) or local + 1
    return list(map(str, range(num)))


def infer(args: argparse.Namespace) -> int:
    share = join(args.launcher)  # before anything looks for GPUs
    from sr4ir_mm.apis.sources import find_inputs
    from sr4ir_mm.utils.rasters import is_raster

    # what is not there is known before a model is loaded
    given = args.inputs
    args.inputs = find_inputs(given, args.every, rasters=True)
    from sr4ir_mm.apis import SRInferencer
    from sr4ir_mm.apis.in_words import InWords

    options = vars(args)
    options.update(share=share)
    del options['launcher']
    inferencer = SRInferencer(
        options.pop('config'),
        options.pop('checkpoint'),
        options.pop('device'),
        tile=options.pop('tile'),
        precision=options.pop('precision'),
        show_progress=share[0] == 0,
        cfg_options=options.pop('cfg_options'),
    )
    if not inferencer.takes_rasters and isinstance(args.inputs, list):
        if any(map(is_raster, args.inputs)):  # no images to this model
            options['inputs'] = given
    classes = inferencer.dataset_meta.get('classes')
    words = InWords(classes, args.pred_score_thr)
    try:
        for result in inferencer.stream(**options):
            words.add(result)
    except KeyboardInterrupt:  # the way to stop a webcam
        print('Interrupted.')
    for line in words.lines():
        print(line)
    before = f', {inferencer.before} before' if inferencer.before else ''
    print(f'{words.number} predicted{before}, see {args.out_dir}')
    for name, reason in inferencer.skipped.items():
        print(f'Skipped {name}: {reason}')
    return 1 if inferencer.skipped else 0


def main() -> None:
    for stream in (sys.stdout, sys.stderr):  # not all can write all names
        stream.reconfigure(errors='backslashreplace')
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=vars(args).pop('debug'), status=2):
        status = infer(args)
    sys.exit(status)


if __name__ == '__main__':
    main()
