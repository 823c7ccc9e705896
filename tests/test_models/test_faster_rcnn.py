"""The paper's detector, against torchvision's, which the authors use."""

import copy
import sys

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from reference import build_faster_rcnn
from torchvision.ops import FrozenBatchNorm2d, box_iou

from sr4ir_mm.models import TorchvisionMobileNetV3
from sr4ir_mm.registry import MODELS

pytest.importorskip('mmdet')
from mmdet.structures import DetDataSample  # noqa: E402

sys.path.insert(0, 'tools/model_converters')
import official_to_sr4ir_mm as converter  # noqa: E402

to_mmdet = converter.faster_rcnn_to_ours
to_torchvision = converter.faster_rcnn_to_theirs
CONFIG = 'configs/_base_/models/faster-rcnn_mobilenet-v3.py'

# One batch of 384x416, of which neither image fills both sides, with enough
# cells (12x13, 6x7) that every limit on the number of proposals applies.
SIZES = [(370, 333), (350, 411)]
LOSSES = dict(
    loss_objectness='loss_rpn_cls',
    loss_rpn_box_reg='loss_rpn_bbox',
    loss_classifier='loss_cls',
    loss_box_reg='loss_bbox',
)


def build_ours():
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIG).detector
    cfg.backbone.init_cfg = None
    return MODELS.build(cfg)


def build_theirs():
    return build_faster_rcnn(num_classes=21, min_size=333)


def standardize(layer, std):
    """Scale the weights of ``layer`` so that its next outputs have mean 0 and
    deviation ``std`` in each channel."""

    def hook(layer, inputs, output):
        handle.remove()
        dims = (0, 2, 3)[: output.dim() - 1]
        layer.bias.sub_(output.mean(dims))
        scale = std / output.std(dims)
        layer.bias.mul_(scale)
        layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
        return layer(*inputs)

    handle = layer.register_forward_hook(hook)


@pytest.fixture(scope='module')
def theirs():
    """With as many and as different proposals and detections as a trained
    one, some of them clamped, clipped, or too small."""
    torch.manual_seed(0)
    model = build_theirs().double().eval()
    for name, buffer in model.backbone.named_buffers():
        around = 0 if name.endswith(('mean', 'bias')) else 1
        buffer.uniform_(around - 0.2, around + 0.2)
    standardize(model.rpn.head.cls_logits, 2)
    anchor_deltas = torch.full((15, 4), 0.5)
    anchor_deltas[::10, 2] = 8  # widths beyond the clamps
    standardize(model.rpn.head.bbox_pred, anchor_deltas.flatten())
    standardize(model.roi_heads.box_head.fc6, 1)
    standardize(model.roi_heads.box_head.fc7, 1)
    standardize(model.roi_heads.box_predictor.cls_score, 2.5)
    box_deltas = torch.full((21, 4), 5.0)
    box_deltas[::4, 2] = 25
    standardize(model.roi_heads.box_predictor.bbox_pred, box_deltas.flatten())
    with torch.no_grad():
        model(images())
    return model


@pytest.fixture(scope='module')
def ours(theirs):
    model = build_ours().double().eval()
    model.load_state_dict(to_mmdet(theirs.state_dict()))
    return model


def images():
    """RGB in [0, 1], smooth."""
    generator = torch.Generator().manual_seed(1)
    return [
        F.interpolate(
            torch.rand(1, 3, 12, 12, generator=generator).double(),
            size=size,
            mode='bicubic',
        )[0].clamp(0, 1)
        for size in SIZES
    ]


def targets():
    """The first image has two objects with the same best anchor, and one that
    no anchor overlaps by much."""
    boxes = [
        [[96, 96, 224, 224], [100, 100, 220, 220], [300, 20, 308, 200]],
        [[100, 60, 400, 300], [10, 200, 90, 340], [200, 30, 260, 90]],
    ]
    return [
        dict(
            boxes=torch.tensor(b, dtype=torch.float64),
            labels=torch.tensor(labels),
        )
        for b, labels in zip(boxes, [[1, 20, 7], [3, 3, 12]])
    ]


def mmdet_batch(batch, targets=None):
    """mmdet's arguments for a batch that torchvision has normalised, resized
    and padded."""
    samples = []
    for i, (h, w) in enumerate(batch.image_sizes):
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(h, w),
                ori_shape=SIZES[i],
                pad_shape=(-(-h // 32) * 32, -(-w // 32) * 32),
                scale_factor=(w / SIZES[i][1], h / SIZES[i][0]),
            )
        )
        if targets is not None:
            sample.gt_instances = InstanceData(
                bboxes=targets[i]['boxes'], labels=targets[i]['labels'] - 1
            )
        samples.append(sample)
    return batch.tensors, samples


def assert_same(actual, expected, tol=1e-9):
    torch.testing.assert_close(actual, expected, rtol=tol, atol=tol)


def test_parameters():
    def count(model):
        params = list(model.parameters())
        trained = [p for p in params if p.requires_grad]
        return [sum(p.numel() for p in ps) for ps in (params, trained)]

    assert count(build_theirs()) == [19_027_604, 18_968_708]
    assert count(build_ours().train()) == [19_023_504, 18_964_608]


def test_only_what_torchvision_trains_moves(theirs, ours):
    frozen = {k for k, p in theirs.named_parameters() if not p.requires_grad}
    assert {k.split('.')[2] for k in frozen} == set('0123456')
    names = converter.faster_rcnn_names(set(theirs.state_dict()))
    ours.train()
    assert {k for k, p in ours.named_parameters() if not p.requires_grad} == {
        names[k] for k in frozen
    }
    before = copy.deepcopy(ours.backbone.state_dict())
    ours.backbone(torch.rand(2, 3, 64, 64).double())
    assert_same(ours.backbone.state_dict(), before, tol=0)
    ours.eval()


def test_starts_like_torchvision():
    ours = build_ours()
    ours.init_weights()
    weights = ours.state_dict()
    for name, value in to_mmdet(build_theirs().state_dict()).items():
        # The deviation of few random numbers is random itself.
        if value.numel() >= 1000 or value.std() == 0:
            torch.testing.assert_close(
                weights[name].std(), value.std(), rtol=0.1, atol=0, msg=name
            )


def test_frozen_norm_loads_weights_with_batch_norm(tmp_path):
    trained = TorchvisionMobileNetV3()
    torch.nn.init.normal_(trained.features[0][1].running_mean)
    path = str(tmp_path / 'mobilenet_v3_large.pth')
    torch.save(trained.state_dict(), path)
    backbone = TorchvisionMobileNetV3(
        frozen_norm=True, init_cfg=dict(type='Pretrained', checkpoint=path)
    )
    backbone.init_weights()
    weights = backbone.state_dict()
    assert weights and all(
        torch.equal(v, trained.state_dict()[k]) for k, v in weights.items()
    )
    norms = [m for m in backbone.modules() if 'Norm2d' in type(m).__name__]
    assert {(type(m), m.eps) for m in norms} == {(FrozenBatchNorm2d, 1e-5)}


def test_converts_there_and_back(theirs):
    expected = copy.deepcopy(theirs.state_dict())
    converted = to_torchvision(to_mmdet(expected))
    for name in ('weight', 'bias'):
        expected[f'roi_heads.box_predictor.bbox_pred.{name}'][:4] = 0
    assert_same(converted, dict(expected), tol=0)


def test_converts_names_of_old_torchvision(theirs):
    state_dict = theirs.state_dict()
    old = {
        k.replace('conv.0.0.', 'conv.').replace('s.0.0.', 's.0.')
        if k.startswith(('rpn', 'backbone.fpn.'))
        else k: v
        for k, v in state_dict.items()
    }
    old = {
        k.replace('s.1.0.', 's.1.') if 'fpn' in k else k: v
        for k, v in old.items()
    }
    assert old.keys() != state_dict.keys()
    assert_same(to_mmdet(old), to_mmdet(state_dict), tol=0)


@torch.no_grad()
def test_features_and_proposals_are_the_same(theirs, ours, float64):
    batch, scaled = theirs.transform(images(), targets())
    inputs, samples = mmdet_batch(batch)
    maps = theirs.backbone(batch.tensors)
    assert list(maps) == ['0', '1', 'pool']
    features = ours.extract_feat(inputs)
    assert_same(list(features), list(maps.values()))

    for training, cfg in (
        (True, ours.train_cfg.rpn_proposal),
        (False, ours.test_cfg.rpn),
    ):
        proposals, _ = theirs.rpn.train(training)(batch, maps, scaled)
        results = ours.rpn_head.predict_by_feat(
            *ours.rpn_head(features),
            batch_img_metas=[sample.metainfo for sample in samples],
            cfg=cfg,
        )
        assert_same([r.bboxes for r in results], proposals)
        # In case that there are fewer.
        assert cfg.max_per_img == theirs.rpn.post_nms_top_n()


@torch.no_grad()
def test_detections_are_the_same(theirs, ours, float64):
    theirs, ours = copy.deepcopy(theirs).eval(), copy.deepcopy(ours).eval()
    # So that the limit of the proposals' scores applies, not of their number.
    theirs.rpn.head.cls_logits.bias -= 4
    ours.rpn_head.rpn_cls.bias -= 4
    batch, _ = theirs.transform(images())
    maps = theirs.backbone(batch.tensors)
    proposals, _ = theirs.rpn(batch, maps)
    assert all(0 < len(p) < 1000 for p in proposals)
    expected, _ = theirs.roi_heads(maps, proposals, batch.image_sizes)
    assert [len(e['boxes']) for e in expected] == [100, 100]
    assert all(len(e['labels'].unique()) > 5 for e in expected)
    predicted = ours.predict(*mmdet_batch(batch), rescale=False)
    for sample, detections in zip(predicted, expected):
        assert_detects(sample, detections)


def assert_detects(sample, detections, tol=1e-9):
    ours = sample.pred_instances
    assert_same(ours.labels + 1, detections['labels'])
    assert_same(ours.scores, detections['scores'], tol)
    assert_same(ours.bboxes, detections['boxes'], tol)


@torch.no_grad()
def test_predicts_the_same_with_the_operators_of_mmcv(theirs, ours):
    """And in the original image. In float32, a pair of boxes just at the
    threshold of NMS may change what comes after it."""
    theirs, ours = (copy.deepcopy(m).eval().float() for m in (theirs, ours))
    data = [image.float() for image in images()]
    batch, _ = theirs.transform(data)
    predicted = ours.predict(*mmdet_batch(batch))
    for sample, expected in zip(predicted, theirs(data)):
        found = sample.pred_instances
        same = (
            (found.labels[:, None] + 1 == expected['labels'])
            & torch.isclose(found.scores[:, None], expected['scores'], 1e-3)
            & (box_iou(found.bboxes, expected['boxes']) > 0.999)
        )
        assert same.any(dim=1).sum() >= 90


def test_preprocesses_the_same(theirs, ours):
    image = torch.randint(0, 256, (3, *SIZES[0]), dtype=torch.uint8)
    batch, _ = theirs.transform([image.double() / 255])
    data = dict(
        inputs=[image.flip(0)],  # BGR
        data_samples=[DetDataSample(metainfo=dict(img_shape=SIZES[0]))],
    )
    inputs = ours.data_preprocessor(data)['inputs']
    assert_same(inputs.double(), batch.tensors, tol=1e-5)


def test_trains_on_images_without_objects(theirs, ours):
    ours = copy.deepcopy(ours).float().train()
    batch, _ = theirs.transform([image.float() for image in images()])
    empty = dict(boxes=torch.zeros(0, 4), labels=torch.zeros(0).long())
    losses = ours.loss(*mmdet_batch(batch, [empty, empty]))
    total, logged = ours.parse_losses(losses)
    assert torch.isfinite(total)
    assert logged['loss_bbox'] == logged['loss_rpn_bbox'] == 0


def test_losses_and_gradients_are_the_same(theirs, ours, float64, monkeypatch):
    # Both samplers then take the first of what they may take.
    monkeypatch.setattr(torch, 'randperm', torch.arange)
    theirs.train(), ours.train()
    expected = theirs(images(), targets())
    batch, scaled = theirs.transform(images(), targets())
    losses = ours.loss(*mmdet_batch(batch, scaled))
    total, logged = ours.parse_losses(losses)
    for name, value in expected.items():
        assert_same(logged[LOSSES[name]], value.detach())

    sum(expected.values()).backward()
    total.backward()
    gradients = {
        k: p.grad for k, p in theirs.named_parameters() if p.requires_grad
    }
    expected = to_mmdet({**theirs.state_dict(), **gradients})
    actual = {k: p.grad for k, p in ours.named_parameters() if p.requires_grad}
    assert_same(actual, {k: expected[k] for k in actual}, tol=1e-7)
