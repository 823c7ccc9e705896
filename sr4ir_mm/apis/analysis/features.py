from collections import defaultdict
from textwrap import fill
from typing import Dict, List, NamedTuple, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor
from torch.utils.data import Dataset

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.registry import require_package
from sr4ir_mm.visualization import CELL

from .comparison import iterate_views


class FeaturePairs(NamedTuple):
    """Features of HR images and of what a model makes of their LR copies.

    Args:
        hr (ndarray): (num_images, channels)
        sr (ndarray): Of the view that the model predicts from: the same shape.
        view (str): Which that is.
        psnr (float): Its mean PSNR in dB, RGB of 8 bits.
    """

    hr: np.ndarray
    sr: np.ndarray
    view: str
    psnr: float

    @property
    def distance(self) -> float:
        """Mean Euclidean distance of an image's features to those of HR."""
        return float(np.linalg.norm(self.sr - self.hr, axis=1).mean())


@torch.no_grad()
def collect_features(
    model: SRTaskModel, dataset: Dataset, indices: Sequence[int], tap=-1
) -> FeaturePairs:
    """The task model's features of HR images and of the view that it predicts
    from, averaged over space.

    Args:
        model (SRTaskModel): In eval mode.
        dataset (Dataset): Images, as the model is tested on.
        indices (Sequence[int]): Which of these.
        tap (int | str): A feature map or a module of the task model, see
            :meth:`SRTaskModel.features`. Defaults to the last map.
    """
    if model.view == 'shared':
        raise ValueError(
            "model.view='shared': this task model reads layers of the SR "
            'network, not images, so it has no features of HR.'
        )
    features = defaultdict(list)
    psnr = []
    for views in iterate_views(model, dataset, indices):
        for name in dict.fromkeys(('hr', model.view)):
            (feature,) = model.features(views, name, [tap])
            features[name].append(_average(feature)[0].cpu().numpy())
        hr, sr = (
            model.bands.quantize(views[name]).cpu().numpy()
            for name in ('hr', model.view)
        )
        with np.errstate(divide='ignore'):
            psnr.append(peak_signal_noise_ratio(hr, sr, data_range=1))
    hr, sr = (np.stack(features[name]) for name in ('hr', model.view))
    return FeaturePairs(hr, sr, model.view, float(np.mean(psnr)))


def borrow_task_model(model: SRTaskModel, other: SRTaskModel) -> None:
    """Let a model see by the task model of another: only its SR network, its
    degradation and its view remain."""
    model.task_model = other.task_model
    model.data_preprocessor = other.data_preprocessor


def embed(groups: Sequence[np.ndarray], seed: int = 0) -> List[np.ndarray]:
    """t-SNE of groups of features in one map, by scikit-learn.

    Args:
        groups (Sequence[ndarray]): Each (n, channels).
        seed (int): Random state. Defaults to 0.

    Returns:
        list[ndarray]: Each (n, 2).
    """
    require_package('sklearn', 't-SNE', 'scikit-learn')
    from sklearn.manifold import TSNE

    points = np.concatenate(groups)
    perplexity = min(30.0, (len(points) - 1) / 3)
    mapped = TSNE(perplexity=perplexity, random_state=seed).fit_transform(
        points
    )
    return np.split(mapped, np.cumsum([len(group) for group in groups])[:-1])


def _average(feature: Tensor) -> Tensor:
    """Over space: maps (N, C, h, w), tokens (N, L, C) or vectors (N, C)."""
    if feature.dim() == 4:
        return feature.mean((2, 3))
    return feature.mean(1) if feature.dim() == 3 else feature


def draw_feature_maps(
    maps: Dict[str, Sequence[np.ndarray]], pairs: Dict[str, FeaturePairs]
) -> Figure:
    """Draw t-SNE maps, as the paper's figure S1.

    Args:
        maps (dict): Of each model by name, the places of HR and of SR images:
            arrays (num_images, 2).
        pairs (dict[str, FeaturePairs]): What they are of: PSNR and the
            distance of features go into the corner.
    """
    figure = Figure(
        figsize=(1.2 * CELL * len(maps), 1.2 * CELL + 0.4),
        layout='constrained',
    )
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for ax, (name, (hr, sr)) in zip(axes, maps.items()):
        ax.scatter(*hr.T, s=12, color='tab:orange', alpha=0.7, label='HR')
        pair = pairs[name]
        label = 'SR' if pair.view == 'sr' else f'LR, {pair.view}'
        ax.scatter(*sr.T, s=12, color='tab:blue', alpha=0.7, label=label)
        ax.text(
            *(0.97, 0.03),
            f'PSNR {pair.psnr:.2f} dB\ndistance {pair.distance:.3f}',
            transform=ax.transAxes,
            ha='right',
            fontsize=9,
            bbox=dict(facecolor='white', alpha=0.8, linewidth=0),
        )
        ax.set(title=fill(name, 32), xticks=[], yticks=[])
        ax.margins(y=0.25)  # room for both corners
        ax.legend(loc='upper left', fontsize=9)
    return figure
