"""SR networks on the benchmarks of the literature."""

import os
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.image import imwrite

from sr4ir_mm.evaluation.sr_benchmarks import (
    evaluate_sr_benchmarks,
    matlab_resize,
    read_hr,
)

pytest.importorskip('resize_right')
DATA = os.environ.get('SR_BENCHMARKS', 'data/sr_benchmarks')


def scene(height, width, seed=0):
    """A smooth colour image with some noise, uint8, (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 3, 4, 4)))
    image = F.interpolate(coarse, size=(height, width), mode='bicubic')
    image = image[0].permute(1, 2, 0).numpy() * 200 + 20
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype('uint8')


def test_matlabs_bicubic():
    """Weights of imresize(x, .5), whose kernel (a = -.5) is stretched over 8
    pixels, and mirrored borders, which leave a plain image plain."""
    impulse = torch.zeros(1, 3, 1, 16)
    impulse[..., 7] = 1
    row = matlab_resize(impulse.expand(-1, -1, 16, -1), 0.5)[0, 0, 4]
    # the kernel at .25 and .75 LR pixels, halved; beyond it is negative
    assert row[3] == pytest.approx(0.43359375, abs=0.5 / 255)
    assert row[4] == pytest.approx(0.11328125, abs=0.5 / 255)
    assert row[[2, 5]].tolist() == [0, 0]
    plain = torch.full((1, 3, 12, 8), 77 / 255)
    assert torch.equal(matlab_resize(plain, 0.25), plain[..., :3, :2])
    assert matlab_resize(plain, 4).shape == (1, 3, 48, 32)


def test_scores_are_of_the_y_channel_inside_of_the_border(tmp_path):
    """Grey images and sides that are no multiples are fine."""
    (tmp_path / 'Set5' / 'HR').mkdir(parents=True)
    images = [scene(50, 43), scene(48, 40, seed=1)[..., 0]]
    for i, image in enumerate(images):
        imwrite(image, str(tmp_path / 'Set5' / 'HR' / f'{i}.png'))
    hr = list(read_hr(str(tmp_path / 'Set5'), scale=4))
    assert [tuple(x.shape) for x in hr] == [(1, 3, 48, 40)] * 2

    upscale = partial(matlab_resize, factor=4)
    scores = evaluate_sr_benchmarks(upscale, str(tmp_path), scale=4)
    assert set(scores) == {'Set5/PSNR', 'Set5/SSIM'}
    assert 0.3 < scores['Set5/SSIM'] < 1

    def luma(image):  # of MATLAB, 8 bits
        red, green, blue = (image[0].numpy().astype(np.float64) * 255).round()
        y = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
        return y.round()[4:-4, 4:-4]

    psnr = []
    for image in hr:
        sr = upscale(matlab_resize(image, 0.25))
        error = np.square(luma(sr) - luma(image)).mean()
        psnr.append(10 * np.log10(255**2 / error))
    assert scores['Set5/PSNR'] == pytest.approx(np.mean(psnr), abs=0.01)


def test_no_images(tmp_path):
    with pytest.raises(FileNotFoundError, match='none of the folders Set5'):
        evaluate_sr_benchmarks(torch.nn.Identity(), str(tmp_path), 4)
    (tmp_path / 'Set14').mkdir()
    with pytest.raises(FileNotFoundError, match='no image .* Set14|Set14'):
        evaluate_sr_benchmarks(torch.nn.Identity(), str(tmp_path), 4)


def test_bicubic_on_set5_is_as_everywhere():
    if not os.path.isdir(os.path.join(DATA, 'Set5')):
        pytest.skip(f'there is no {DATA}/Set5 (SR_BENCHMARKS says where)')
    scores = evaluate_sr_benchmarks(
        partial(matlab_resize, factor=4), DATA, scale=4
    )
    assert scores['Set5/PSNR'] == pytest.approx(28.42, abs=0.05)
    assert scores['Set5/SSIM'] == pytest.approx(0.8104, abs=0.002)
