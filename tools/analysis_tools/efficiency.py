"""Parameters, FLOPs, memory and speed of a model, as in the paper's table S3.

Counted is what predicting from the model's ``view`` takes: the SR network for
``sr``, and the task network. FLOPs are twice the multiply-adds, as in the
paper, of convolutions, matrix products, BatchNorm, pooling and bilinear
resizing; activations, element-wise sums and the degradation are left out. The
time contains all of it, from the 8-bit HR image to the prediction.
"""

import argparse
import time
from importlib import import_module
from typing import Dict, Tuple

import torch
import torch.nn as nn
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from torch import Tensor

from sr4ir_mm.cli import add_cfg_options, add_debug
from sr4ir_mm.config_files import merge_options, read_config_file
from sr4ir_mm.mistakes import one_sentence
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


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        default=(480, 480),
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the HR image (default: 480 480)',
    )
    parser.add_argument(
        '--device', default=get_device(), help='default: the best there is'
    )
    parser.add_argument(
        '--num-images', type=int, default=50, help='how many to time'
    )
    add_cfg_options(
        parser,
        'override settings of the config, e.g. model.view=bilinear '
        'model.sr_net=None',
    )
    add_debug(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace) -> None:
    cfg = read_config_file(args.config)
    merge_options(cfg, args.cfg_options)
    model, shape = build_model(cfg), tuple(args.shape)
    result = count(model, shape)
    result.update(
        time_inference(model.to(args.device), shape, args.num_images)
    )
    height, width = shape
    memory = 'n/a (CUDA only)'
    if 'memory_allocated' in result:
        memory = (
            f'{result["memory_allocated"]:.0f} MB in tensors, '
            f'{result["memory_reserved"]:.0f} MB held'
        )
    print(
        f'view        {model.view}, {height}x{width} on {args.device}\n'
        f'parameters  {result["mparams"]:.1f} M\n'
        f'compute     {result["gflops"]:.1f} GFLOPs'
        f' + {result["gflops_auxiliary"]:.1f} in auxiliary heads\n'
        f'memory      {memory}\n'
        f'throughput  {result["images_per_second"]:.1f} images/s'
    )


def main() -> None:
    args = parse_args()
    with one_sentence(debug=args.debug):
        measure(args)


if __name__ == '__main__':
    main()
