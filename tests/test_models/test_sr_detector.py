"""What is special about detectors: boxes move with the size of the image."""

import copy

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData
from tiny import DETECTOR, build_model, make_batch, moved, snapshot

from sr4ir_mm.models.views import Views

SIZES = [(53, 71), (90, 47)]
RESIZE = (133, 80)


def build(resize, scale=4, **kwargs):
    sr_net = dict(
        type='sr4ir_mm.EDSRNet',
        in_channels=3,
        out_channels=3,
        mid_channels=4,
        num_blocks=1,
        upscale_factor=scale,
    )
    return build_model(
        'det', resize=resize, scale=scale, sr_net=sr_net, **kwargs
    )


def predict_ground_truth(model, batch):
    """Let the detector return its ground truth, as it sees it: on the image
    that it is given."""

    def predict(inputs, samples, rescale=True):
        for sample in samples:
            h, w = sample.img_shape
            assert inputs.shape[2] >= h and inputs.shape[3] >= w
            truth = sample.gt_instances
            found = InstanceData(
                bboxes=truth.bboxes,
                labels=truth.labels,
                scores=torch.ones(len(truth)),
            )
            assert (found.bboxes[:, 2] <= w).all()
            scale = found.bboxes.new_tensor(sample.scale_factor).repeat(2)
            found.bboxes = found.bboxes / scale
            sample.pred_instances = found
        return samples

    model.task_model.predict = predict
    with torch.no_grad():
        return model.test_step(batch)


@pytest.mark.parametrize('scale', [4, 8])
@pytest.mark.parametrize('resize', [None, RESIZE])
@pytest.mark.parametrize('input_is_lr', [False, True])
def test_ground_truth_has_a_map_of_one(scale, resize, input_is_lr, tmp_path):
    model = build(resize, scale, input_is_lr=input_is_lr).eval()
    batch = make_batch('det', sizes=SIZES)
    truth = copy.deepcopy(batch['data_samples'])
    metric = CocoMetric(metric='bbox', outfile_prefix=str(tmp_path / 'gt'))
    metric.dataset_meta = dict(classes=tuple('abcd'))
    for sample, gt in zip(predict_ground_truth(model, batch), truth):
        torch.testing.assert_close(
            sample.pred_instances.bboxes, gt.gt_instances.bboxes
        )
        assert torch.equal(sample.gt_instances.bboxes, gt.gt_instances.bboxes)
        assert sample.img_shape == gt.ori_shape
        scale_up = scale if input_is_lr else 1
        assert sample.pred_img.shape == (
            3,
            *(side * scale_up for side in gt.ori_shape),
        )
        result = sample.to_dict()
        result['instances'] = [
            dict(bbox=box.tolist(), bbox_label=int(label), ignore_flag=0)
            for box, label in zip(
                gt.gt_instances.bboxes, gt.gt_instances.labels
            )
        ]
        metric.process({}, [result])
    assert metric.evaluate(size=len(SIZES))['coco/bbox_mAP'] == 1.0


def test_micro_batches_are_padded_as_the_batch():
    model = build(RESIZE)
    views = model.make_views(make_batch('det', sizes=SIZES))
    whole = views.task_input('bilinear')
    pieces = [piece.task_input('bilinear') for piece in views.split(1)]
    assert [len(piece) for piece in pieces] == [1, 1]
    assert torch.equal(torch.cat(pieces), whole)


@pytest.mark.parametrize('kind', [BitmapMasks, PolygonMasks])
def test_masks_move_with_the_boxes(kind):
    model = build(RESIZE)
    batch = make_batch('det', sizes=SIZES)
    for sample, (h, w) in zip(batch['data_samples'], SIZES):
        if kind is BitmapMasks:
            masks = np.zeros((1, h, w), np.uint8)
            masks[:, 10:20, 5:25] = 1
        else:
            masks = [[np.array([5.0, 10, 25, 10, 25, 20, 5, 20])]]
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[5.0, 10, 25, 20]]),
            labels=torch.zeros(1).long(),
            masks=kind(masks, h, w),
        )
    views = model.make_views(batch)
    for sample in model.task_samples(views):
        masks = sample.gt_instances.masks
        assert (masks.height, masks.width) == views.task_shape
        boxes = masks.get_bboxes('hbox').tensor
        torch.testing.assert_close(
            boxes, sample.gt_instances.bboxes, rtol=0, atol=1.5
        )


def test_the_detector_sees_images_at_its_own_size():
    model = build(RESIZE)
    views = model.make_views(make_batch('det', sizes=SIZES))
    assert views['sr'].shape == (2, 3, 92, 72)
    assert views.task_sizes == [(80, 107), (133, 69)]
    assert views.task_input('sr').shape == (2, 3, 136, 112)
    assert views.task_input('hr') is views.task_input('hr')


def test_labels_are_resized_once_for_all_views(monkeypatch):
    model = build(RESIZE)
    views = model.make_views(make_batch('det', sizes=SIZES))
    calls = []
    rescale = model.rescale_sample
    monkeypatch.setattr(
        model,
        'rescale_sample',
        lambda *args: calls.append(args) or rescale(*args),
    )
    first, second = model.task_samples(views), model.task_samples(views)
    assert len(calls) == len(SIZES)
    assert first[0] is not second[0]  # mmdet's heads write to them
    assert torch.equal(
        first[0].gt_instances.bboxes, second[0].gt_instances.bboxes
    )


def test_losses_do_not_touch_the_labels():
    model = build(RESIZE)
    views = model.make_views(make_batch('det', sizes=SIZES))
    before = copy.deepcopy(views.data_samples)
    model.task_loss(views, 'hr')
    for old, new in zip(before, views.data_samples):
        assert old.img_shape == new.img_shape
        assert torch.equal(old.gt_instances.bboxes, new.gt_instances.bboxes)


def test_a_second_prediction_replaces_the_first():
    model = build(RESIZE).eval()
    batch = make_batch('det', sizes=SIZES)
    truth = batch['data_samples'][0].gt_instances.bboxes.clone()
    views = model.make_views(batch)
    boxes = []
    with torch.no_grad():
        for view in ('sr', 'hr'):
            samples = model.predict(views, view)
            boxes.append(samples[0].pred_instances.bboxes)
            truth = samples[0].gt_instances.bboxes
            assert torch.equal(
                truth, views.data_samples[0].gt_instances.bboxes
            )
    assert not torch.equal(*boxes)


@pytest.mark.parametrize('resize', [800, (1333, 800, 1)])
def test_resize_is_two_sides(resize):
    with pytest.raises(ValueError, match=r'model\.resize=.* long and short'):
        build(resize)


def test_semantic_maps_follow_the_image():
    """Of panoptic models: the nearest pixel's id, and 255 outside."""
    model = build(RESIZE)
    batch = make_batch('det', sizes=SIZES)
    for sample, (height, width) in zip(batch['data_samples'], SIZES):
        ids = torch.arange(width).expand(1, height, width)
        sample.gt_sem_seg = PixelData(sem_seg=ids.clone())
    views = model.make_views(batch)
    samples = model.task_samples(views)
    for sample, (_, old), (h, w) in zip(samples, SIZES, views.task_sizes):
        ids = sample.gt_sem_seg.sem_seg
        assert ids.shape == (1, *views.task_shape)
        expected = (torch.arange(w) * old / w).floor().long()
        assert torch.equal(ids[0, :h, :w], expected.expand(h, w))
        assert (ids[:, h:] == 255).all() and (ids[:, :, w:] == 255).all()


def test_prediction_does_not_depend_on_the_batch():
    """Two images of different sizes, together and alone."""
    task_model = copy.deepcopy(DETECTOR)
    task_model['neck'].update(start_level=0)
    model = build(RESIZE, task_model=task_model).eval()
    before = snapshot(model)
    batch = make_batch('det', sizes=SIZES)
    alone = {k: v[1:] for k, v in copy.deepcopy(batch).items()}
    with torch.no_grad():
        views = Views(model, **model.data_preprocessor(batch, False))
        together = views.task_input('hr')[1, :, :133, :69]
        views = Views(model, **model.data_preprocessor(alone, False))
        assert torch.equal(views.task_input('hr')[0, :, :133, :69], together)
    assert not moved(model, before)
