"""Prediction from ONNX files: as from checkpoints, without PyTorch."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import CLASSIFIER, SEGMENTOR, TASKS, plain

from sr4ir_mm.apis import SRInferencer, init_model
from sr4ir_mm.apis.inferencer import Inferencer
from sr4ir_mm.apis.onnx_inferencer import OnnxInferencer

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

EACH_TASK = pytest.mark.parametrize('task', TASKS)
SIZE = (20, 28)
# In a process of its own; sys.argv: code, image, file, folder.
COMMAND = """
import sys
sys.argv[0] = 'sr4ir'
from sr4ir_mm.__main__ import main
try:
    main()
finally:
    names = {name.partition('.')[0] for name in sys.modules}
    heavy = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmseg', 'mmdet',
             'mmpretrain', 'mmagic', 'matplotlib', 'onnx'}
    print('imported', names & heavy or 'nothing heavy')
"""


@pytest.fixture(scope='session')
def pair(write_checkpoint, tmp_path_factory):
    """Paths of a checkpoint, and of what it is exported to."""
    import torch

    from sr4ir_mm.apis.deployment import export_onnx, make_deployable

    def _pair(task, network='both', scores=False, **kwargs):
        checkpoint = write_checkpoint(task, **kwargs)
        name = f'{Path(checkpoint).stem}-{network}-{scores}.onnx'
        path = tmp_path_factory.getbasetemp() / name
        if not path.exists():
            model = init_model(checkpoint, device='cpu')
            deployable = make_deployable(model, network, scores)
            generator = torch.Generator().manual_seed(0)
            number = model.bands.number
            images = torch.rand((1, number, *SIZE), generator=generator)
            images = model.bands.from_unit(images).round()
            if number == 3:
                images = images.byte()
            export_onnx(deployable, str(path), images)
        return checkpoint, str(path)

    return _pair


def infer(weights, inputs, **kwargs):
    return SRInferencer(weights=weights, show_progress=False)(inputs, **kwargs)


def assert_alike(one, other):
    """Up to rounding."""
    if isinstance(one, np.ndarray):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert (one != other).mean() < 1e-3
        return
    assert list(one) == list(other)
    for key in one:
        if key in ('pred_class', 'label_names'):
            assert one[key] == other[key]
        else:
            np.testing.assert_allclose(one[key], other[key], atol=1e-3)


@EACH_TASK
@pytest.mark.parametrize('coordinates', ['input', 'sr'])
def test_predictions_are_pytorchs(pair, make_image, task, coordinates):
    """Of images of other sizes than at export, too, and in batches."""
    images = [make_image(seed=i) for i in range(3)]
    if task != 'det':
        images += [make_image(17, 9, seed=3), make_image(40, 60, seed=4)]
    ours, theirs = (
        infer(one, images, batch_size=2, coordinates=coordinates)
        for one in pair(task)
    )
    assert len(ours['predictions']) == len(images)
    for one, other in zip(ours['predictions'], theirs['predictions']):
        assert type(one) is type(other)
        assert_alike(one, other)
    for one, other in zip(ours['sr'], theirs['sr']):
        assert one.shape == other.shape and one.dtype == np.uint8
        np.testing.assert_allclose(one.astype(int), other, atol=1)


@EACH_TASK
def test_predictions_from_arrays_of_bands(pair, task):
    bands = dict(number=4, rgb=(3, 1, 0), range=[255, 4095, (-9, 9), 65535])
    highest = np.array([255, 4095, 9, 65535])
    rng = np.random.default_rng(0)
    images = [
        (rng.random((*SIZE, 4)) * highest).astype(np.float32).round()
        for _ in range(2)
    ]
    files = pair(task, task_model=plain(task), bands=bands)
    ours, theirs = (
        list(SRInferencer(weights=file, show_progress=False).stream(images))
        for file in files
    )
    for one, other, image in zip(ours, theirs, images):
        assert_alike(one['prediction'], other['prediction'])
        expected = image[..., [3, 1, 0]] / highest[[3, 1, 0]] * 255
        np.testing.assert_allclose(one['lr'], expected, atol=0.51)
        for key in ('lr', 'sr'):
            np.testing.assert_allclose(
                one[key].astype(int), other[key], atol=1
            )
    for weights in files:
        with pytest.raises(ValueError, match=r'\(h, w, 4\) is expected'):
            infer(weights, images[0][..., :3])


@EACH_TASK
def test_files_are_pytorchs(pair, make_image, task, tmp_path):
    for i in range(2):
        path = tmp_path / 'in' / f'{i}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), make_image(seed=i))
    (tmp_path / 'in' / 'broken.png').write_bytes(b'no image')
    written = []
    for weights in pair(task):
        out = tmp_path / Path(weights).suffix
        result = infer(weights, tmp_path / 'in', out_dir=str(out))
        ((name, reason),) = result['skipped'].items()
        assert name.endswith('broken.png') and reason == 'is no image'
        written.append(
            {str(p.relative_to(out)): p for p in out.rglob('*') if p.is_file()}
        )
    assert list(map(sorted, written[:1])) == list(map(sorted, written[1:]))
    for name, path in written[0].items():
        other = written[1][name]
        if name.startswith('pred') and task != 'seg':
            assert_alike(*(json.loads(p.read_text()) for p in (path, other)))
        elif path.suffix == '.png':
            assert_alike(*(cv2.imread(str(p)) for p in (path, other)))


def test_a_segmentor_of_one_class(pair, make_image):
    task_model = copy.deepcopy(SEGMENTOR)
    task_model['decode_head'].update(
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    weights = pair('seg', task_model=task_model)
    for coordinates in ('input', 'sr'):
        ours, theirs = (
            infer(one, make_image(), coordinates=coordinates)['predictions'][0]
            for one in weights
        )
        assert_alike(ours, theirs)
        assert set(np.unique(ours)) == {0, 1}


@pytest.mark.parametrize('how', [dict(thr=0.5), dict(topk=2)])
def test_several_labels(pair, make_image, how):
    head = dict(
        type='MultiLabelLinearClsHead', num_classes=4, in_channels=8, **how
    )
    ours, theirs = (
        infer(one, make_image())['predictions'][0]
        for one in pair('cls', task_model=dict(CLASSIFIER, head=head))
    )
    assert isinstance(ours['pred_label'], list)
    assert ours['pred_label'] == theirs['pred_label']
    assert_alike(ours, theirs)


def test_both_are_inferencers(pair):
    for weights, kind in zip(pair('cls'), ('TorchInferencer', 'OnnxInferen')):
        inferencer = SRInferencer(weights, show_progress=False)
        assert isinstance(inferencer, Inferencer)
        assert type(inferencer).__name__.startswith(kind)


@EACH_TASK
def test_without_pytorch(pair, make_image, task, tmp_path):
    """The whole command."""
    image = tmp_path / 'photo.png'
    cv2.imwrite(str(image), make_image())
    out = tmp_path / 'out'
    args = ['infer', image, pair(task)[1], '--out-dir', out]
    done = subprocess.run(
        [sys.executable, '-c', COMMAND, *map(str, args)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '1 predicted' in done.stdout
    assert done.stdout.endswith('imported nothing heavy\n')
    kind = 'png' if task == 'seg' else 'json'
    for name in ('vis/photo.png', 'sr/photo.png', f'pred/photo.{kind}'):
        assert (out / name).is_file()


def test_errors_without_pytorch(pair, tmp_path):
    """And the last line says what is wrong."""
    (tmp_path / 'photo.png').write_bytes(b'no image')
    (tmp_path / 'empty.onnx').write_bytes(b'')
    photo, good = tmp_path / 'photo.png', pair('seg')[1]
    for args, reason in (
        ([photo, good], 'error: None of 1 image(s) could be predicted from.'),
        ([photo, 'gone.onnx'], "error: There is no ONNX file 'gone.onnx'."),
        ([photo, tmp_path / 'empty.onnx'], 'is no ONNX file that onnxruntime'),
        ([photo, good, '--tile', '64'], 'error: tile=64: the networks of '),
    ):
        done = subprocess.run(
            [sys.executable, '-c', COMMAND, 'infer', *map(str, args)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 2
        assert reason in done.stderr.splitlines()[-2], done.stderr
        assert done.stdout.endswith('imported nothing heavy\n')


def test_images_of_another_size_are_skipped(pair, make_image):
    """By a detector, which keeps to one."""
    _, path = pair('det')
    result = infer(path, [make_image(), make_image(12, 16)], batch_size=2)
    ((name, reason),) = result['skipped'].items()
    assert name == '00000001'
    assert reason.startswith('12 x 16 pixels, where')
    assert reason.endswith(
        'takes 20 x 28 alone (another: sr4ir export --size)'
    )


@pytest.mark.parametrize(
    'kwargs,reason',
    [
        (dict(hr=True), r'hr=True \(--hr\): .* takes LR images as they are'),
        (dict(return_datasamples=True), 'data samples come from the checkp'),
        (dict(coordinates='hr'), "coordinates='hr': expected 'input' or 'sr'"),
    ],
)
def test_what_a_file_cannot_do(pair, make_image, kwargs, reason):
    with pytest.raises(ValueError, match=reason):
        infer(pair('cls')[1], make_image(), **kwargs)


@pytest.mark.parametrize(
    'kwargs,reason',
    [
        (dict(network='sr_net'), 'has the SR network alone: export it with'),
        (dict(scores=True), 'gives probabilities in place of labels'),
    ],
)
def test_files_without_predictions(pair, kwargs, reason):
    with pytest.raises(ValueError, match=reason):
        OnnxInferencer(pair('seg', **kwargs)[1])


def test_files_of_others(pair, tmp_path):
    file = onnx.load(pair('cls')[1])
    for props, found in (({}, 'None'), (dict(format='7'), '7')):
        del file.metadata_props[:]
        onnx.helper.set_model_props(file, props)
        onnx.save(file, str(tmp_path / 'other.onnx'))
        with pytest.raises(ValueError, match=f'format={found}, expected 1'):
            OnnxInferencer(str(tmp_path / 'other.onnx'))


def test_metadata_of_other_tools(pair, tmp_path, make_image):
    """Such as onnxruntime's, which say that they have been there."""
    file, path = onnx.load(pair('cls')[1]), str(tmp_path / 'other.onnx')
    props = {prop.key: prop.value for prop in file.metadata_props}
    more = {'onnx.infer': 'onnxruntime.quant'}
    onnx.helper.set_model_props(file, dict(props, **more))
    onnx.save(file, path)
    assert len(infer(path, make_image())['predictions']) == 1
    for damaged in (dict(classes='[cat'), dict(toolbox=None)):
        damaged = {k: v for k, v in dict(props, **damaged).items() if v}
        onnx.helper.set_model_props(file, damaged)
        onnx.save(file, path)
        with pytest.raises(
            ValueError, match='other.onnx has damaged metadata'
        ):
            OnnxInferencer(path)


@pytest.mark.parametrize(
    'option',
    [
        dict(tile=64),
        dict(precision='bfloat16'),
        dict(cfg_options={'model.scale': 2}),
        dict(model='config.py'),
    ],
)
def test_options_of_checkpoints(pair, option):
    name = 'config' if 'model' in option else next(iter(option))
    with pytest.raises(ValueError, match=f'^{name}=.* as they were exported'):
        SRInferencer(weights=pair('cls')[1], **option)


def test_the_page_takes_it(pair, load_script, make_image, tmp_path):
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, make_image())
    page = load_script('demo_app')
    one, other = (
        page.answer(
            SRInferencer(weights=weights, show_progress=False),
            *(path, False, 0.0, 4e6),
        )
        for weights in pair('cls')
    )
    assert one[2].shape == other[2].shape
    assert one[3] == pytest.approx(other[3], abs=1e-4)


def test_devices(pair):
    with pytest.raises(ValueError, match="device='tpu': this onnxruntime has"):
        SRInferencer(weights=pair('cls')[1], device='tpu')
    SRInferencer(weights=pair('cls')[1], device='cpu')


def test_a_missing_onnxruntime_is_named(pair, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match='`pip install onnxruntime`'):
        SRInferencer(weights=pair('cls')[1])
