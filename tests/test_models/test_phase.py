from types import SimpleNamespace

import pytest
import torch
from tiny import SR4IR, build_model, make_batch

from sr4ir_mm.models.phase import Phase, Span, build_phases

PIXEL = dict(type='sr4ir_mm.PixelLoss')


def test_span_is_half_open():
    span = Span(0.1, 0.5)
    assert 0.1 in span and 0.49 in span
    assert 0.09 not in span and 0.5 not in span


@pytest.mark.parametrize('n', [30, 100, 200])
def test_a_tenth_of_the_epochs_is_a_tenth(n):
    """TDP sets in with the first iteration after a tenth of the epochs."""
    iters, per_epoch = n * 92, 92
    assert (n // 10 * per_epoch) / iters in Span(0.1)
    assert (n // 10 * per_epoch - 1) / iters not in Span(0.1)


@pytest.mark.parametrize('begin,end', [(-0.1, 1), (0.5, 0.5), (0.2, 1.1)])
def test_span_out_of_range(begin, end):
    with pytest.raises(ValueError, match='0 <= begin < end <= 1'):
        Span(begin, end)


@pytest.mark.parametrize(
    'spans,gap',
    [
        ([(0, 1)], None),
        ([(0.5, 1), (0, 0.5)], None),
        ([(0, 0.8), (0.2, 1)], None),
        ([(0.2, 1)], 0),
        ([(0, 0.4), (0.5, 1)], 0.4),
        ([(0, 0.4)], 0.4),
        ([], 0),
    ],
)
def test_first_gap(spans, gap):
    assert Span().first_gap([Span(*s) for s in spans]) == gap


def test_phase_without_loss_at_some_time():
    with pytest.raises(ValueError, match=r"'sr' has no loss from 0 of"):
        Phase('sr', 'sr_net', [dict(PIXEL, begin=0.1)])


@pytest.mark.parametrize(
    'cfg,message',
    [
        (
            dict(name='a', trains='sr_net', losses=[PIXEL], lossess=[]),
            r"phases\[0\]: unknown key 'lossess'",
        ),
        (dict(name='a', losses=[PIXEL]), r"phases\[0\]: missing key 'trains'"),
        (
            dict(name='a', trains=['sr_net', 'sr_net'], losses=[PIXEL]),
            "'a' trains .*: one is twice",
        ),
        (dict(name='a', trains='sr_net', losses=PIXEL), "'a': .* a list"),
        (
            dict(name='a', trains='sr_net', losses=[dict(type='ReLU')]),
            "'a': ReLU does not look at views",
        ),
    ],
)
def test_wrong_keys(cfg, message):
    with pytest.raises(ValueError, match=message):
        build_phases([cfg])


def test_a_dict_is_no_list_of_phases():
    with pytest.raises(ValueError, match='phases is a dict'):
        build_phases(SR4IR[0])


@pytest.mark.parametrize('trains', ['sr_net', 'task_model'])
def test_losses_that_do_not_depend_on_what_is_trained(trains):
    loss = dict(type='sr4ir_mm.TaskLoss', views=dict(hr=1.0))
    losses = [PIXEL] if trains == 'task_model' else [loss]
    model = build_model(phases=[dict(name='a', trains=trains, losses=losses)])
    views = model.make_views(make_batch())
    with model.in_phase(model.phases[0], views):
        (part,) = model.phases[0].parts(views, 0.0)
        with pytest.raises(ValueError, match=f"'a' trains {trains}, on which"):
            model(part, mode='loss')


def test_equal_names():
    with pytest.raises(ValueError, match='names must differ'):
        build_phases([SR4IR[0], SR4IR[0]])


@pytest.mark.parametrize(
    'trains,message',
    [
        ('sr_nets', "trains 'sr_nets': expected one or more of sr_net"),
        ([], 'expected one or more of sr_net, task_model'),
    ],
)
def test_unknown_network(trains, message):
    phases = [dict(name='sr', trains=trains, losses=[PIXEL])]
    with pytest.raises(ValueError, match=message):
        build_model(phases=phases)


def test_phase_that_trains_nothing():
    import copy

    from tiny import SEGMENTOR, TASK_LOSS

    frozen = copy.deepcopy(SEGMENTOR)
    frozen['backbone']['frozen_stages'] = 2
    from mmseg.models.decode_heads import FCNHead
    from mmseg.registry import MODELS

    class FrozenHead(FCNHead):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.requires_grad_(False)

    MODELS.register_module(module=FrozenHead, force=True)
    frozen['decode_head'] = dict(SEGMENTOR['decode_head'], type='FrozenHead')
    phases = [dict(name='t', trains='task_model', losses=[TASK_LOSS])]
    with pytest.raises(ValueError, match='no trainable parameter'):
        build_model(task_model=frozen, phases=phases)


def test_unknown_loss_argument_names_it():
    phases = [dict(name='sr', trains='sr_net', losses=[dict(PIXEL, wieght=1)])]
    with pytest.raises(TypeError, match='wieght'):
        build_model(phases=phases)


def test_two_losses_of_one_name():
    model = build_model(
        phases=[dict(name='sr', trains='sr_net', losses=[PIXEL, PIXEL])]
    )
    views = model.make_views(make_batch())
    with pytest.raises(ValueError, match="'sr' report 'loss_pixel'"):
        model.phases[0](model, views, model.phases[0].losses)


def micro_batches(size, *losses, **sr_net):
    phase = dict(SR4IR[0], losses=losses or SR4IR[0]['losses'])
    return build_model(phases=[dict(phase, micro_batch_size=size)], **sr_net)


def test_micro_batches_are_as_equal_as_can_be():
    model = micro_batches(3)
    views = model.make_views(make_batch(num=4))
    parts = model.phases[0].parts(views, 0.5)
    assert [(len(p.views.inputs), p.weight) for p in parts] == [(2, 0.5)] * 2


def test_a_cpu_sees_some_512_by_512_pixels_at_once():
    phase = build_model(phases=SR4IR).phases[0]
    inputs = torch.zeros(8, 3, 224, 224)
    assert phase._images_at_once(SimpleNamespace(inputs=inputs)) == 5
    large = torch.zeros(2, 3, 480, 600)
    assert phase._images_at_once(SimpleNamespace(inputs=large)) == 1


def test_losses_of_the_whole_batch_are_not_split():
    task = build_model(phases=SR4IR).phases[1]
    assert not task.splits_batch
    large = SimpleNamespace(inputs=torch.zeros(2, 3, 480, 600))
    assert task._images_at_once(large) == 2


@pytest.mark.parametrize(
    'losses,message',
    [
        ([dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0))], 'its TaskLoss'),
        ([dict(type='sr4ir_mm.TDPLoss', balance=1.0)], 'its TDPLoss'),
    ],
)
def test_micro_batches_of_what_needs_the_batch(losses, message):
    with pytest.raises(ValueError, match=message):
        micro_batches(1, *losses)


def test_micro_batches_and_batch_norm():
    sr_net = dict(type='sr4ir_mm.WDSR', upscale_factor=4)
    with pytest.raises(ValueError, match='its BatchNorm2d looks at the batch'):
        micro_batches(1, sr_net=sr_net)


@pytest.mark.parametrize('size', [0, 'all', 1.5])
def test_micro_batches_of_no_size(size):
    with pytest.raises(ValueError, match='micro_batch_size=.*whole number'):
        micro_batches(size)
