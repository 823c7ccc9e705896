import functools
import sys

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import set_random_seed
from tiny import toy_dataset_cfg

import sr4ir_mm  # noqa: F401  (applies compat before anything else)


@pytest.fixture(autouse=True)
def seed():
    """What a test draws is the same in every run of it."""
    set_random_seed(0)


@pytest.fixture(scope='session')
def toy_root(tmp_path_factory):
    """Toy scenes: 8 images for training, 4 for validation, 64x64."""
    from sr4ir_mm.datasets.toy_scenes import write_toy_scenes

    root = tmp_path_factory.mktemp('toy_scenes')
    write_toy_scenes(root, num_train=8, num_val=4, size=(64, 64))
    return root


@pytest.fixture
def task():
    """What a test is about; parametrize it to cover other tasks."""
    return 'seg'


@pytest.fixture
def toy_dataset(toy_root, task):
    """Config of the training split, with random crops and flips."""
    return toy_dataset_cfg(task, toy_root)


@pytest.fixture
def float64(monkeypatch):
    """Compute in double precision also where mmdet or torchvision insists on
    float32, and by torchvision's NMS: mmcv's has no double precision on the
    CPU."""
    from torchvision.models.detection import transform
    from torchvision.ops import nms

    from sr4ir_mm.models import TorchvisionAnchorGenerator

    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)
    bce = F.binary_cross_entropy_with_logits
    monkeypatch.setattr(
        F,
        'binary_cross_entropy_with_logits',
        lambda x, y, *args, **kwargs: bce(x, y.to(x), *args, **kwargs),
    )
    monkeypatch.setattr(
        TorchvisionAnchorGenerator,
        'grid_priors',
        functools.partialmethod(
            TorchvisionAnchorGenerator.grid_priors, dtype=torch.float64
        ),
    )
    monkeypatch.setattr(
        transform,
        'resize_boxes',
        lambda boxes, old, new: (
            boxes * boxes.new_tensor([new[1] / old[1], new[0] / old[0]] * 2)
        ),
    )
    monkeypatch.setattr(
        sys.modules['mmcv.ops.nms'].ext_module,
        'nms',
        lambda boxes, scores, iou_threshold, offset: nms(
            boxes, scores, iou_threshold
        ),
    )
