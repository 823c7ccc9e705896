"""The scripts, ours and mmseg's own, as users call them."""

import os
import os.path as osp
import re
import signal
import subprocess
import sys
import time

import mmseg
import pytest
import torch
from mmengine.config import Config
from tiny import runner_cfg

MMSEG_TOOLS = osp.join(osp.dirname(mmseg.__file__), '.mim', 'tools')
ENV = dict(os.environ, OMP_NUM_THREADS='1')


def run(*args, ok=True):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', *map(str, args)],
        env=ENV,
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def trained(tmp_path_factory, toy_dataset):
    """A config file and the checkpoint of its training by tools/train.py."""
    root = tmp_path_factory.mktemp('trained')
    cfg = runner_cfg(root / 'work', toy_dataset, log_level='INFO')
    full = [t for t in toy_dataset['pipeline'] if 'Random' not in t['type']]
    test_dataloader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(toy_dataset, pipeline=full),
    )
    evaluator = [
        dict(type='IoUMetric', iou_metrics=['mIoU']),
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
            type='SegLocalVisualizer',
            name='visualizer',
            vis_backends=[dict(type='LocalVisBackend')],
        ),
        auto_scale_lr=dict(base_batch_size=4),
        tta_model=dict(type='SegTTAModel'),
        tta_pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='TestTimeAug',
                transforms=[
                    [
                        dict(type='RandomFlip', prob=0.0),
                        dict(type='RandomFlip', prob=1.0),
                    ],
                    [dict(type='LoadAnnotations')],
                    [dict(type='PackSegInputs')],
                ],
            ),
        ],
    )
    cfg['default_hooks']['visualization'] = dict(
        type='sr4ir_mm.SRVisualizationHook', interval=4
    )
    cfg['model']['decode_head'] = dict(type='FCNHead')
    path = root / 'config.py'
    Config(cfg).dump(path)
    log = run('tools/train.py', path, '--auto-scale-lr')
    assert 'sr/loss_pixel' in log and 'eta' in log
    assert 'LR has been set' in log or 'lr: 5.0000e-04' in log
    return path, root / 'work' / 'epoch_2.pth'


def metrics(log):
    return {
        name: float(value)
        for name, value in re.findall(
            r'(mIoU|sr/PSNR|sr/SSIM): ([\d.]+)', log.split('Epoch(test)')[-1]
        )
    }


def test_ours_and_mmsegs_test_agree(trained, tmp_path):
    """One run reports the task metric and the image metrics, draws panels and
    writes predictions."""
    ours = metrics(
        run(
            'tools/test.py',
            *trained,
            '--work-dir',
            tmp_path / 'work',
            '--show-dir',
            tmp_path / 'panels',
            '--out',
            tmp_path / 'out',
        )
    )
    assert set(ours) == {'mIoU', 'sr/PSNR', 'sr/SSIM'}
    assert len(list((tmp_path / 'panels').rglob('test_*.png'))) == 2
    assert len(list((tmp_path / 'out').glob('*.png'))) == 8
    theirs = metrics(
        run(
            osp.join(MMSEG_TOOLS, 'test.py'),
            *trained,
            '--work-dir',
            tmp_path / 'work2',
            '--show-dir',
            tmp_path / 'panels2',
        )
    )
    assert theirs == ours
    assert len(list((tmp_path / 'panels2').rglob('test_*.png'))) == 2


def test_tta(trained, tmp_path):
    log = run('tools/test.py', *trained, '--tta', '--work-dir', tmp_path)
    assert set(metrics(log)) == {'mIoU', 'sr/PSNR', 'sr/SSIM'}


def test_mmsegs_browse_dataset_and_get_flops(trained, tmp_path):
    config, _ = trained
    run(
        osp.join(MMSEG_TOOLS, 'analysis_tools', 'browse_dataset.py'),
        config,
        '--not-show',
        '--output-dir',
        tmp_path / 'browse',
    )
    assert len(list((tmp_path / 'browse').iterdir())) == 8
    log = run(
        osp.join(MMSEG_TOOLS, 'analysis_tools', 'get_flops.py'),
        config,
        '--shape',
        '64',
    )
    assert re.search(r'Flops: [\d.]+M', log), log


def test_mmsegs_inferencer(trained, toy_root, tmp_path):
    config, checkpoint = trained
    code = f"""
from mmseg.apis import MMSegInferencer
inferencer = MMSegInferencer(
    {str(config)!r}, {str(checkpoint)!r}, device='cpu')
result = inferencer({str(toy_root / 'JPEGImages' / 'val_0000.jpg')!r},
                    out_dir={str(tmp_path)!r})
print('shape', result['predictions'].shape)
"""
    assert 'shape (64, 64)' in run('-c', code)
    assert list(tmp_path.rglob('*.jpg')) or list(tmp_path.rglob('*.png'))


def test_killed_training_resumes_to_the_same_weights(trained, tmp_path):
    config, checkpoint = trained
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


@pytest.mark.skipif(torch.cuda.is_available(), reason='--amp works there')
def test_amp_without_gpu():
    log = run(
        'tools/train.py',
        'configs/sr4ir_deeplabv3_voc_x4.py',
        '--amp',
        ok=False,
    )
    assert '--amp needs a GPU' in log


def test_mixed_precision_reaches_every_optimizer():
    sys.path.insert(0, 'tools')
    try:
        from train import apply_training_options
    finally:
        sys.path.remove('tools')
    from argparse import Namespace

    cfg = Config.fromfile('configs/sr4ir_deeplabv3_voc_x4.py')
    apply_training_options(
        cfg, Namespace(amp=True, auto_scale_lr=False, resume='a.pth')
    )
    assert cfg.optim_wrapper.sr_net.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.task_model.type == 'AmpOptimWrapper'
    assert cfg.resume and cfg.load_from == 'a.pth'
