"""sr4ir_mm.apis.advice and tools/advise.py."""

import sys
from concurrent.futures import Future

import cv2
import mmengine
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, DefaultScope
from tiny import runner_cfg, toy_dataset_cfg

from sr4ir_mm.apis.advice import Scores, advise, judge, trials

sys.path[:0] = ['tools']
import advise as script  # noqa: E402

METRIC = dict(
    seg=dict(type='IoUMetric'),
    cls=dict(type='Accuracy', topk=1),
)


# -------------------------------------------------------------------- verdict


def scores(all_of, low=32.0, spread=1.0):
    """Of two seeds, which differ by ``spread``.

    Args:
        all_of: A T of all images, on HR, SR and enlarged LR images.
        low: L -> T.
    """
    columns = ([x, x + spread] for x in (55.0, low, *all_of))
    return Scores(*columns)


@pytest.mark.parametrize(
    'found,answer,words',
    [
        # about what the four sets of docs/en/advise.md have
        (scores((55, 40, 38)), 'yes', '+8.0 ± 0.0 on SR images, compared'),
        (scores((27, 21, 21), low=18), 'yes', '+3.0 ± 0.0'),
        (scores((49, 24, 25), low=20), 'no', 'too little'),
        (scores((48, 48, 48), low=44), 'no', 'So little is lost'),
        # T of all is no better than L -> T
        (scores((55, 30, 40)), 'no', 'for nothing here'),
        (scores((48, 60, 55)), 'no', 'So little is lost'),
        (scores((50, 29, 29), spread=4.0), 'cannot tell', '60%, a bound'),
        (scores((30, 28, 26), spread=80.0), 'cannot tell', '95%, a bound'),
        (scores((0, 0, 0), spread=0), 'cannot tell', 'learnt nothing'),
    ],
)
def test_verdict(found, answer, words):
    verdict = judge(found, scale=4, images=100, budget=150)
    assert verdict.answer == answer
    assert words in verdict.because


def test_a_gain_within_the_noise_is_said_to_be():
    found = Scores([55, 56], [31, 36], [55, 56], [38, 33], [40, 40])
    verdict = judge(found, scale=4, images=100, budget=150)
    assert 'cannot tell from nothing' in verdict.because


@pytest.mark.parametrize('images,budget', [(2, 150), (100, 20)])
def test_too_little_to_go_by_is_no_answer(images, budget):
    found = scores((100, 100, 100), low=100, spread=0.0)
    verdict = judge(found, scale=4, images=images, budget=budget)
    assert verdict.answer == 'cannot tell'
    assert f'{budget} iterations and {images} validation' in verdict.because


# --------------------------------------------------------------------- trials


class AtOnce:
    """An executor that runs everything where it stands."""

    def __init__(self, *args):
        pass

    def submit(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        return future

    def shutdown(self):
        pass


@pytest.fixture
def config(tmp_path, toy_root, task, monkeypatch):
    monkeypatch.setattr(trials, 'ProcessPoolExecutor', AtOnce)
    monkeypatch.setattr(trials, '_tell', lambda cost: None, raising=False)
    cfg = runner_cfg(
        tmp_path,
        dict(toy_dataset_cfg(task, toy_root), indices=8),
        task,
        val_dataloader=dict(
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                toy_dataset_cfg(task, toy_root, 'val', augment=False),
                indices=4,
            ),
        ),
        val_evaluator=METRIC[task],
        val_cfg=dict(),
        custom_imports=dict(imports=['sr4ir_mm']),
        runner_type='sr4ir_mm.Runner',
    )
    path = tmp_path / 'toy.py'
    Config(cfg).dump(path)
    return path


@pytest.mark.parametrize('task', ['seg', 'cls'])
def test_script(config, tmp_path, monkeypatch, capsys, task):
    page = tmp_path / 'page.html'
    argv = ['advise.py', str(config), '--budget', '2', '--out', str(page)]
    monkeypatch.setattr(sys, 'argv', argv)
    script.main()
    text = ' '.join(capsys.readouterr().out.split())
    for words in (
        'x4, tested on 4 of 4 images of val_dataloader',
        'H -> T, seed 1',
        'all -> T, seed 0',
        'TDPLoss pulls',
        'PreciseBNHook',  # three forwards, and BatchNorm trains
        's and ',  # of an iteration
    ):
        assert words in text
    assert 'CANNOT TELL: 2 iterations and 4 validation images' in text
    assert 'learns from' in page.read_text()


def test_without_images_of_its_own_a_part_of_train_is_held_out(config):
    cfg = Config.fromfile(config)
    cfg.val_dataloader.dataset = dict(cfg.train_dataloader.dataset)
    cfg.train_dataloader.dataset.pop('indices')
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, METRIC['seg']
    assert trials.split_data(cfg) == (1, '1 of 8 training images, held out')
    held = cfg.val_dataloader.dataset.indices
    rest = cfg.train_dataloader.dataset.indices
    assert held == [4] and rest == [0, 1, 2, 3, 5, 6, 7]


@pytest.fixture
def boxes(tmp_path):
    """Config of ten images with a box each, for training and as many for both
    validation and test, as `sr4ir init` has it without a third part."""

    def split(name, ids):
        for i in ids:
            cv2.imwrite(str(tmp_path / f'{i}.png'), np.zeros((32, 32, 3)))
        mmengine.dump(
            dict(
                images=[
                    dict(id=i, file_name=f'{i}.png', width=32, height=32)
                    for i in ids
                ],
                annotations=[
                    dict(
                        id=i + 1,
                        image_id=i,
                        category_id=1,
                        bbox=[2, 2, 8 + i, 8],
                        area=64 + 8 * i,
                        iscrowd=0,
                    )
                    for i in ids
                ],
                categories=[dict(id=1, name='cell')],
            ),
            str(tmp_path / f'{name}.json'),
        )
        return dict(
            type='CocoDataset',
            metainfo=dict(classes=('cell',)),
            data_prefix=dict(img=str(tmp_path)),
            ann_file=str(tmp_path / f'{name}.json'),
            test_mode=name == 'val',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True),
                dict(type='PackDetInputs'),
            ],
        )

    def loader(dataset):
        return dict(dataset=dataset, batch_size=1)

    val = loader(split('val', range(10, 20)))
    metric = dict(type='CocoMetric', metric='bbox')
    metric['ann_file'] = val['dataset']['ann_file']
    return Config(
        dict(
            default_scope='mmdet',
            train_dataloader=loader(split('train', range(10))),
            val_dataloader=val,
            val_evaluator=[metric],
            test_dataloader=val,
            test_evaluator=[metric],
        )
    )


@pytest.mark.parametrize('part', ['held out', '3 of 10'])
def test_boxes_of_other_images_have_not_been_missed(boxes, part, monkeypatch):
    if part == '3 of 10':
        monkeypatch.setattr(trials, 'MAX_VALIDATION', 3)
        boxes.test_dataloader = None
    assert part in trials.split_data(boxes)[1]
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(boxes.val_dataloader.dataset)
        metric = METRICS.build(boxes.val_evaluator[0])
    metric.dataset_meta = dataset.metainfo
    for item in dataset:  # all of them are found
        sample = item['data_samples'].to_dict()
        found = sample['gt_instances']
        sample['pred_instances'] = dict(
            bboxes=found['bboxes'].tensor,
            labels=found['labels'],
            scores=torch.ones(len(found['labels'])),
        )
        metric.process({}, [sample])
    assert metric.evaluate(len(dataset))['coco/bbox_mAP'] == 1
    shown = {item['data_samples'].img_id for item in dataset}
    assert not shown & set(boxes.train_dataloader.dataset.get('indices', ()))


def test_a_metric_that_counts_its_whole_file(boxes):
    boxes.val_evaluator[0].type = 'LVISMetric'
    with pytest.raises(ValueError, match=r'LVISMetric counts all images of'):
        trials.split_data(boxes)


def test_several_training_sets_cannot_be_split(config):
    cfg = Config.fromfile(config)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[cfg.train_dataloader.dataset] * 2
    )
    with pytest.raises(ValueError, match='no part is held out'):
        trials.split_data(cfg)


def test_all_start_from_a_given_task_model(config, tmp_path):
    cfg = Config.fromfile(config)
    trial = trials.Trial('L -> T', 'bilinear', ('bilinear',), 0, 4)
    found = trials.trial_config(cfg, trial, str(tmp_path), None, 't.pth')
    assert found.model.task_model.init_cfg.checkpoint == 't.pth'
    assert found.model.sr_net is None
    assert cfg.model.sr_net is not None
    assert found.train_cfg.max_iters == 4


def test_a_config_without_sr_network(config):
    cfg = Config.fromfile(config)
    cfg.model.sr_net = None
    with pytest.raises(ValueError, match='model.sr_net is not set'):
        advise(cfg)
