import pytest
import torch
import torch.nn.functional as F
from tiny import TASKS, build_model, make_batch
from torch import nn

from sr4ir_mm.models.layout import arrange_channels


def test_shapes_for_sides_that_scale_does_not_divide():
    model = build_model()
    views = model.make_views(make_batch(size=(30, 37)))
    assert views['lr'].shape == (2, 3, 8, 10)
    for name in ('hr', 'bilinear', 'sr', 'cqmix'):
        assert views[name].shape == (2, 3, 32, 40), name
        assert views.task_input(name).shape == (2, 3, 30, 37), name


@pytest.mark.parametrize(
    'task,mode', [('seg', 'replicate'), ('det', 'reflect')]
)
def test_images_are_continued_as_the_authors_do(task, mode):
    model = build_model(task)
    batch = make_batch(task, sizes=[(30, 37), (26, 40)])
    views = model.make_views(batch)
    assert views['hr'].shape == (2, 3, 32, 40)
    for hr, image in zip(views['hr'], batch['inputs']):
        rgb = image.flip(0) / 255
        h, w = rgb.shape[1:]
        expected = F.pad(rgb, (0, 40 - w, 0, 32 - h), mode=mode)
        torch.testing.assert_close(hr, expected)
    assert torch.equal(views['lr'], model.degradation(views['hr']))


def test_reflection_of_a_small_image_replicates():
    views = build_model('det').make_views(
        make_batch('det', sizes=[(8, 8), (32, 40)])
    )
    assert torch.equal(
        views['hr'][0, :, 8:], views['hr'][0, :, 7:8].expand(3, 24, 40)
    )


@pytest.mark.parametrize('view', ['sr', 'bilinear', 'cqmix'])
def test_the_toolboxs_padding_stays_outside_of_the_images(view):
    model = build_model('det')
    views = model.make_views(make_batch('det', sizes=[(30, 37), (26, 40)]))
    inputs = views.task_input(view)
    assert inputs.shape == views.inputs.shape == (2, 3, 32, 40)
    for i, (h, w) in enumerate(views.sizes):
        inside = model.image_space.from_image(
            views[view][i : i + 1, :, :h, :w],
            [(h, w)],
            views.inputs[i : i + 1, :, :h, :w],
        )
        torch.testing.assert_close(inputs[i, :, :h, :w], inside[0])
        assert not inputs[i, :, h:].any() and not inputs[i, :, :, w:].any()


def test_bilinear_aligns_corners_as_the_authors_do():
    model = build_model()
    views = model.make_views(make_batch())
    expected = torch.nn.UpsamplingBilinear2d(scale_factor=4)(views['lr'])
    torch.testing.assert_close(views['bilinear'], expected)


def test_each_view_is_made_once_per_phase():
    model = build_model()
    calls = []
    model.sr_net.register_forward_hook(lambda *_: calls.append('sr'))
    model.degradation.register_forward_hook(lambda *_: calls.append('lr'))
    views = model.make_views(make_batch())
    for _ in range(2):  # two phases
        views.refresh()
        views['sr'], views['cqmix'], views['sr'], views['bilinear']
    assert sorted(calls) == ['lr', 'sr', 'sr']


def test_a_phase_may_keep_the_views_of_the_one_before():
    """Detached: their graph is gone."""
    model = build_model()
    calls = []
    model.sr_net.register_forward_hook(lambda *_: calls.append('sr'))
    views = model.make_views(make_batch())
    phase = model.phases[1]
    with model.in_phase(model.phases[0], views):
        before = views['sr']
    phase.keep_views = True
    with model.in_phase(phase, views):
        assert torch.equal(views['sr'], before)
        assert not views['sr'].requires_grad
        assert not views.task_input('cqmix').requires_grad
    assert calls == ['sr']


def test_views_of_micro_batches_are_kept_too():
    model = build_model()
    calls = []
    model.sr_net.register_forward_hook(lambda *_: calls.append('sr'))
    views = model.make_views(make_batch(num=3))
    phase = model.phases[1]
    with model.in_phase(model.phases[0], views):
        before = [piece['sr'] for piece in views.split(1)]
    phase.keep_views = True
    with model.in_phase(phase, views):
        assert torch.equal(views['sr'], torch.cat(before))
        assert not views['sr'].requires_grad
    assert calls == ['sr'] * 3


def test_pictures_are_exact_in_mixed_precision():
    model = build_model()
    with torch.autocast('cpu', torch.bfloat16):
        views = model.make_views(make_batch())
        for name in ('hr', 'lr', 'sr', 'cqmix'):
            assert views[name].dtype == torch.float32


def test_channels_lie_next_to_each_other():
    """For convolutions. Heads get maps as they know them."""
    model = build_model()
    views = model.make_views(make_batch(sizes=[(32, 32), (30, 27)]))
    maps = [views[name] for name in ('hr', 'lr', 'sr', 'cqmix', 'bilinear')]
    maps += [views.task_input(name) for name in ('hr', 'sr', 'cqmix')]
    maps += [model.sr_net.conv_first.weight]
    backbone = model.task_model.backbone
    backbone.layer2.register_forward_hook(lambda *args: maps.append(args[-1]))
    heads = model.extract_maps(views.task_input('sr'))
    for each in maps:
        assert each.is_contiguous(memory_format=torch.channels_last)
    assert maps[-1].shape == heads[-1].shape
    assert all(each.is_contiguous() for each in heads)


def test_transformers_keep_their_layout():
    model = build_model()
    model.task_model.backbone.fc = torch.nn.Linear(1, 1)
    assert arrange_channels(model.task_model) == torch.contiguous_format
    assert arrange_channels(None) == torch.contiguous_format


def test_hr_reaches_the_task_model_untouched():
    model = build_model()
    views = model.make_views(make_batch())
    assert views.task_input('hr') is views.inputs


def test_image_smaller_than_the_scale_names_file_and_scale():
    views = build_model().make_views(make_batch(size=(3, 32)))
    with pytest.raises(ValueError, match=r'32x3 .*model\.scale=4.*0\.jpg'):
        views['lr']


def test_sr_network_of_another_scale():
    views = build_model(scale=8).make_views(make_batch())
    with pytest.raises(ValueError, match=r'model\.sr_net.*model\.scale=8'):
        views['sr']


def test_sr_network_of_another_number_of_channels():
    model = build_model()
    model.sr_net.forward = lambda lr: torch.zeros(2, 1, 32, 32)
    views = model.make_views(make_batch())
    with pytest.raises(ValueError, match=r'\(2, 1, 32, 32\): expected the'):
        views['sr']


def test_no_sr_network():
    from tiny import TASK_LOSS

    phases = [dict(name='t', trains='task_model', losses=[TASK_LOSS])]
    model = build_model(sr_net=None, view='bilinear', phases=phases)
    with pytest.raises(ValueError, match=r'model\.sr_net is not set'):
        model.make_views(make_batch())['sr']


def test_lr_is_nothing_for_the_task_model():
    model = build_model()
    views = model.make_views(make_batch())
    with pytest.raises(ValueError, match="'lr' is too small for the labels"):
        model.task_loss(views, 'lr')


def test_convolutions_that_look_at_their_weights():
    """Weight standardisation flattens them."""
    backbone = dict(
        TASKS['seg']['model']['backbone'],
        conv_cfg=dict(type='ConvWS'),
    )
    model = build_model(
        task_model=dict(TASKS['seg']['model'], backbone=backbone)
    )
    convs = [m for m in model.modules() if type(m).__name__ == 'ConvWS2d']
    assert convs
    losses = model.task_loss(model.make_views(make_batch()), 'sr')
    losses['decode.loss_ce'].backward()
    assert all(conv.weight.grad is not None for conv in convs)


@pytest.mark.parametrize(
    'layer,layout',
    [
        (nn.Conv2d(3, 8, 3, stride=2), torch.channels_last),
        (nn.Conv2d(16, 8, 1, stride=2), torch.channels_last),
        (nn.Conv2d(3, 8, 1, stride=2), torch.contiguous_format),
        (nn.GroupNorm(2, 8), torch.contiguous_format),
    ],
)
def test_layers_that_crash_in_channels_last(layer, layout):
    """Memory errors of PyTorch, found by .dev_scripts/zoo/zoo_sweep.py."""
    assert arrange_channels(nn.Sequential(layer)) is layout
