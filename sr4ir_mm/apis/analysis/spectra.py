from collections import defaultdict
from typing import Dict, NamedTuple, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from scipy.signal.windows import hann
from torch import Tensor
from torch.utils.data import Dataset

from sr4ir_mm.models.sr_task_model import SRTaskModel

from .comparison import iterate_views


class Spectra(NamedTuple):
    """Of images beside HR, by frequency.

    Args:
        frequency (ndarray): Cycles per pixel, up to 0.5: (num_bins,)
        power (ndarray): Relative to that of HR, in dB.
        correlation (ndarray): With HR, from -1 to 1: the Fourier ring
            correlation. What has power but no correlation is made up.
    """

    frequency: np.ndarray
    power: np.ndarray
    correlation: np.ndarray


def compare_spectra(
    pairs: Sequence[Tuple[Tensor, Tensor]], num_bins: int = 32
) -> Spectra:
    """Radial spectra of images, beside those of HR.

    Args:
        pairs (Sequence[tuple]): Image and HR image: in [0, 1], (C, H, W).
            Sizes may differ from pair to pair.
        num_bins (int): Rings of the frequency plane. Defaults to 32.
    """
    sums = np.zeros((3, num_bins))
    for image, hr in pairs:
        (image, bins), (hr, _) = (_spectrum(x, num_bins) for x in (image, hr))
        inside = bins < num_bins  # the corners are beyond 0.5
        for total, density in zip(
            sums, (abs(image) ** 2, abs(hr) ** 2, (image * hr.conj()).real)
        ):
            total += np.bincount(bins[inside], density[inside], num_bins)
    own, of_hr, common = sums
    eps = np.finfo(float).tiny
    return Spectra(
        (np.arange(num_bins) + 0.5) * 0.5 / num_bins,
        10 * np.log10((own + eps) / (of_hr + eps)),
        common / np.sqrt(own * of_hr + eps),
    )


def collect_pairs(
    model: SRTaskModel, dataset: Dataset, indices: Sequence[int]
) -> Dict[str, list]:
    """Images beside HR, for :func:`compare_spectra`: bicubic enlargement,
    and the view that the model predicts from."""
    pairs = defaultdict(list)
    with torch.no_grad():
        for views in iterate_views(model, dataset, indices):
            (height, width), hr = views.sizes[0], views['hr']
            bicubic = F.interpolate(
                views['lr'], scale_factor=model.scale, mode='bicubic'
            )
            view = 'sr' if model.view == 'shared' else model.view
            for name, image in (('bicubic', bicubic), ('view', views[view])):
                pair = (
                    model.bands.quantize(x[0, :, :height, :width])
                    for x in (image, hr)
                )
                pairs[name].append(tuple(x.cpu() for x in pair))
    return pairs


def _spectrum(image: Tensor, num_bins: int) -> Tuple[np.ndarray, np.ndarray]:
    """In [0, 1], (C, H, W) -> Fourier coefficients of its grey values,
    and the ring that each is in: flat arrays."""
    grey = image.double().mean(0).numpy()
    height, width = grey.shape
    # without a window the borders' jumps fill all frequencies
    window = np.outer(hann(height, sym=False), hann(width, sym=False))
    coefficients = np.fft.fft2((grey - grey.mean()) * window)
    rows, columns = np.fft.fftfreq(height), np.fft.fftfreq(width)
    radius = np.hypot(rows[:, None], columns)
    return coefficients.ravel(), (radius * 2 * num_bins).astype(int).ravel()


def draw_spectra(curves: Dict[str, Spectra], scale: int) -> Figure:
    """Draw power relative to HR, and correlation with it, over frequency.

    Args:
        curves (dict[str, Spectra]): By name.
        scale (int): Beyond 0.5 / scale there is nothing in LR, had it been
            antialiased: a dotted line.
    """
    figure = Figure(figsize=(11, 4), layout='constrained')
    power, correlation = figure.subplots(1, 2)
    for name, curve in curves.items():
        style = dict(color='0.5', ls='--') if name == 'bicubic' else {}
        power.plot(curve.frequency, curve.power, label=name, **style)
        correlation.plot(curve.frequency, curve.correlation, **style)
    power.set(ylabel='power relative to HR, dB')
    correlation.set(ylabel='correlation with HR', ylim=(None, 1.02))
    for ax, best in ((power, 0), (correlation, 1)):
        ax.axhline(best, color='black', lw=0.8)
        ax.axvline(0.5 / scale, color='black', lw=0.8, ls=':')
        ax.set(xlabel='frequency, cycles per pixel of HR', xlim=(0, 0.5))
        ax.grid(alpha=0.3)
    power.legend(fontsize=9)
    return figure
