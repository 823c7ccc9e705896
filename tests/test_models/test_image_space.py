import pytest
import torch
from mmseg.models.data_preprocessor import SegDataPreProcessor
from tiny import build_segmentor, seg_batch

from sr4ir_mm.models.image_space import ImageSpace

NORMALIZED = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


@pytest.mark.parametrize('normalization', [NORMALIZED, {}])
@pytest.mark.parametrize('is_rgb', [True, False])
def test_the_map_is_two_way(normalization, is_rgb):
    preprocessor = SegDataPreProcessor(bgr_to_rgb=is_rgb, **normalization)
    space = ImageSpace(preprocessor, is_rgb)
    bgr = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    inputs = space(dict(inputs=[bgr]))['inputs']
    rgb = space.to_rgb(inputs)
    torch.testing.assert_close(rgb[0] * 255, bgr.flip(0).float())
    torch.testing.assert_close(space.from_rgb(rgb), inputs)


@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_channel_order_is_read_off_the_task_model(bgr_to_rgb):
    import copy

    from tiny import SEGMENTOR

    task_model = copy.deepcopy(SEGMENTOR)
    task_model['data_preprocessor']['bgr_to_rgb'] = bgr_to_rgb
    model = build_segmentor(task_model=task_model)
    batch = seg_batch()
    hr = model.make_views(batch)['hr']
    expected = torch.stack([i.flip(0) for i in batch['inputs']]) / 255
    torch.testing.assert_close(hr, expected)


def test_views_pass_through():
    model = build_segmentor()
    views = model.make_views(seg_batch())
    again = model.data_preprocessor(views, training=True)
    assert again['inputs'] is views
    assert again['data_samples'] is views.data_samples
