"""A page to try models on: ``python tools/demo_app.py CHECKPOINT ...``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Dict, Tuple

from sr4ir_mm.cli import add_debug

if TYPE_CHECKING:
    import numpy as np

    from sr4ir_mm.apis import SRInferencer


LR, HR = 'LR, as it is', 'HR, degraded first'
MAX_WORDS = 8


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='A page to try models on: drop an image, see LR, SR and '
        'what is predicted'
    )
    parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='CHECKPOINT',
        help='or an ONNX file of `sr4ir export`',
    )
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
    add_debug(parser)
    return parser.parse_args()


def answer(
    inferencer: SRInferencer,
    path: str,
    hr: bool,
    threshold: float,
    max_pixels: float,
) -> Tuple[np.ndarray, np.ndarray, np.ndarray, Dict[str, float]]:
    """What the page shows of an upload; see :func:`predict`.

    Raises:
        ValueError: If it is no image, or its SR image would be too large,
            which its header tells: nothing is decoded before.
    """
    width, height = measure(inferencer, path)
    scale = 1 if hr else inferencer.scale
    num_pixels = height * width * scale**2
    if num_pixels > max_pixels:
        raise ValueError(
            f'The SR image would have {num_pixels / 1e6:.1f} million pixels, '
            f'{max_pixels / 1e6:.1f} are allowed: take a smaller one, or '
            'restart with --max-pixels.'
        )
    return predict(inferencer, path, hr, threshold)


def measure(inferencer: SRInferencer, path: str) -> Tuple[int, int]:
    """Width and height of an upload, by its header.

    Raises:
        ValueError: If the model reads no such file.
    """
    from PIL import Image, UnidentifiedImageError

    from sr4ir_mm.utils.rasters import open_raster

    if inferencer.takes_rasters:
        with open_raster(path) as raster:
            return raster.width, raster.height
    try:
        with Image.open(path) as image:
            return image.size
    except UnidentifiedImageError:
        raise ValueError(
            'This is no image that the page can read: take a PNG or JPEG.'
        ) from None
    except Image.DecompressionBombError as error:
        raise ValueError(f'{error}') from None


def predict(
    inferencer: SRInferencer, path: str, hr: bool, threshold: float
) -> Tuple[np.ndarray, np.ndarray, np.ndarray, Dict[str, float]]:
    """LR, SR and drawing (RGB, uint8, (h, w, 3)) of an image file, and what is
    predicted, in words."""
    (result,) = inferencer.stream(
        path, hr=hr, return_vis=True, pred_score_thr=threshold
    )
    classes = inferencer.dataset_meta.get('classes') or []
    words = to_words(result['prediction'], classes, threshold)
    return result['lr'], result['sr'], result['visualization'], words


def to_words(
    prediction: Any, classes: tuple, threshold: float
) -> Dict[str, float]:
    """Shares of the image, scores of boxes, or probabilities."""
    import numpy as np

    from sr4ir_mm.utils.labels import name_label

    if isinstance(prediction, np.ndarray):
        labels, counts = np.unique(prediction, return_counts=True)
        return {
            name_label(label, classes): count / prediction.size
            for label, count in zip(labels, counts)
        }
    if 'bboxes' in prediction:
        return {
            f'{name_label(label, classes)} ({index})': score
            for index, (label, score) in enumerate(
                zip(prediction['labels'], prediction['scores']), start=1
            )
            if score >= threshold
        }
    scores = prediction['pred_scores'].tolist()
    return {name_label(i, classes): score for i, score in enumerate(scores)}


def build_page(inferencers: Dict[str, SRInferencer], max_pixels: float):
    """The page, a ``gradio.Blocks``."""
    from sr4ir_mm.registry import require_package
    from sr4ir_mm.utils.mistakes import explain

    require_package('gradio', 'tools/demo_app.py')
    import gradio as gr

    def run(path: str, checkpoint: str, kind: str, threshold: float):
        if path is None:
            raise gr.Error('Drop an image first.')
        chosen = inferencers[checkpoint]
        try:
            return answer(chosen, path, kind == HR, threshold, max_pixels)
        except Exception as error:
            raise gr.Error(explain(error)) from error

    names = list(inferencers)
    with gr.Blocks(title='sr4ir_mm', analytics_enabled=False) as page:
        gr.Markdown('# sr4ir_mm: super-resolution for recognition')
        with gr.Row():
            with gr.Column(scale=1):
                rasters = any(by.takes_rasters for by in inferencers.values())
                show = gr.File if rasters else gr.Image  # browsers show few
                image = show(type='filepath', label='image')
                # As it is: gradio would decode it, and answer what it cannot
                # by a bare "Error".
                image.preprocess = lambda upload: upload and upload.path
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
                drawing = gr.Image(
                    label='LR, SR, and what is predicted', format='png'
                )
                with gr.Row():
                    lr = gr.Image(label='LR, to download', format='png')
                    sr = gr.Image(label='SR, to download', format='png')
        button.click(
            run,
            [image, checkpoint, kind, threshold],
            [lr, sr, drawing, words],
        )
    return page


def main() -> None:
    args = parse_args()
    from sr4ir_mm.apis import SRInferencer
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug, status=2):
        inferencers = {
            checkpoint: SRInferencer(
                args.config, checkpoint, args.device, show_progress=False
            )
            for checkpoint in args.checkpoints
        }
        page = build_page(inferencers, args.max_pixels)
        page.launch(server_name=args.host, server_port=args.port)


if __name__ == '__main__':
    main()
