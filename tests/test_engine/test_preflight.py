"""Heads, batches and workers, before a training begins."""

import copy
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATA_SAMPLERS
from tiny import TASKS, build_model, model_cfg, runner_cfg, toy_dataset_cfg
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from sr4ir_mm.datasets.toy_scenes import CLASSES
from sr4ir_mm.engine import Runner, preflight
from sr4ir_mm.models.heads import check_heads


def runner(tmp_path, root, task='seg', **loader):
    cfg = Config(runner_cfg(tmp_path, toy_dataset_cfg(task, root), task))
    cfg.train_dataloader.update(loader)
    return Runner.from_cfg(cfg)


def build(runner):
    return runner.build_dataloader(runner.cfg.train_dataloader)


# ------------------------------------------------------------------- heads


def task_model(task, **head):
    cfg = copy.deepcopy(TASKS[task]['model'])
    key = dict(seg='decode_head', det='bbox_head', cls='head')[task]
    cfg[key].update(head)
    return cfg


@pytest.mark.parametrize(
    'task, head, key',
    [
        ('seg', dict(num_classes=4), 'decode_head.num_classes=4'),
        ('seg', dict(num_classes=150), 'decode_head.num_classes=150'),
        ('det', dict(num_classes=1), 'bbox_head.num_classes=1'),
        ('det', dict(num_classes=80), 'bbox_head.num_classes=80'),
        ('cls', dict(num_classes=10), 'head.num_classes=10'),
    ],
)
def test_heads_of_other_classes(tmp_path, toy_root, task, head, key):
    cfg = runner_cfg(
        tmp_path,
        toy_dataset_cfg(task, toy_root),
        task,
        model_cfg(task, task_model=task_model(task, **head)),
    )
    number = 5 if task == 'seg' else 4
    with pytest.raises(
        ValueError, match=f'model.task_model.{key}, but .* {number} classes'
    ):
        Runner.from_cfg(Config(cfg)).train()


@pytest.mark.parametrize('key', ['val_evaluator', 'test_evaluator'])
@pytest.mark.parametrize('topk', [(1, 5), 5, (1, 4), 4])
def test_best_five_of_four_classes(tmp_path, toy_root, topk, key):
    """mmpretrain finds out after the validation's images, or, of the test,
    after the training."""
    cfg = Config(runner_cfg(tmp_path, toy_dataset_cfg('cls', toy_root), 'cls'))
    for split in ('val', 'test'):
        cfg[f'{split}_dataloader'] = cfg.train_dataloader
        cfg[f'{split}_evaluator'] = [dict(type='mmpretrain.Accuracy')]
        cfg[f'{split}_cfg'] = dict()
    cfg[key][0].topk = topk
    if topk in (5, (1, 5)):
        with pytest.raises(ValueError, match=f'{key}: .*topk has 5.* 4 class'):
            Runner.from_cfg(cfg)
    else:
        Runner.from_cfg(cfg)


def test_each_head_is_named():
    cfg = task_model('seg')
    cfg['auxiliary_head'] = [
        dict(cfg['decode_head'], num_classes=150),
        dict(cfg['decode_head']),
        dict(cfg['decode_head'], num_classes=19),
    ]
    network = build_model('seg', task_model=cfg).task_model
    with pytest.raises(ValueError) as error:
        check_heads(network, CLASSES, 'train_dataloader')
    text = str(error.value)
    assert 'auxiliary_head.0.num_classes=150' in text
    assert 'auxiliary_head.2.num_classes=19' in text
    assert 'decode_head.num' not in text and 'head.1' not in text


@pytest.mark.parametrize(
    'head, good',
    [
        (dict(num_classes=1), False),
        (dict(num_classes=1, loss_decode='sigmoid'), True),
    ],
)
def test_softmax_over_one(head, good):
    if 'loss_decode' in head:
        head = dict(
            head, loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)
        )
    network = build_model('seg', task_model=task_model('seg', **head))
    if good:
        return check_heads(network.task_model, ['thing'], 'data')
    with pytest.raises(ValueError, match='use_sigmoid'):
        check_heads(network.task_model, ['thing'], 'data')


def test_two_classes_by_one_sigmoid():
    head = dict(
        num_classes=2,
        out_channels=1,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    network = build_model('seg', task_model=task_model('seg', **head))
    check_heads(network.task_model, ['background', 'thing'], 'data')
    head['loss_decode'] = dict(type='CrossEntropyLoss')
    network = build_model('seg', task_model=task_model('seg', **head))
    with pytest.raises(ValueError, match='use_sigmoid'):
        check_heads(network.task_model, ['background', 'thing'], 'data')


def test_heads_of_proposals_are_none():
    class RPNHead(torch.nn.Module):
        num_classes = 1

    class Detector(torch.nn.Module):
        def __init__(self, num_classes):
            super().__init__()
            self.rpn_head = RPNHead()
            self.roi_head = torch.nn.Module()
            self.roi_head.bbox_head = torch.nn.Linear(1, 1)
            self.roi_head.bbox_head.num_classes = num_classes
            self.roi_head.mask_head = torch.nn.Linear(1, 1)
            self.roi_head.mask_head.num_classes = 80
            self.roi_head.mask_head.class_agnostic = True

    check_heads(Detector(4), CLASSES[1:], 'data')
    with pytest.raises(ValueError, match='roi_head.bbox_head.num_classes=1,'):
        check_heads(Detector(1), CLASSES[1:], 'data')


# ----------------------------------------------------------------- batches


class Shapes(Dataset):
    def __init__(self, portraits, landscapes):
        self.sides = [(3, 4)] * portraits + [(4, 3)] * landscapes

    def get_data_info(self, index):
        return dict(zip(('width', 'height'), self.sides[index]))

    def __len__(self):
        return len(self.sides)


class Rank(SequentialSampler):
    """What the sampler gives one of two ranks."""

    def __init__(self, dataset, rank):
        super().__init__(dataset)
        self.dataset, self.rank = dataset, rank

    def __iter__(self):
        return iter(range(self.rank, len(self.dataset), 2))

    def __len__(self):
        return len(self.dataset) // 2


@pytest.mark.parametrize('drop_last', [True, False])
@pytest.mark.parametrize('shapes', [(9, 7), (16, 0), (5, 5), (1, 13)])
def test_ranks_have_as_many_batches(drop_last, shapes):
    dataset = Shapes(*shapes)
    numbers = set()
    for rank in range(2):
        sampler = DATA_SAMPLERS.build(
            dict(
                type='sr4ir_mm.AspectRatioBatchSampler',
                sampler=Rank(dataset, rank),
                batch_size=2,
                drop_last=drop_last,
            )
        )
        for _ in range(2):  # epochs
            batches = list(sampler)
            assert len(batches) == len(sampler)
            numbers.add(len(batches))
            seen = sum(batches, [])
            assert len(seen) == len(set(seen))
            assert len(seen) >= len(sampler.sampler) - drop_last
    assert len(numbers) == 1


def test_mmdets_sampler_is_replaced(tmp_path, toy_root):
    loader = build(
        runner(
            tmp_path,
            toy_root,
            'det',
            batch_sampler=dict(type='AspectRatioBatchSampler', drop_last=True),
        )
    )
    assert type(loader.batch_sampler).__module__.startswith('sr4ir_mm')
    assert len(list(loader)) == len(loader) == 4


def test_no_batch(tmp_path, toy_root):
    small = runner(tmp_path, toy_root, 'det', batch_size=9, drop_last=True)
    with pytest.raises(ValueError, match='no batch: 8 images .*batch_size=9'):
        build(small)


def test_a_batch_of_one_under_batch_norm(tmp_path, toy_root):
    odd = runner(tmp_path / 'a', toy_root, batch_size=7)
    with pytest.raises(ValueError, match='single image .* drop_last=True'):
        build(odd)
    build(runner(tmp_path / 'b', toy_root, batch_size=7, drop_last=True))
    endless = runner(tmp_path / 'c', toy_root, batch_size=7)
    endless.cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    build(endless)


def test_other_numbers_of_batches_on_ranks(tmp_path, toy_root, monkeypatch):
    monkeypatch.setattr(preflight, 'all_gather_object', lambda x: [x, x + 1])
    with pytest.raises(ValueError, match=r'\[4, 5\] batches on the ranks'):
        build(runner(tmp_path, toy_root))


# ----------------------------------------------------------------- workers


class Unsendable(Dataset):
    """A worker cannot hand these over, as it cannot where memory is full."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return lambda: index


def test_a_worker_that_cannot_answer_is_an_error():
    loader = DataLoader(Unsendable(), num_workers=1, collate_fn=list)
    with pytest.raises(RuntimeError, match='exited unexpectedly'):
        next(iter(loader))


# --------------------------------------------------------------- schedules


def warnings_of(tmp_path, root, monkeypatch, schedules):
    """What is said of a training's schedules when it starts."""
    cfg = runner_cfg(
        tmp_path,
        toy_dataset_cfg('seg', root),
        loop=dict(type='sr4ir_mm.AlternatingEpochTrainLoop', max_epochs=2),
        param_scheduler=schedules,
    )
    training = Runner.from_cfg(Config(cfg))
    said = []
    monkeypatch.setattr(training.logger, 'warning', said.append)
    monkeypatch.setattr(
        'sr4ir_mm.engine.loops.AlternatingEpochTrainLoop.run', lambda _: None
    )
    training.train()
    return [text for text in said if text.startswith('param_scheduler')]


@pytest.mark.parametrize(
    'schedule, text',
    [
        # 8 images, batches of 2, two epochs
        (
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=500),
            'LinearLR warms up until 500, but the training ends at iterat.* 8',
        ),
        (
            dict(type='ConstantLR', factor=0.1, by_epoch=False, end=9),
            'ConstantLR warms up until 9',
        ),
        (
            dict(type='MultiStepLR', milestones=[60, 90], by_epoch=True),
            'MultiStepLR lowers the rate at 60, 90, but .* epoch 2',
        ),
        (
            dict(type='PolyLR', by_epoch=False, begin=8, end=90),
            'PolyLR sets in at 8',
        ),
        (dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=8), None),
        (dict(type='MultiStepLR', milestones=[1, 90], by_epoch=True), None),
        (dict(type='LinearLR', start_factor=1, end_factor=0.1, end=9), None),
        (dict(type='CosineAnnealingLR', T_max=9, end=9), None),
    ],
)
def test_schedules_that_are_longer_than_the_training(
    tmp_path, toy_root, monkeypatch, schedule, text
):
    said = warnings_of(tmp_path, toy_root, monkeypatch, [schedule])
    if text is None:
        assert not said
    else:  # once, of both networks
        (found,) = said
        assert re.search(rf'\(sr_net, task_model\): {text}', found)


def test_schedules_that_begin_after_epochs(tmp_path, toy_root):
    """Iterations that are counted from an epoch on, and milestones that lie
    inside of epochs, which mmengine would never meet."""
    training = runner(tmp_path, toy_root)
    training._train_loop = training.build_train_loop(training._train_loop)
    training.optim_wrapper = training.build_optim_wrapper(
        training.optim_wrapper
    )
    warmup = dict(type='LinearLR', by_epoch=False, end=3, after_epochs=1)
    steps = dict(
        type='MultiStepLR',
        milestones=[0.45],
        end=2,
        begin=1,
        convert_to_iter_based=True,
    )
    built = training.build_param_scheduler([warmup, steps])
    first, second = built['task_model']
    assert (first.begin, first.end, first.total_iters) == (4, 7, 2)
    assert (second.begin, second.end) == (4, 8)
    assert dict(second.milestones) == {2: 1} and not second.by_epoch
