"""What a model costs: parameters, FLOPs, memory and speed."""

import time
from importlib import import_module
from typing import Dict, Tuple

import torch
import torch.nn as nn
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from torch import Tensor

from sr4ir_mm.registry import MODELS

DATA_SAMPLES = dict(
    mmseg='SegDataSample', mmdet='DetDataSample', mmpretrain='DataSample'
)


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config for inference, with random weights."""
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    cfg.model.phases = []  # only training needs them and their losses
    return revert_sync_batchnorm(MODELS.build(cfg.model)).eval()


def make_batch(model: nn.Module, shape: Tuple[int, int]) -> dict:
    """One black HR image, as a data loader gives it."""
    structures = import_module(f'{model.toolbox}.structures')
    sample = getattr(structures, DATA_SAMPLES[model.toolbox])(
        metainfo=dict(
            img_shape=shape,
            ori_shape=shape,
            pad_shape=shape,
            scale_factor=(1.0, 1.0),
        )
    )
    image = torch.zeros(3, *shape, dtype=torch.uint8)
    return dict(inputs=[image], data_samples=[sample])


class Traceable(nn.Module):
    """The forward pass of a model, with the data samples given beforehand."""

    def __init__(self, model: nn.Module, data_samples: list) -> None:
        super().__init__()
        self.model = model
        self.data_samples = data_samples

    def forward(self, inputs: Tensor):
        """
        Args:
            inputs (Tensor): HR batch, task-normalised, (N, 3, H, W).
        """
        return self.model(inputs, self.data_samples, mode='tensor')


def count_flops(network: nn.Module, inputs: tuple) -> int:
    """mmengine counts a multiplication and an addition as one."""
    analyzer = FlopAnalyzer(network, inputs)
    analyzer.unsupported_ops_warnings(False)
    analyzer.uncalled_modules_warnings(False)
    analyzer.tracer_warnings('none')
    return 2 * analyzer.total()


def count_auxiliary_flops(model: nn.Module, inputs: Tensor) -> int:
    """Of a batch, task-normalised, (N, 3, H, W); 0 without such heads."""
    heads = getattr(model.task_model, 'auxiliary_head', None)
    if heads is None:
        return 0
    # HR stands for the view, which has its size
    features = model.task_model.extract_feat(inputs)
    heads = heads if isinstance(heads, nn.ModuleList) else [heads]
    return sum(count_flops(head, (features,)) for head in heads)


@torch.no_grad()
def count(model: nn.Module, shape: Tuple[int, int]) -> Dict[str, float]:
    """Count parameters and operations for one HR image of ``shape``.

    ``gflops`` is what inference does. ``gflops_auxiliary`` is what auxiliary
    heads, which mmseg leaves out of it, would add: the authors' network runs
    them in every forward pass, and table S3 contains them.
    """
    data = model.data_preprocessor(make_batch(model, shape))
    inputs, samples = data['inputs'], data['data_samples']
    flops = count_flops(Traceable(model, samples), (inputs,))
    return dict(
        mparams=sum(p.numel() for p in model.parameters()) / 1e6,
        gflops=flops / 1e9,
        gflops_auxiliary=count_auxiliary_flops(model, inputs) / 1e9,
    )


@torch.no_grad()
def time_inference(
    model: nn.Module, shape: Tuple[int, int], num_images: int = 50
) -> Dict[str, float]:
    """Predict from one HR image after the other.

    Returns:
        dict: Images per second; on CUDA also the peak of the memory that
        tensors took, and that PyTorch held for them, in MB.
    """
    batch = make_batch(model, shape)
    cuda = next(model.parameters()).is_cuda

    def predict(times: int) -> float:
        begin = time.perf_counter()
        for _ in range(times):
            model.test_step(batch)
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    predict(max(1, num_images // 10))
    if not cuda:
        return dict(images_per_second=num_images / predict(num_images))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return dict(
        images_per_second=num_images / predict(num_images),
        memory_allocated=torch.cuda.max_memory_allocated() / 2**20,
        memory_reserved=torch.cuda.max_memory_reserved() / 2**20,
    )
