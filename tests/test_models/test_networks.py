"""The paper's networks, against torchvision's, which the authors use."""

import pytest
import torch
import torchvision
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from sr4ir_mm.models import DeepLabV3Head, TorchvisionMobileNetV3


def test_backbone_is_torchvisions(tmp_path):
    original = torchvision.models.mobilenet_v3_large(dilated=True).eval()
    path = str(tmp_path / 'mobilenet_v3_large.pth')
    torch.save(original.state_dict(), path)
    backbone = TorchvisionMobileNetV3(
        out_indices=(4, 16),
        dilated=True,
        init_cfg=dict(type='Pretrained', checkpoint=path),
    ).eval()
    backbone.init_weights()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        c2, c5 = backbone(x)
        torch.testing.assert_close(c2, original.features[:5](x))
        torch.testing.assert_close(c5, original.features(x))
    assert c2.shape == (1, 40, 8, 8)
    assert c5.shape == (1, 960, 4, 4)  # output stride 16


def test_frozen_stages():
    backbone = TorchvisionMobileNetV3(frozen_stages=6).train()
    for i, layer in enumerate(backbone.features):
        assert all(p.requires_grad == (i > 6) for p in layer.parameters())
        assert all(m.training == (i > 6) for m in layer.modules())


def test_out_indices_out_of_range():
    with pytest.raises(ValueError, match=r'out_indices=\(17,\).*0\.\.16'):
        TorchvisionMobileNetV3(out_indices=(17,))


def test_head_has_torchvisions_parameters():
    """torchvision: one 1x1, three 3x3 and the pooled branch; 1x1; 3x3."""
    init_default_scope('mmseg')
    head = DeepLabV3Head(
        in_channels=960,
        in_index=0,
        channels=256,
        dilations=(1, 12, 24, 36),
        num_classes=21,
        norm_cfg=dict(type='BN'),
    )
    original = torchvision.models.segmentation.deeplabv3.DeepLabHead(960, 21)

    def shapes(module):
        return sorted(tuple(p.shape) for p in module.parameters())

    assert shapes(head) == shapes(original)
    dropouts = [m.p for m in head.modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts == [0.5]
    assert head.eval()([torch.rand(2, 960, 4, 4)]).shape == (2, 21, 4, 4)


def torchvisions_segmentor():
    return torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    )


@pytest.mark.parametrize(
    'name,original,head,key',
    [
        (
            'deeplabv3_mobilenet-v3',
            torchvisions_segmentor,
            'decode_head',
            'classifier',
        ),
        (
            'deeplabv3_mobilenet-v3',
            torchvisions_segmentor,
            'auxiliary_head',
            'aux_classifier',
        ),
        (
            'resnet18',
            lambda: torchvision.models.resnet18(num_classes=200),
            'head',
            'fc',
        ),
    ],
)
def test_heads_start_and_drop_as_torchvisions(name, original, head, key):
    cfg = Config.fromfile(f'configs/_base_/models/{name}.py').model
    if name == 'resnet18':
        init_default_scope('mmpretrain')
        cfg.task_model.head.num_classes = 200
    else:
        init_default_scope('mmseg')
    ours = MODELS.build(cfg.task_model[head])
    ours.init_weights()
    theirs = getattr(original(), key)

    def spreads(module):
        """Of each shape of weights: few biases are not worth a guess."""
        weights = {}
        for p in module.parameters():
            if p.ndim > 1:
                weights.setdefault(tuple(p.shape), []).append(p.flatten())
        return {k: torch.cat(v).std().item() for k, v in weights.items()}

    assert spreads(ours) == pytest.approx(spreads(theirs), rel=0.1)

    def dropouts(module):
        modules = module.modules()
        return [
            (type(m), m.p)
            for m in modules
            if isinstance(m, torch.nn.modules.dropout._DropoutNd)
        ]

    assert dropouts(ours) == dropouts(theirs)
