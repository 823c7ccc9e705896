"""The models of model_zoo/, and how one gets there."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from safetensors import safe_open
from tiny import TASKS, build_model

from sr4ir_mm.apis import SRInferencer, init_model, publish
from sr4ir_mm.apis.deployment import save_weights
from sr4ir_mm.model_zoo import list_models
from sr4ir_mm.utils.safe_load import UnreadableFileError

ZOO = {name: Path(path).parent for name, path in list_models().items()}
EACH_MODEL = pytest.mark.parametrize('name', ZOO)


def in_words(prediction, classes, score_thr=0.3):
    """As a card has it."""
    if isinstance(prediction, np.ndarray):
        names = [classes[i] for i in np.unique(prediction)]
        return ', '.join(names)
    if 'pred_class' in prediction:
        return prediction['pred_class']
    sure = np.array(prediction['scores']) >= score_thr
    names = np.array(prediction['label_names'])[sure].tolist()
    counts = Counter(names)
    return ', '.join(f'{counts[name]} {name}' for name in sorted(counts))


@EACH_MODEL
def test_a_sample_is_what_its_card_says(name):
    inferencer = SRInferencer(name, show_progress=False)
    result = inferencer(str(ZOO[name] / 'sample.png'))
    classes = inferencer.model.dataset_meta['classes']
    card = (ZOO[name] / 'README.md').read_text()
    assert any(  # scores differ a little from machine to machine
        f'`sample.png`: {words}.' in card
        for words in (
            in_words(result['predictions'][0], classes, score_thr)
            for score_thr in np.linspace(0.29, 0.31, 21)
        )
    )
    scale = inferencer.model.scale
    assert name.endswith(f'-x{scale}')
    assert min(result['sr'][0].shape[:2]) > 8 * scale


@EACH_MODEL
def test_nothing_of_this_machine_is_in_a_file(name):
    with safe_open(str(ZOO[name] / 'model.safetensors'), 'pt') as file:
        found = file.metadata()
        kinds = Counter(file.get_tensor(key).dtype for key in file.keys())
    assert not re.findall(r'[\'"](?:/|~|[A-Z]:)[^\'"]+', str(found))
    cfg = Config.fromstring(found['config'], '.py')
    assert not {'work_dir', 'load_from', 'resume'} & set(cfg)
    assert kinds[torch.float16] > 0.7 * sum(kinds.values())
    assert kinds[torch.float32] == 0
    # of configs/, from which it can be trained anew
    again = Config.fromfile(f'configs/model_zoo/{name}.py').model
    for key in ('type', 'scale', 'degradation'):
        assert cfg.model.get(key) == again.get(key)
    # written when EDSR was mmagic's, which is the same
    network = dict(cfg.model.sr_net, type=again.sr_net.type)
    assert network == again.sr_net
    assert cfg.model.task_model.backbone == again.task_model.backbone


def test_the_zoo_is_small_and_mim_finds_it():
    assert len(ZOO) >= 3
    sizes = [path.stat().st_size for path in Path('model_zoo').rglob('*.*')]
    assert sum(sizes) < 30 * 2**20
    (metafile,) = load('model-index.yml')['Import']
    models = load(metafile)['Models']
    assert {model['Name'] for model in models} == set(ZOO)
    for model in models:
        assert Path(model['Config']).is_file()
        assert Path(model['Weights']).is_file()
        card = (ZOO[model['Name']] / 'README.md').read_text()
        for result in model['Results']:
            for value in result['Metrics'].values():
                assert f'{value}' in card


def test_a_name_that_there_is_not_lists_those_that_there_are():
    with pytest.raises(FileNotFoundError, match='model zoo has') as error:
        SRInferencer('bccd')
    lines = str(error.value).splitlines()[1:]
    assert [line.split(':')[0].strip() for line in lines] == [*ZOO]
    assert all(len(line) > 40 for line in lines)
    with pytest.raises(FileNotFoundError) as error:
        init_model('bccd.pth')
    assert 'zoo' not in str(error.value)


def test_scripts_take_a_name(run_script, tmp_path):
    sample = ZOO['toy-x4'] / 'sample.png'
    code, text = run_script(
        *('infer', sample, '--out-dir', tmp_path / 'out', '--model', 'toy-x4')
    )
    assert code == 0 and (tmp_path / 'out/vis/sample.png').is_file(), text
    path = tmp_path / 'a.safetensors'
    code, text = run_script('deployment/export', '--model', 'toy-x4', path)
    assert code == 0 and init_model(str(path)), text
    code, text = run_script('infer', sample, 'a.pth', '--model', 'toy-x4')
    assert code == 2 and 'either a checkpoint or --model' in text
    code, text = run_script('infer', sample, '--model', 'bccd')
    assert code == 2 and 'bccd: no such model. The model zoo has\n' in text


@pytest.mark.parametrize('task', TASKS)
def test_half_precision_predicts_the_same(
    task, write_checkpoint, make_image, tmp_path
):
    path = str(tmp_path / 'a.safetensors')
    model = init_model(write_checkpoint(task))
    save_weights(model, path, half=True)
    one, other = (
        SRInferencer(weights=weights, show_progress=False)(make_image())
        for weights in (write_checkpoint(task), path)
    )
    difference = np.abs(np.subtract(*(r['sr'][0] / 255 for r in (one, other))))
    assert difference.max() < 0.02
    loaded = init_model(path)
    assert next(loaded.parameters()).dtype == torch.float32
    assert loaded.dataset_meta['classes'] == list(
        model.dataset_meta['classes']
    )


def test_what_half_precision_cannot_hold_stays(tmp_path):
    model = build_model('cls')
    name, buffer = next(
        item for item in model.named_buffers() if 'running_var' in item[0]
    )
    buffer.fill_(1e6)
    path = str(tmp_path / 'a.safetensors')
    save_weights(model, path, half=True)
    with safe_open(path, 'pt') as file:
        assert (file.get_tensor(name) == 1e6).all()


def test_a_file_that_is_cut_off(tmp_path):
    path = tmp_path / 'a.safetensors'
    save_weights(build_model('cls'), str(path))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableFileError, match='damaged, cut off'):
        init_model(str(path))


@pytest.fixture
def trained(toy_root, write_checkpoint, tmp_path):
    """A checkpoint as a training leaves it."""
    file = torch.load(write_checkpoint('seg'))
    cfg = Config.fromstring(file['meta']['cfg'], '.py')
    cfg.test_dataloader.dataset.data_root = str(toy_root)
    cfg.test_evaluator = [
        dict(type='IoUMetric', iou_metrics=['mIoU']),
        dict(type='sr4ir_mm.SRPSNR'),
    ]
    cfg.work_dir = '/home/me'
    file['meta'].update(cfg=cfg.pretty_text, scale=4)
    torch.save(dict(file, optimizer={}), tmp_path / 'trained.pth')
    return tmp_path / 'trained.pth'


def test_publishing(trained, run_script, tmp_path, caplog):
    path = tmp_path / 'a.safetensors'
    code, text = run_script('model_converters/publish_model', trained, path)
    assert code == 0, text
    lines = text[text.index('| T sees') :].splitlines()
    assert 'mIoU' in lines[0] and 'PSNR' in lines[0]
    assert [line.split(' | ')[0] for line in lines[2:5]] == [
        '| LR, enlarged',
        '| SR',
        '| HR',
    ]
    with safe_open(str(path), 'pt') as file:
        found = file.metadata()
    assert json.loads(found['scale']) == 4 and '/home/me' not in str(found)
    code, text = run_script('model_converters/publish_model', trained, 'a.pth')
    assert code == 2 and "'a.pth' is no FILE.safetensors" in text


def test_a_file_that_predicts_otherwise_is_not_published(
    trained, monkeypatch, tmp_path
):
    def spoil(model, path, **kwargs):
        for weight in model.task_model.decode_head.parameters():
            weight.data.mul_(-1)
        save_weights(model, path, **kwargs)
        for weight in model.task_model.decode_head.parameters():
            weight.data.mul_(-1)

    monkeypatch.setattr(publish, 'save_weights', spoil)
    out = tmp_path / 'out' / 'a.safetensors'
    with pytest.raises(ValueError, match='In half precision, mIoU is'):
        publish.publish(str(trained), str(out))
    assert not list(out.parent.iterdir())
