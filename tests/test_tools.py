"""The scripts, ours and the toolboxes' own, as users call them."""

import importlib.util
import os
import os.path as osp
import re
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections import namedtuple
from unittest.mock import Mock

import mmengine
import pytest
import torch
from mmengine.config import Config
from tiny import TASKS, runner_cfg, toy_dataset_cfg
from torch.distributed.elastic.utils.distributed import get_free_port

from sr4ir_mm.apis import training
from sr4ir_mm.cli import load_config

ENV = dict(os.environ, OMP_NUM_THREADS='1')
METRIC = dict(
    seg=dict(type='IoUMetric', iou_metrics=['mIoU']),
    det=dict(type='CocoMetric', metric='bbox'),
    cls=dict(type='Accuracy', topk=1),
)
NAME = dict(seg='mIoU', det='coco/bbox_mAP', cls='accuracy/top1')
VISUALIZER = dict(
    seg='SegLocalVisualizer',
    det='DetLocalVisualizer',
    cls='UniversalVisualizer',
)
PACK = dict(
    seg=[dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    det=[
        dict(
            type='PackDetInputs',
            meta_keys=(
                'img_id',
                'img_path',
                'ori_shape',
                'img_shape',
                'scale_factor',
                'instances',
                'flip',
                'flip_direction',
            ),
        )
    ],
    cls=[dict(type='PackInputs')],
)
Trained = namedtuple('Trained', 'task config checkpoint')


def run(*args, ok=True):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', *map(str, args)],
        env=ENV,
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def toolbox_script(task, *path):
    spec = importlib.util.find_spec(TASKS[task]['scope'])
    return osp.join(osp.dirname(spec.origin), '.mim', 'tools', *path)


@pytest.fixture(scope='module', params=TASKS)
def trained(request, tmp_path_factory, toy_root):
    """A config file and the checkpoint of its training by tools/train.py."""
    task = request.param
    root = tmp_path_factory.mktemp(task)
    dataset = dict(toy_dataset_cfg(task, toy_root), indices=8)
    cfg = runner_cfg(root / 'work', dataset, task, log_level='INFO')
    dataset = toy_dataset_cfg(task, toy_root, augment=False)
    if task == 'det':
        dataset['pipeline'][-1:] = PACK['det']
    test_dataloader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(dataset, indices=8, test_mode=True),
    )
    evaluator = [
        METRIC[task],
        dict(type='sr4ir_mm.SRPSNR'),
        dict(type='sr4ir_mm.SRSSIM'),
    ]
    cfg.update(
        custom_imports=dict(imports=['sr4ir_mm']),
        val_dataloader=test_dataloader,
        val_evaluator=evaluator,
        val_cfg=dict(type='ValLoop'),
        test_dataloader=test_dataloader,
        test_evaluator=evaluator,
        test_cfg=dict(type='TestLoop'),
        visualizer=dict(
            type=VISUALIZER[task],
            name='visualizer',
            vis_backends=[dict(type='LocalVisBackend')],
        ),
        auto_scale_lr=dict(base_batch_size=4),
    )
    cfg['default_hooks']['visualization'] = dict(
        type='sr4ir_mm.SRVisualizationHook', interval=4
    )
    if task == 'seg':
        cfg['model']['decode_head'] = dict(type='FCNHead')
    if task == 'det':
        cfg['model'].update(backbone=dict(type='ResNet'), resize=(133, 80))
    path = root / 'config.py'
    Config(cfg).dump(path)
    log = run('tools/train.py', path, '--auto-scale-lr')
    assert 'sr/loss_pixel' in log and 'eta' in log
    assert 'LR has been set' in log or 'lr: 5.0000e-04' in log
    return Trained(task, path, root / 'work' / 'epoch_2.pth')


def metrics(task, log):
    return {
        name: float(value)
        for name, value in re.findall(
            rf'({NAME[task]}|sr/PSNR|sr/SSIM): ([\d.]+)',
            log.split('Epoch(test)')[-1],
        )
    }


def test_ours_and_the_toolboxs_test_agree(trained, tmp_path):
    """One run reports the task metric and the image metrics and draws
    panels."""
    task, *args = trained
    ours = metrics(
        task,
        run(
            'tools/test.py',
            *args,
            '--work-dir',
            tmp_path / 'work',
            '--show-dir',
            tmp_path / 'panels',
        ),
    )
    assert set(ours) == {NAME[task], 'sr/PSNR', 'sr/SSIM'}
    assert len(list((tmp_path / 'panels').rglob('test_*.png'))) == 2
    theirs = run(
        toolbox_script(task, 'test.py'),
        *args,
        '--work-dir',
        tmp_path / 'work2',
        '--show-dir',
        tmp_path / 'panels2',
    )
    assert metrics(task, theirs) == ours
    # mmpretrain's draws each batch, unless told otherwise
    expected = 8 if task == 'cls' else 2
    assert len(list((tmp_path / 'panels2').rglob('test_*.png'))) == expected


def test_processes_share_the_test(trained, tmp_path):
    """Three, of 8 images: the figures are of all, once, and in order."""
    task, *args = trained
    if task != 'seg':
        pytest.skip('the toolboxes have their metrics collected by mmengine')
    out = tmp_path / 'predictions.pkl'
    options = ['--work-dir', tmp_path, '--out', out]
    env = dict(ENV, PYTHON=sys.executable, PORT=str(get_free_port()))
    done = subprocess.run(
        ['bash', 'tools/dist_test.sh', *map(str, [*args, 3, *options])],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    together = [sample['img_path'] for sample in mmengine.load(out)]
    alone = metrics(task, run('tools/test.py', *args, *options))
    assert metrics(task, done.stdout + done.stderr) == alone
    assert together == [sample['img_path'] for sample in mmengine.load(out)]
    assert len(together) == len(set(together)) == 8


def test_sr_net_of_another_training(trained, tmp_path):
    """The task network of one checkpoint, behind the SR network of another."""
    task, config, checkpoint = trained
    weights = torch.load(checkpoint)['state_dict']
    torch.save(
        {k: v * 0 for k, v in weights.items() if k.startswith('sr_net.')},
        tmp_path / 'other.pth',
    )
    command = ['tools/test.py', config, checkpoint, '--work-dir', tmp_path]
    log = run(*command, '--sr-net', tmp_path / 'other.pth')
    swapped = metrics(task, log)
    assert set(swapped) == {NAME[task], 'sr/PSNR', 'sr/SSIM'}
    own = metrics(task, run(*command))
    assert all(swapped[name] != own[name] for name in ('sr/PSNR', 'sr/SSIM'))


def test_tta_and_out(trained, tmp_path):
    """Test-time augmentation, with the predictions written to files."""
    task, *args = trained
    log = run(
        'tools/test.py',
        *args,
        '--tta',
        '--work-dir',
        tmp_path,
        '--out',
        tmp_path / 'out' / ('' if task == 'seg' else 'predictions.pkl'),
    )
    # image metrics are left out: there are several SR images
    assert list(metrics(task, log)) == [NAME[task]]
    (log_file,) = tmp_path.glob('*/*.log')  # the screen shows no config
    model = r"type='(Seg|Det)TTAModel'|AverageClsScoreTTA"
    assert re.search(model, log_file.read_text())
    if task == 'seg':
        assert len(list((tmp_path / 'out').glob('*.png'))) == 8
    else:
        predictions = mmengine.load(tmp_path / 'out' / 'predictions.pkl')
        assert len(predictions) == 8
        assert not any('img' in key for key in predictions[0] if 'pred' in key)


def test_get_flops(trained, toy_root):
    task, config, _ = trained
    script = toolbox_script(task, 'analysis_tools', 'get_flops.py')
    log = run(script, config, *dict(det=[]).get(task, ['--shape', '64']))
    assert re.search(r'Flops: *[\d.]+[MG]', log), log


def test_mmsegs_browse_dataset(trained, tmp_path):
    if trained.task != 'seg':
        pytest.skip('it is about data, and there are bugs of mmseg only')
    run(
        toolbox_script('seg', 'analysis_tools', 'browse_dataset.py'),
        trained.config,
        '--not-show',
        '--output-dir',
        tmp_path / 'browse',
    )
    assert len(list((tmp_path / 'browse').iterdir())) == 8


INFERENCE = dict(
    seg="""
from mmseg.apis import MMSegInferencer
result = MMSegInferencer(config, checkpoint, device='cpu')(
    image, out_dir=out_dir)
print('result', result['predictions'].shape)
""",
    det="""
from mmdet.apis import DetInferencer, inference_detector, init_detector
result = DetInferencer(config, checkpoint, device='cpu')(
    image, out_dir=out_dir)
model = init_detector(config, checkpoint, device='cpu')
boxes = inference_detector(model, image).pred_instances.bboxes
print('result', len(boxes), len(result['predictions'][0]['bboxes']))
""",
    cls="""
from mmpretrain import ImageClassificationInferencer
result = ImageClassificationInferencer(config, checkpoint, device='cpu')(
    image, show_dir=out_dir)
print('result', len(result[0]['pred_scores']))
""",
)


def test_inferencers(trained, toy_root, tmp_path):
    task, config, checkpoint = trained
    image = toy_root / 'JPEGImages' / 'val_0000.jpg'
    code = (
        f'config, checkpoint = {str(config)!r}, {str(checkpoint)!r}\n'
        f'image, out_dir = {str(image)!r}, {str(tmp_path)!r}\n'
    )
    log = run('-c', code + INFERENCE[task])
    expected = dict(seg=r'\(64, 64\)', det='5 5', cls='4')[task]
    assert re.search(f'result {expected}', log), log
    assert list(tmp_path.rglob('*.jpg')) or list(tmp_path.rglob('*.png'))


def test_killed_training_resumes_to_the_same_weights(trained, tmp_path):
    task, config, checkpoint = trained
    if task != 'seg':
        pytest.skip('test_loops.py resumes the others, in less time')
    expected = torch.load(checkpoint)['state_dict']
    args = [
        sys.executable,
        '-W',
        'ignore',
        'tools/train.py',
        str(config),
        '--auto-scale-lr',
        '--work-dir',
        str(tmp_path),
    ]
    process = subprocess.Popen(
        args, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (tmp_path / 'last_checkpoint').exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = subprocess.run(
        [*args, '--resume'], env=ENV, capture_output=True, text=True
    )
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert 'resumed epoch: ' in resumed.stdout + resumed.stderr
    actual = torch.load(tmp_path / 'epoch_2.pth')['state_dict']
    assert all(torch.equal(actual[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    'script,args,message',
    [
        ('train.py', ['no_such_config.py'], "no config 'no_such_config.py'"),
        (
            'test.py',
            ['configs/sr4ir_deeplabv3_voc_x4.py', 'none.pth'],
            "no checkpoint 'none.pth'",
        ),
    ],
)
def test_missing_files(script, args, message):
    assert message in run(f'tools/{script}', *args, ok=False)


def test_work_dir_that_is_a_file(tmp_path, capsys):
    args = dict(
        config='configs/toy/sr4ir_unet_toy_x4.py',
        work_dir=str(tmp_path / 'file'),
        cfg_options={},
        launcher='none',
        local_rank=0,
        debug=False,
    )
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit):
        load_config(Namespace(**args))
    text = capsys.readouterr().err
    assert text.startswith(f'error: work_dir={args["work_dir"]!r}: this is a')
    cfg = load_config(Namespace(**dict(args, work_dir=str(tmp_path))))
    assert cfg.work_dir == str(tmp_path)


def test_mixed_precision_reaches_every_optimizer(monkeypatch):
    monkeypatch.setattr(training.RUNNERS, 'build', lambda cfg: Mock(cfg=cfg))
    cfg = training.train(
        'sr4ir_deeplabv3_voc_x4', amp=True, resume='a.pth'
    ).cfg
    kind = 'sr4ir_mm.BF16OptimWrapper'  # CPUs have no float16
    if torch.cuda.is_available():
        kind = 'AmpOptimWrapper'
    assert cfg.optim_wrapper.sr_net.type == kind
    assert cfg.optim_wrapper.task_model.type == kind
    assert cfg.resume and cfg.load_from == 'a.pth'
    assert cfg.work_dir == 'work_dirs/sr4ir_deeplabv3_voc_x4'
