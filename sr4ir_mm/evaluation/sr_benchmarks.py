"""The benchmarks of the SR literature, in its protocol.

LR is made by MATLAB's bicubic, which antialiases; all images have 8 bits; PSNR
and SSIM are of the Y channel of MATLAB's ``rgb2ycbcr``, without a border of
``scale`` pixels.
"""

import os.path as osp
from typing import Callable, Dict, Iterator

import numpy as np
import torch
from mmcv.image import imread
from mmengine.evaluator import Evaluator
from mmengine.utils import scandir
from torch import Tensor

from sr4ir_mm.registry import require_package
from sr4ir_mm.utils.bands import PICTURES

from .metrics import SRPSNR, SRSSIM

SETS = ('Set5', 'Set14', 'B100', 'Urban100')
SUFFIXES = ('.png', '.bmp', '.jpg', '.jpeg', '.tif', '.tiff')


def matlab_resize(image: Tensor, factor: float) -> Tensor:
    """MATLAB's ``imresize(image, factor)`` of an 8-bit image: bicubic with
    antialiasing and mirrored borders, rounded to 8 bits.

    Args:
        image (Tensor): RGB in [0, 1], (N, 3, h, w).
        factor (float): Above 1 enlarges.

    Returns:
        Tensor: RGB in [0, 1], 8-bit levels, (N, 3, h * factor, w * factor).
    """
    require_package('resize_right', "MATLAB's bicubic", 'resize-right')
    from resize_right import resize

    array = image.double().cpu().numpy()
    array = resize(array, (1, 1, factor, factor), pad_mode='symmetric')
    return PICTURES.quantize(torch.from_numpy(array).to(image))


def read_hr(folder: str, scale: int) -> Iterator[Tensor]:
    """The images of a benchmark, in the order of their names, cut to
    multiples of ``scale``: RGB in [0, 1], (1, 3, H, W).

    They lie in ``folder`` itself or in its subfolder ``HR``.

    Raises:
        FileNotFoundError: If there are none.
    """
    if osp.isdir(osp.join(folder, 'HR')):
        folder = osp.join(folder, 'HR')
    names = []
    if osp.isdir(folder):
        names = sorted(scandir(folder, SUFFIXES, case_sensitive=False))
    if not names:
        raise FileNotFoundError(
            f'There is no image ({", ".join(SUFFIXES)}) in {folder}: put the '
            'HR images of the benchmark there, or into its subfolder HR.'
        )
    for name in names:
        image = imread(osp.join(folder, name), channel_order='rgb')
        height, width = (side // scale * scale for side in image.shape[:2])
        image = np.ascontiguousarray(image[:height, :width])
        yield torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def evaluate_sr_benchmarks(
    upscale: Callable[[Tensor], Tensor], data_root: str, scale: int
) -> Dict[str, float]:
    """Score what enlarges images, on the benchmarks that are there.

    Args:
        upscale (Callable): RGB in [0, 1], 8-bit levels, (1, 3, h, w) -> RGB
            around [0, 1], ``scale`` times larger; an SR network in eval mode,
            for example.
        data_root (str): Has the folders ``Set5``, ``Set14``, ``B100`` and
            ``Urban100``, or some of them.
        scale (int): Factor between LR and HR.

    Returns:
        dict: ``Set5/PSNR`` in dB, ``Set5/SSIM`` and so on, means over images.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in one.
    """
    folders = {name: osp.join(data_root, name) for name in SETS}
    folders = {k: path for k, path in folders.items() if osp.isdir(path)}
    if not folders:
        raise FileNotFoundError(
            f'{data_root} has none of the folders {", ".join(SETS)}: put the '
            "benchmarks' HR images there."
        )
    scores = {}
    for name, folder in folders.items():
        result = evaluate_upscaling(upscale, folder, scale)
        scores.update({f'{name}/{k}': v for k, v in result.items()})
    return scores


@torch.no_grad()
def evaluate_upscaling(
    upscale: Callable[[Tensor], Tensor], folder: str, scale: int
) -> Dict[str, float]:
    """Score what enlarges images on one benchmark.

    Args:
        upscale (Callable): RGB in [0, 1], (1, 3, h, w), 8-bit levels ->
            RGB around [0, 1], ``scale`` times larger; an SR network in eval
            mode, for example.
        folder (str): Has the HR images, see :func:`read_hr`.
        scale (int): Factor between LR and HR.

    Returns:
        dict: ``PSNR`` in dB and ``SSIM``, means over the images.
    """
    protocol = dict(crop_border=scale, color_space='y')
    metrics = [SRPSNR(**protocol), SRSSIM(**protocol)]
    evaluator = Evaluator(metrics)
    num_images = 0
    for hr in read_hr(folder, scale):
        sr = upscale(matlab_resize(hr, 1 / scale)).cpu()
        evaluator.process([dict(pred_img=sr[0], gt_img=hr[0])])
        num_images += 1
    scores = evaluator.evaluate(num_images)
    return {name.split('/')[1]: score for name, score in scores.items()}
