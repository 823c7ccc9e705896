"""What several models make of one image."""

import copy
import sys
from pathlib import Path

import mmengine
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.visualization import Visualizer
from tiny import TASKS, build_model, toy_dataset_cfg

from sr4ir_mm.apis.analysis.comparison import (
    build_test_set,
    compare_models,
    draw_comparison,
    find_images,
    most_different,
)
from sr4ir_mm.evaluation.metrics import TASK_METRICS
from sr4ir_mm.visualization import make_pen

sys.path[:0] = ['tools/analysis_tools']
import bootstrap  # noqa: E402

METRIC = dict(
    seg=dict(type='IoUMetric', iou_metrics=['mIoU']),
    det=dict(type='CocoMetric', metric='bbox'),
    cls=dict(type='Accuracy', topk=1),
)
PACK = dict(
    type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape')
)
PACK['meta_keys'] += ('img_shape', 'instances')
VISUALIZER = dict(
    seg='mmseg.SegLocalVisualizer',
    det='mmdet.DetLocalVisualizer',
    cls='mmpretrain.UniversalVisualizer',
)


def make_models(task, root, **others):
    """Of one task: an SR4IR model, and others by their options. As
    ``init_model`` makes them."""
    dataset = toy_dataset_cfg(task, root, split='val', augment=False)
    if task == 'det':
        dataset['pipeline'][-1] = PACK
    cfg = ConfigDict(
        default_scope=TASKS[task]['scope'],
        test_dataloader=dict(dataset=dict(dataset, test_mode=True)),
        test_evaluator=[METRIC[task], dict(type='sr4ir_mm.SRPSNR')],
    )
    models = {}
    for name, options in dict(dict(SR4IR={}), **others).items():
        models[name] = build_model(task, phases=(), **options).eval()
        models[name].cfg = cfg
    return models


@pytest.mark.parametrize('task', TASKS)
def test_columns_have_scores_of_their_own(toy_root, task):
    lr = dict(sr_net=None, view='bilinear')
    models = make_models(task, toy_root, **{'L -> T': lr})
    dataset = build_test_set(models['SR4IR'])
    two = list(compare_models(models, dataset, [0, 2]))
    assert [list(answers) for answers in two] == [['SR4IR', 'L -> T']] * 2
    name = dict(seg='mIoU', det='coco/bbox_mAP', cls='accuracy/top1')[task]
    for answers in two:
        sr4ir, bilinear = answers.values()
        assert torch.equal(sr4ir.sample.gt_img, bilinear.sample.gt_img)
        assert sr4ir.scores['sr/PSNR'] != bilinear.scores['sr/PSNR']
        assert name in sr4ir.scores
        assert sr4ir.lr.shape == (3, 16, 16)
    assert two[0]['SR4IR'].scores != two[1]['SR4IR'].scores

    scope, visualizer = VISUALIZER[task].split('.')
    kind = getattr(
        mmengine.utils.import_modules_from_strings(f'{scope}.visualization'),
        visualizer,
    )
    picture = draw_comparison(two[0], make_pen(kind, dataset.metainfo))
    assert picture.dtype == np.uint8 and picture.std() > 10
    assert picture.shape[1] == 360 * 4  # LR, two models, HR


@pytest.mark.parametrize('task', TASKS)
def test_scores_of_a_metric_that_looks_through_the_teacher(
    tmp_path, toy_root, task
):
    """One of the first model, for all; not copied with every image."""
    path = str(tmp_path / 'teacher.pth')
    torch.save(build_model(task, seed=1).state_dict(), path)
    teacher, other = dict(teacher=path), dict(sr_net=None, view='bilinear')
    models = make_models(task, toy_root, SR4IR=teacher, other=other)
    cfg = models['SR4IR'].cfg
    cfg.test_evaluator = [dict(type='sr4ir_mm.SRTFD')]
    dataset = build_test_set(models['SR4IR'])
    (answers,) = compare_models(models, dataset, [0])
    mine, others = (a.scores['sr/TFD'] for a in answers.values())
    assert 0 < mine != others > 0


def test_segmentation_is_scored_on_the_image_alone(toy_root):
    models = make_models('seg', toy_root)
    dataset = build_test_set(models['SR4IR'])
    (answers,) = compare_models(models, dataset, [1])
    sample = answers['SR4IR'].sample
    pred, gt = sample.pred_sem_seg.data, sample.gt_sem_seg.data
    pred, gt = pred[gt != 255], gt[gt != 255]
    classes = set(pred.tolist()) | set(gt.tolist())
    ious = [
        ((pred == c) & (gt == c)).sum() / ((pred == c) | (gt == c)).sum()
        for c in classes
    ]
    assert answers['SR4IR'].scores['mIoU'] == pytest.approx(
        100 * np.mean(ious), abs=0.01
    )


def test_images_by_number_or_part_of_path(toy_root):
    dataset = build_test_set(make_models('seg', toy_root)['SR4IR'])
    assert find_images(dataset, ['2', 'val_0001']) == [2, 1]
    for name in ('val_', 'nowhere', '17'):
        with pytest.raises(ValueError, match=f"'{name}' in their path"):
            find_images(dataset, [name])


def test_models_of_several_tasks(toy_root):
    models = make_models('seg', toy_root)
    models['other'] = make_models('cls', toy_root)['SR4IR']
    with pytest.raises(ValueError, match='one task .*mmpretrain'):
        next(compare_models(models, None, [0]))


def test_most_different_part():
    images = [torch.zeros(3, 20, 40) for _ in range(3)]
    images[1][:, 9:12, 26:29] = 1
    left, top, width, height = most_different(images, 8)
    assert (width, height) == (8, 8)
    assert left <= 26 and left + 8 >= 29 and top <= 9 and top + 8 >= 12
    assert most_different(images, 100)[2:] == (20, 20)


def test_pen_needs_no_back_end(tmp_path):
    pen = make_pen(Visualizer, dict(classes=('a',)))
    assert pen.dataset_meta == dict(classes=('a',))


@pytest.mark.parametrize(
    'args,reason',
    [
        (['seg', '--images', '999'], "'999' in their path"),
        (['seg', 'cls'], 'Only models of one task can be compared'),
        (['seg', 'gone.pth'], "There is no checkpoint 'gone.pth'"),
        (['seg', 'notes.txt'], 'notes.txt'),
        (['seg', 'seg'], 'name of its own'),
        (['seg', '--cfg-options', 'model.phases.9.a=1'], 'model.phases'),
        (['seg', '--crop', '0', '0', '0', '8'], 'crop=(0, 0, 0, 8)'),
        (['seg', '--crop', '60', '0', '9', '8'], 'has 64 x 64 pixels'),
    ],
)
def test_script_ends_with_one_sentence(
    args, reason, write_checkpoint, run_script, toy_root, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path('notes.txt').write_text('no checkpoint')
    args = [write_checkpoint(arg) if arg in TASKS else arg for arg in args]
    if '--cfg-options' not in args:
        root = f'test_dataloader.dataset.data_root={toy_root}'
        args += ['--cfg-options', root, 'test_evaluator.type=IoUMetric']
    code, text = run_script('analysis_tools/compare', *args)
    error, where = text.splitlines()[-2:]
    assert code == 1 and error.startswith('error: ') and reason in error, text
    assert where.startswith('(traceback: ')


# --------------------------------------------------- how many test images


@pytest.mark.parametrize('task', TASKS)
def test_metric_of_drawn_test_sets(toy_root, task):
    other = dict(sr_net=None, view='bilinear')
    models = make_models(task, toy_root, other=other)
    dataset = build_test_set(models['SR4IR'])
    metric = bootstrap.task_metric(models['SR4IR'], dataset)
    found = bootstrap.predict(models, dataset, metric)
    for name, results in found.items():
        assert len(results) == len(dataset)
        # as the evaluator, image by image and at once
        whole = copy.deepcopy(metric)
        whole.results.clear()
        for index in range(len(dataset)):
            (answers,) = compare_models({name: models[name]}, dataset, [index])
            whole.process({}, [answers[name].sample.to_dict()])
        expected = next(
            value
            for key, value in whole.evaluate(len(dataset)).items()
            if key in TASK_METRICS
        )
        factor = 100 if task == 'det' else 1
        assert bootstrap.score(metric, results) == pytest.approx(
            expected * factor, abs=0.01
        )
    # an image that is drawn twice counts twice
    one, two = found['SR4IR'][:2]
    several = [bootstrap.score(metric, [one] * n + [two]) for n in (1, 9)]
    alone = bootstrap.score(metric, [one])
    assert bootstrap.score(metric, [one] * 3) == pytest.approx(alone, abs=0.01)
    assert abs(several[1] - alone) <= abs(several[0] - alone)
    scores = bootstrap.draw(metric, found, 5, seed=0)
    assert scores.shape == (5, 2) and np.isfinite(scores).all()
    *_, first, second = bootstrap.table(metric, found, scores)
    assert first.startswith('| SR4IR | ') and first.endswith('|  |')
    assert second.count(' to ') == 2


def test_metric_of_images_that_cannot_be_drawn_twice(toy_root):
    models = make_models('seg', toy_root)
    dataset = build_test_set(models['SR4IR'])
    models['SR4IR'].cfg.test_evaluator = [dict(type='sr4ir_mm.SRPSNR')]
    with pytest.raises(ValueError, match='no metric of a toolbox'):
        bootstrap.task_metric(models['SR4IR'], dataset)
