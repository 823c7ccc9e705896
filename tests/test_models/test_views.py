import pytest
import torch
import torch.nn.functional as F
from tiny import build_segmentor, seg_batch


def test_shapes_for_sides_that_scale_does_not_divide():
    model = build_segmentor()
    views = model.make_views(seg_batch(size=(30, 37)))
    assert views['lr'].shape == (2, 3, 8, 10)
    for name in ('hr', 'bilinear', 'sr', 'cqmix'):
        assert views[name].shape == (2, 3, 30, 37), name


def test_padding_replicates_the_edge_at_the_bottom_and_right():
    model = build_segmentor()
    views = model.make_views(seg_batch(size=(30, 37)))
    padded = F.pad(views['hr'], (0, 3, 0, 2), mode='replicate')
    assert torch.equal(views['lr'], model.degradation(padded))


def test_bilinear_aligns_corners_as_the_authors_do():
    model = build_segmentor()
    views = model.make_views(seg_batch())
    expected = torch.nn.UpsamplingBilinear2d(scale_factor=4)(views['lr'])
    torch.testing.assert_close(views['bilinear'], expected)


def test_each_view_is_made_once_per_phase():
    model = build_segmentor()
    calls = []
    model.sr_net.register_forward_hook(lambda *_: calls.append('sr'))
    model.degradation.register_forward_hook(lambda *_: calls.append('lr'))
    views = model.make_views(seg_batch())
    for _ in range(2):  # two phases
        views.refresh()
        views['sr'], views['cqmix'], views['sr'], views['bilinear']
    assert sorted(calls) == ['lr', 'sr', 'sr']


def test_hr_reaches_the_task_model_untouched():
    model = build_segmentor()
    views = model.make_views(seg_batch())
    assert views.task_input('hr') is views.inputs


def test_image_smaller_than_the_scale_names_file_and_scale():
    views = build_segmentor().make_views(seg_batch(size=(3, 32)))
    with pytest.raises(ValueError, match=r'32x3 .*model\.scale=4.*0\.jpg'):
        views['lr']


def test_sr_network_of_another_scale():
    views = build_segmentor(scale=8).make_views(seg_batch())
    with pytest.raises(ValueError, match=r'model\.sr_net.*model\.scale=8'):
        views['sr']


def test_no_sr_network():
    from tiny import TASK_LOSS

    phases = [dict(name='t', trains='task_model', losses=[TASK_LOSS])]
    model = build_segmentor(sr_net=None, view='bilinear', phases=phases)
    with pytest.raises(ValueError, match=r'model\.sr_net is not set'):
        model.make_views(seg_batch())['sr']
