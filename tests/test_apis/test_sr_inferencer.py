"""From a checkpoint to predictions, for the three tasks."""

import copy
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from tiny import (
    CLASSIFIER,
    DETECTOR,
    TASKS,
    runner_cfg,
    toy_dataset_cfg,
)

from sr4ir_mm.apis import SRInferencer, init_model
from sr4ir_mm.apis.toolboxes import VISUALIZER
from sr4ir_mm.models.sr_nets.edsr import EDSRNet

CLASSES = ('sky', 'road', 'tree', 'car', 'sign')  # see conftest.py
EACH_TASK = pytest.mark.parametrize('task', TASKS)


@pytest.fixture
def saved(write_checkpoint):
    return write_checkpoint


def infer(weights, inputs, **kwargs):
    return SRInferencer(weights=weights, show_progress=False)(inputs, **kwargs)


@EACH_TASK
def test_predictions_are_the_models_own(saved, task, make_image):
    """In coordinates of the LR image, as `model.input_is_lr` has them."""
    image = make_image()
    result = infer(saved(task), image)
    model = init_model(saved(task), cfg_options={'model.input_is_lr': True})
    batch = SRInferencer(weights=saved(task)).pipeline[False](
        dict(img=image, img_shape=(20, 28), ori_shape=(20, 28))
    )
    with torch.no_grad():
        (sample,) = model.test_step({k: [v] for k, v in batch.items()})

    (prediction,), (sr,) = result['predictions'], result['sr']
    assert sr.shape == (80, 112, 3) and sr.dtype == np.uint8
    assert result['visualization'] == [] and result['skipped'] == {}
    if task == 'seg':
        assert prediction.shape == (20, 28) and prediction.dtype == np.uint8
        wrong = prediction != sample.pred_sem_seg.data[0].numpy()
        assert wrong.mean() < 0.01
    elif task == 'det':
        boxes = sample.pred_instances
        np.testing.assert_allclose(
            prediction['bboxes'], boxes.bboxes, atol=1e-4
        )
        np.testing.assert_allclose(prediction['scores'], boxes.scores)
        assert prediction['labels'] == boxes.labels.tolist()
        assert prediction['label_names'] == [
            CLASSES[label] for label in prediction['labels']
        ]
    else:
        np.testing.assert_allclose(
            prediction['pred_scores'], sample.pred_score
        )
        assert prediction['pred_class'] == CLASSES[int(sample.pred_label)]


def test_coordinates_of_the_sr_image(saved, make_image):
    image = make_image()
    mask = infer(saved('seg'), image, coordinates='sr')['predictions'][0]
    assert mask.shape == (80, 112)
    inner, outer = (
        infer(saved('det'), image, coordinates=name)['predictions'][0]
        for name in ('input', 'sr')
    )
    np.testing.assert_allclose(
        np.array(inner['bboxes']) * 4, outer['bboxes'], rtol=1e-5, atol=1e-4
    )
    with pytest.raises(ValueError, match="coordinates='lr'"):
        infer(saved('seg'), image, coordinates='lr')


@EACH_TASK
def test_hr_images_are_degraded_first(saved, task, make_image):
    """Also where their sides are no multiples of the scale."""
    image = make_image(30, 42)
    result = infer(saved(task), image, hr=True, return_vis=True)
    assert result['sr'][0].shape == (30, 42, 3)
    if task == 'seg':
        assert result['predictions'][0].shape == (30, 42)
    height, width = result['visualization'][0].shape[:2]
    assert (width - 16) / 3 == pytest.approx((height - 24) * 42 / 30, abs=1)
    for left in (0, width // 3 + 8, width * 2 // 3 + 8):
        heading = result['visualization'][0][:24, left : left + width // 3]
        assert heading.min() < 64 and heading.mean() > 200


def test_hr_images_go_through_the_pipeline_of_the_config(saved, make_image):
    path = saved('seg')
    config = Config(copy.deepcopy(init_model(path).cfg.to_dict()))
    config.test_dataloader.dataset.pipeline.insert(
        1, dict(type='Resize', scale=(1000, 64), keep_ratio=True)
    )
    inferencer = SRInferencer(config, path, show_progress=False)
    image = make_image(32, 48)
    result = inferencer(image, hr=True)
    assert result['sr'][0].shape == (64, 96, 3)
    assert result['predictions'][0].shape == (32, 48)
    sr = inferencer(image, hr=True, coordinates='sr')
    assert sr['predictions'][0].shape == (64, 96)
    assert inferencer(image)['sr'][0].shape == (128, 192, 3)  # LR: as it is


def test_channels(saved):
    """A network that leaves RGB as it is shows in which order it came."""
    paths = [
        saved('seg', sr_net=None, view='bilinear', phases=(), **kwargs)
        for kwargs in (dict(), dict(input_is_rgb=True))
    ]
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 0] = 200  # blue
    for path in paths:
        sr = infer(path, image)['sr'][0]
        np.testing.assert_array_equal(sr[0, 0], [0, 0, 200])


@EACH_TASK
def test_batches_change_nothing(saved, task, make_image):
    images = [make_image(seed=i) for i in range(3)] + [make_image(16, 16)]
    inferencer = SRInferencer(weights=saved(task), show_progress=False)
    sizes = []
    inferencer.model.sr_net.register_forward_pre_hook(
        lambda module, args: sizes.append(len(args[0]))
    )
    alone, together = (inferencer(images, batch_size=n) for n in (1, 2))
    assert sizes == [1, 1, 1, 1, 2, 1, 1]
    for a, b in zip(alone['sr'], together['sr']):
        np.testing.assert_allclose(a.astype(int), b.astype(int), atol=1)
    if task == 'cls':
        for a, b in zip(alone['predictions'], together['predictions']):
            np.testing.assert_allclose(
                a['pred_scores'], b['pred_scores'], rtol=1e-4
            )


@EACH_TASK
def test_half_precision(saved, task, make_image):
    image, path = make_image(), saved(task)
    results = {
        precision: SRInferencer(
            weights=path, precision=precision, show_progress=False
        )(image, coordinates='sr')
        for precision in ('float32', 'bfloat16')
    }
    (full, half) = (result['sr'][0].astype(int) for result in results.values())
    assert np.abs(full - half).max() <= 4 and (full != half).any()
    (full, half) = (r['predictions'][0] for r in results.values())
    if task == 'seg':
        assert 0.9 < (full == half).mean()
    elif task == 'cls':
        np.testing.assert_allclose(
            full['pred_scores'], half['pred_scores'], atol=0.05
        )
        assert half['pred_scores'].dtype == np.float32
    else:
        np.testing.assert_allclose(
            full['scores'][:3], half['scores'][:3], atol=0.05
        )
    with pytest.raises(ValueError, match="precision='half'"):
        SRInferencer(weights=path, precision='half')


def test_labels_are_those_of_argmax(saved, make_image, monkeypatch):
    """Also of equal logits, and of none."""
    from mmseg.models import EncoderDecoder

    logits = torch.randn(1, 4, 80, 112).round()
    logits[0, 2, 0, 0] = float('nan')
    monkeypatch.setattr(EncoderDecoder, 'inference', lambda *_: logits)
    result = infer(saved('seg'), make_image(), coordinates='sr')
    np.testing.assert_array_equal(
        result['predictions'][0], logits[0].argmax(0)
    )


@pytest.mark.parametrize('align_corners', [False, True])
def test_logits_of_the_right_size_are_not_resized(align_corners):
    """They are the same to the last bit, and others' memory is not theirs."""
    from sr4ir_mm.models.sr_segmentor import _Sooner

    logits = torch.randn(2, 5, 9, 13)
    options = dict(mode='bilinear', align_corners=align_corners)
    for size in ((9, 13), (18, 7)):
        expected = F.interpolate(logits, size, **options)
        with _Sooner():
            by_name = F.interpolate(logits, size=size, **options)
            found = F.interpolate(logits, size, None, **options)
        assert torch.equal(found, expected) and torch.equal(by_name, expected)
        assert found.data_ptr() != logits.data_ptr()


def test_instance_masks(saved):
    """Mask R-CNN's masks have the size that the boxes are for."""
    pytest.importorskip('mmdet')
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData
    from pycocotools.mask import decode

    from sr4ir_mm.apis.predictions import rescale_prediction, to_plain

    masks = torch.zeros(1, 16, 24, dtype=torch.bool)
    masks[:, 4:8, 8:16] = True
    sample = DetDataSample(
        pred_instances=InstanceData(
            bboxes=torch.tensor([[8.0, 4.0, 16.0, 8.0]]),
            scores=torch.ones(1),
            labels=torch.zeros(1, dtype=torch.long),
            masks=masks,
        ),
        metainfo=dict(ori_shape=(16, 24)),
    )
    rescale_prediction(sample, (4, 6), None)
    model = SimpleNamespace(dataset_meta={})
    plain = json.loads(json.dumps(to_plain(sample, model)))
    assert plain['bboxes'] == [[2, 1, 4, 2]]
    expected = np.zeros((4, 6))
    expected[1, 2:4] = 1
    np.testing.assert_array_equal(decode(plain['masks'][0]), expected)


def test_tiles_and_sliding_windows(saved, make_image):
    image = make_image(96, 64)
    path = saved('seg')
    whole, tiled = (
        SRInferencer(weights=path, tile=tile, show_progress=False)
        for tile in (None, 16)
    )
    sizes = []
    tiled.model.task_model.backbone.register_forward_pre_hook(
        lambda module, args: sizes.append(tuple(args[0].shape[2:]))
    )
    a, b = (one(image, coordinates='sr') for one in (whole, tiled))
    np.testing.assert_allclose(
        a['sr'][0].astype(int), b['sr'][0].astype(int), atol=1
    )
    assert set(sizes) == {(64, 64)} and len(sizes) > 40
    agree = a['predictions'][0] == b['predictions'][0]
    assert agree.mean() > 0.9


@EACH_TASK
def test_files_are_written(saved, task, tmp_path, make_image):
    folder = tmp_path / 'in'
    for i, name in enumerate(['a.png', 'a.bmp', 'b.png', 'broken.png']):
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), make_image(seed=i))
    content = (folder / 'broken.png').read_bytes()
    (folder / 'broken.png').write_bytes(content[:200])

    out = tmp_path / 'out'
    result = infer(saved(task), folder, out_dir=str(out), return_sr=False)
    assert len(result['predictions']) == 3 and result['sr'] == []
    (name, reason), *_ = result['skipped'].items()
    assert name.endswith('broken.png') and reason.startswith('cannot be read')

    stems = {'a.png', 'a.bmp', 'b'}
    kind = '.png' if task == 'seg' else '.json'
    written = {str(p.relative_to(out)) for p in out.rglob('*.*')}
    assert written == {
        f'{d}/{s}.png' for d in ('sr', 'vis') for s in stems
    } | {f'pred/{s}{kind}' for s in stems} | {'results.json', 'results.jsonl'}
    assert Image.open(out / 'sr' / 'a.bmp.png').size == (112, 80)
    if task == 'seg':
        mask = np.asarray(Image.open(out / 'pred' / 'b.png'))
        np.testing.assert_array_equal(mask, result['predictions'][2])
    elif task == 'cls':
        saved_as = json.loads((out / 'pred' / 'b.json').read_text())
        assert saved_as['pred_class'] in CLASSES
        assert sum(saved_as['pred_scores']) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize('task', ['seg', 'det'])
def test_video(saved, task, tmp_path, write_video):
    path = tmp_path / 'clip.mp4'
    write_video(path)
    out = tmp_path / 'out'
    result = infer(saved(task), path, batch_size=2, out_dir=str(out))
    assert len(result['predictions']) == 3
    for folder in ('vis', 'sr'):
        capture = cv2.VideoCapture(str(out / folder / 'clip.mp4'))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
        assert capture.get(cv2.CAP_PROP_FPS) == 10
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 112
    assert len(list((out / 'pred' / 'clip').iterdir())) == 3
    result = infer(saved(task), path, every=2, out_dir=str(out / 'every'))
    assert len(result['predictions']) == 2
    names = {p.stem for p in (out / 'every/pred/clip').iterdir()}
    assert names == {'00000000', '00000002'}
    with pytest.raises(ValueError, match='clip.mp4 is one video'):
        infer(saved(task), path, out_dir=str(out), resume=True)


def test_webcam(saved, monkeypatch, make_image):
    """None is at hand: one that gives two frames."""
    frames = [make_image(seed=i) for i in range(2)]

    class Capture:
        def __init__(self, index):
            assert index == 0

        def isOpened(self):
            return True

        def get(self, prop):
            return -1.0 if prop == cv2.CAP_PROP_FRAME_COUNT else 30.0

        def grab(self):
            return bool(frames)

        def retrieve(self):
            return True, frames.pop()

        def release(self):
            pass

    monkeypatch.setattr(cv2, 'VideoCapture', Capture)
    assert len(infer(saved('cls'), 0)['predictions']) == 2


def test_a_checkpoint_of_a_training(toy_root, tmp_path):
    """Its config travels inside, and its classes."""
    cfg = runner_cfg(
        tmp_path,
        toy_dataset_cfg('seg', toy_root),
        custom_imports=dict(imports=['sr4ir_mm']),
        test_dataloader=dict(
            batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=toy_dataset_cfg('seg', toy_root, 'val', augment=False),
        ),
        test_cfg=dict(type='TestLoop'),
        test_evaluator=dict(type='IoUMetric'),
    )
    cfg['train_cfg']['max_epochs'] = 1
    Runner.from_cfg(Config(cfg)).train()
    inferencer = SRInferencer(weights=str(tmp_path / 'epoch_1.pth'))
    assert inferencer.model.dataset_meta['classes'][1] == 'horizontal'
    result = inferencer(str(toy_root / 'JPEGImages'), return_vis=True)
    assert len(result['predictions']) == len(result['visualization']) == 12


def test_data_samples(write_checkpoint, make_image, tmp_path):
    result = infer(
        write_checkpoint('cls'),
        make_image(),
        return_datasamples=True,
        out_dir=str(tmp_path),
    )
    (sample,) = result['predictions']
    assert type(sample).__name__ == 'DataSample' and 'pred_score' in sample
    assert len(list((tmp_path / 'pred').iterdir())) == 1


def stamp(node, scope):
    """What mmengine does to what a config inherits from a toolbox."""
    if isinstance(node, dict):
        if 'type' in node and '.' not in node['type']:
            node['_scope_'] = scope
        node = node.values()
    if not isinstance(node, str) and isinstance(node, Iterable):
        for child in [*node]:
            stamp(child, scope)


@EACH_TASK
def test_config_that_inherits_from_a_toolbox(saved, task, make_image):
    """Its parts have a `_scope_`, for which classes have no argument."""
    path = saved(task)
    config = init_model(path).cfg.to_dict()
    scope = TASKS[task]['scope']
    config['visualizer'] = dict(
        type=VISUALIZER[scope],
        vis_backends=[dict(type='LocalVisBackend')],
        name='visualizer',
    )
    flip = dict(type='RandomFlip', prob=0.5)
    config['test_dataloader']['dataset']['pipeline'].insert(1, flip)
    stamp([config['visualizer'], config['test_dataloader']], scope)
    config['model']['task_model']['_scope_'] = scope
    inferencer = SRInferencer(Config(config), path, show_progress=False)
    for hr in (False, True):
        result = inferencer(make_image(), hr=hr, return_vis=True)
        assert len(result['visualization']) == 1


def test_results_of_another_config_are_not_gone_on_with(
    saved, make_image, tmp_path
):
    path, out = saved('cls'), str(tmp_path / 'out')
    image = str(tmp_path / 'image.png')
    cv2.imwrite(image, make_image())
    infer(path, image, out_dir=out)
    config = tmp_path / 'config.py'
    init_model(path).cfg.dump(config)
    other = SRInferencer(str(config), path, show_progress=False)
    with pytest.raises(ValueError, match='config=None, and .*config.py'):
        other(image, out_dir=out, resume=True)


def test_files_may_be_paths(saved, make_image, tmp_path):
    path, config = Path(saved('cls')), tmp_path / 'config.py'
    init_model(path).cfg.dump(config)
    for given in ((path,), (config, path)):
        inferencer = SRInferencer(*given, show_progress=False)
        assert len(inferencer(make_image())['predictions']) == 1


def test_classes_without_names(write_checkpoint, make_image):
    path = write_checkpoint('seg', meta=dict(classes=None, palette=[]))
    result = infer(path, make_image(), return_vis=True)
    assert result['visualization'][0].shape == (344, 448 * 3 + 16, 3)


@EACH_TASK
def test_labels_beyond_the_classes(saved, task, make_image):
    """Have their number for a name, in words, drawings and files."""
    meta = dict(classes=('sky',), palette=[[1, 2, 3]])
    images = [make_image(seed=seed) for seed in range(4)]
    result = infer(saved(task, meta=meta), images, return_vis=True)
    assert len(result['visualization']) == 4 and not result['skipped']
    pairs = []
    for found in result['predictions']:
        if task == 'det':
            pairs += zip(found['labels'], found['label_names'])
        elif task == 'cls':
            pairs.append((found['pred_label'], found['pred_class']))
    assert all(name == ('sky', '1', '2', '3')[i] for i, name in pairs)
    assert task == 'seg' or {label for label, _ in pairs} - {0}


@pytest.mark.parametrize('thr,num', [(0.0, 4), (0.999, 0)])
def test_several_labels_are_lists(saved, make_image, tmp_path, thr, num):
    head = dict(
        type='MultiLabelLinearClsHead', num_classes=4, in_channels=8, thr=thr
    )
    path = saved('cls', task_model=dict(CLASSIFIER, head=head))
    result = infer(path, make_image(), return_vis=True, out_dir=str(tmp_path))
    (found,) = result['predictions']
    assert found['pred_label'] == [0, 1, 2, 3][:num]
    assert found['pred_class'] == list(CLASSES[:num])
    assert found['pred_score'] == found['pred_scores'][:num].tolist()
    (file,) = (tmp_path / 'pred').iterdir()
    assert json.loads(file.read_text())['pred_label'] == found['pred_label']


FAILURES = [
    *(TypeError('a'), KeyError('a'), IndexError('a'), ZeroDivisionError('a')),
    *(cv2.error('a'), AttributeError('a'), StopIteration('a')),
]


IS_BLACK = dict(
    read_image=lambda image: image.max() == 0,
    draw_result=lambda lr, *_: lr.max() == 0,
    predict=lambda views, view: views['lr'].amax((1, 2, 3)).min() == 0,
)


@pytest.mark.parametrize('error', FAILURES, ids=repr)
@pytest.mark.parametrize('part', IS_BLACK)
def test_whatever_fails_on_one_image(
    write_checkpoint, make_image, monkeypatch, error, part
):
    """The others of its batch are predicted from."""
    inferencer = SRInferencer(
        weights=write_checkpoint('cls'), show_progress=False
    )
    owner = dict(
        read_image=sys.modules['sr4ir_mm.apis.inferencer'],
        draw_result=sys.modules['sr4ir_mm.apis.inferencer'],
        predict=inferencer.model,
    )[part]
    original = getattr(owner, part)

    def fail_on_black(*args):
        if IS_BLACK[part](*args):
            raise error
        return original(*args)

    monkeypatch.setattr(owner, part, fail_on_black)
    images = [make_image(), make_image() * 0, make_image()]
    result = inferencer(images, batch_size=3, return_vis=True)
    assert len(result['predictions']) == len(result['visualization']) == 2
    ((name, reason),) = result['skipped'].items()
    assert name == '00000001' and 'a' in reason


@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB'),
        cv2.error('Insufficient memory: Failed to allocate 4 bytes'),
    ],
    ids=lambda error: str(error)[:20],
)
@pytest.mark.parametrize('tile', [None, 256])
def test_too_large_an_image(saved, make_image, monkeypatch, error, tile):
    inferencer = SRInferencer(
        weights=saved('cls'), tile=tile, show_progress=False
    )

    def forward(*args):
        raise error

    monkeypatch.setattr(inferencer.model, 'predict', forward)
    with pytest.raises(ValueError, match=rf'--tile {128 if tile else 256}\b'):
        inferencer([make_image(), make_image()], batch_size=2)


def test_classes_come_from_the_config_if_the_checkpoint_has_none(saved):
    model = init_model(saved('seg', meta=None))
    assert model.dataset_meta['classes'][1] == 'horizontal'


def test_images_smaller_than_a_window(saved, make_image):
    """Of SwinIR, in one batch with others."""
    swinir = dict(
        type='sr4ir_mm.SwinIRNet',
        upscale=4,
        img_size=8,
        window_size=8,
        depths=[2],
        embed_dim=8,
        num_heads=[2],
        upsampler='pixelshuffle',
    )
    images = [make_image(16, 16), make_image(3, 3)]
    result = infer(saved('cls', sr_net=swinir), images, batch_size=2)
    assert not result['skipped']
    assert [sr.shape for sr in result['sr']] == [(64, 64, 3), (12, 12, 3)]


def test_a_network_that_fails_on_one_image(saved, make_image, monkeypatch):
    forward = EDSRNet.forward

    def fail_on_small(self, lr):
        if lr.shape[-1] < 8:
            raise RuntimeError('too small')
        return forward(self, lr)

    monkeypatch.setattr(EDSRNet, 'forward', fail_on_small)
    images = [make_image(16, 16), make_image(3, 3)]
    path = saved('cls')
    result = infer(path, images, batch_size=2)
    assert len(result['predictions']) == 1
    assert list(result['skipped']) == ['00000001']
    with pytest.raises(ValueError, match='None of 1 image.* 00000000: '):
        infer(path, images[1])


def test_an_oracle_knows_no_lr(saved, make_image):
    path = saved('seg', sr_net=None, view='hr', phases=())
    with pytest.raises(ValueError, match='say hr=True'):
        infer(path, make_image())
    assert infer(path, make_image(), hr=True)['sr'][0].shape == (20, 28, 3)


def test_nothing_is_shown_without_a_display(
    write_checkpoint, make_image, monkeypatch
):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match='no display'):
        infer(write_checkpoint('cls'), make_image(), show=True)


def test_checkpoints_that_do_not_fit(saved, tmp_path):
    path = saved('seg')
    config = init_model(path).cfg
    file = torch.load(path)
    other = str(tmp_path / 'other.pth')

    def load(model=None, **content):
        torch.save(content, other)
        init_model(other, model)

    x8 = Config(copy.deepcopy(config.to_dict()))
    x8.model.update(scale=8)
    x8.model.sr_net.update(upscale_factor=8)
    with pytest.raises(ValueError, match=r'model.scale=8\): 2 missing'):
        init_model(path, x8)
    with pytest.raises(ValueError, match='of another shape: task_model'):
        x8 = Config(copy.deepcopy(config.to_dict()))
        x8.model.task_model.decode_head.num_classes = 7
        init_model(path, x8)
    with pytest.raises(ValueError, match='1 unexpected: extra'):
        load(config, state_dict=dict(file['state_dict'], extra=torch.ones(1)))
    with pytest.raises(ValueError, match='holds no config'):
        load(state_dict=file['state_dict'])
    with pytest.raises(ValueError, match='of a FCOS, not of a model of sr4ir'):
        plain = Config(dict(default_scope='mmdet', model=DETECTOR))
        load(state_dict={}, meta=dict(cfg=plain.pretty_text))
    with pytest.raises(FileNotFoundError, match='There is no checkpoint'):
        init_model('nowhere.pth')
    with pytest.raises(FileNotFoundError, match='There is no config'):
        init_model(path, 'nowhere.py')
    with open(other, 'wb') as half:
        half.write(open(path, 'rb').read()[:5000])
    with pytest.raises(OSError, match='other.pth'):
        init_model(other)


def test_script(saved, tmp_path, make_image, run_script):
    folder = tmp_path / 'in'
    folder.mkdir()
    cv2.imwrite(str(folder / 'good.png'), make_image())
    out = ('--out-dir', tmp_path / 'out', '--no-save-vis')
    code, text = run_script(
        'infer', folder, saved('det'), *out, '--coordinates', 'sr'
    )
    assert code == 0 and '1 predicted' in text, text
    assert (tmp_path / 'out' / 'pred' / 'good.json').exists()
    assert not (tmp_path / 'out' / 'vis').exists()

    bad = os.fsdecode(b'b\xe4d.jpg')  # of another system
    (folder / bad).write_bytes(b'bad')
    code, text = run_script(
        'infer', folder, saved('det'), *out, '--batch-size', 2
    )
    assert code == 1 and 'd.jpg: is no image' in text, text

    code, text = run_script('infer', tmp_path / 'out', saved('det'))
    last = text.strip().splitlines()[-2]
    assert code == 2 and last.startswith('error: The folder'), text
