"""A page to try models on: ``python tools/demo_app.py CHECKPOINT ...``."""

import argparse
import os.path as osp
import sys
from typing import Any, Dict, Tuple

import numpy as np

from sr4ir_mm.apis import SRInferencer
from sr4ir_mm.apis.sources import read_image
from sr4ir_mm.registry import require_package

LR, HR = 'LR, as it is', 'HR, degraded first'
MAX_WORDS = 8


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='A page to try models on: drop an image, see LR, SR and '
        'what is predicted'
    )
    parser.add_argument('checkpoints', nargs='+', metavar='CHECKPOINT')
    parser.add_argument(
        '--config', help='config file (default: the one in each checkpoint)'
    )
    parser.add_argument('--device', help='default: the GPU, if there is one')
    parser.add_argument(
        '--max-pixels',
        type=float,
        default=4e6,
        help='refuse images whose SR image has more (default: 4e6)',
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='default: for this machine alone; 0.0.0.0: for everyone',
    )
    parser.add_argument('--port', type=int, default=7860)
    return parser.parse_args()


def predict(
    inferencer: SRInferencer, path: str, hr: bool, threshold: float
) -> Tuple[np.ndarray, np.ndarray, np.ndarray, Dict[str, float]]:
    """LR, SR and drawing (RGB, uint8, (h, w, 3)) of an image file, and what is
    predicted, in words."""
    (result,) = inferencer.stream(
        path, hr=hr, return_vis=True, pred_score_thr=threshold
    )
    classes = inferencer.model.dataset_meta.get('classes') or []
    words = to_words(result['prediction'], classes, threshold)
    return result['lr'], result['sr'], result['visualization'], words


def to_words(
    prediction: Any, classes: tuple, threshold: float
) -> Dict[str, float]:
    """Shares of the image, scores of boxes, or probabilities."""

    def name(label: int) -> str:
        return classes[label] if label < len(classes) else str(label)

    if isinstance(prediction, np.ndarray):
        labels, counts = np.unique(prediction, return_counts=True)
        return {
            name(label): count / prediction.size
            for label, count in zip(labels, counts)
        }
    if 'bboxes' in prediction:
        return {
            f'{name(label)} ({index})': score
            for index, (label, score) in enumerate(
                zip(prediction['labels'], prediction['scores']), start=1
            )
            if score >= threshold
        }
    scores = prediction['pred_scores'].tolist()
    return {name(label): score for label, score in enumerate(scores)}


def build_page(inferencers: Dict[str, SRInferencer], max_pixels: float):
    """The page, a ``gradio.Blocks``."""
    require_package('gradio', 'gradio', 'tools/demo_app.py')
    import gradio as gr

    def run(path: str, checkpoint: str, kind: str, threshold: float):
        inferencer = inferencers[checkpoint]
        if path is None:
            raise gr.Error('Drop an image first.')
        try:
            height, width = read_image(path).shape[:2]
            scale = inferencer.model.scale if kind == LR else 1
            num_pixels = height * width * scale**2
            if num_pixels > max_pixels:
                raise ValueError(
                    f'The SR image would have {num_pixels / 1e6:.1f} million '
                    f'pixels, {max_pixels / 1e6:.1f} are allowed.'
                )
            return predict(inferencer, path, kind == HR, threshold)
        except ValueError as error:
            raise gr.Error(str(error)) from error

    names = list(inferencers)
    with gr.Blocks(title='sr4ir_mm', analytics_enabled=False) as page:
        gr.Markdown('# sr4ir_mm: super-resolution for recognition')
        with gr.Row():
            with gr.Column(scale=1):
                image = gr.Image(type='filepath', label='image')
                checkpoint = gr.Dropdown(names, value=names[0], label='model')
                kind = gr.Radio([LR, HR], value=LR, label='the image is')
                threshold = gr.Slider(
                    0, 1, value=0.3, label='boxes: lowest score'
                )
                button = gr.Button('Predict', variant='primary')
                words = gr.Label(
                    label='share of pixels, score or probability',
                    num_top_classes=MAX_WORDS,
                )
            with gr.Column(scale=3):
                with gr.Row():
                    lr = gr.Image(label='LR', format='png')
                    sr = gr.Image(label='SR', format='png')
                drawing = gr.Image(
                    label='LR | SR with what is predicted', format='png'
                )
        button.click(
            run,
            [image, checkpoint, kind, threshold],
            [lr, sr, drawing, words],
        )
    return page


def main() -> None:
    args = parse_args()
    try:
        inferencers = {
            osp.relpath(checkpoint): SRInferencer(
                args.config, checkpoint, args.device, show_progress=False
            )
            for checkpoint in args.checkpoints
        }
        page = build_page(inferencers, args.max_pixels)
    except (ImportError, OSError, ValueError) as error:
        print(f'demo_app.py: {error}', file=sys.stderr)
        sys.exit(2)
    page.launch(server_name=args.host, server_port=args.port)


if __name__ == '__main__':
    main()
