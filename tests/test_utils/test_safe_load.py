"""Files of strangers do not run."""

import io
import math
import os
import os.path as osp
import pickle
import shutil
import subprocess
import sys
from collections import defaultdict

import mmengine
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader

from sr4ir_mm.apis import init_model
from sr4ir_mm.utils import safe_load
from sr4ir_mm.utils.safe_config import read_config
from sr4ir_mm.utils.safe_load import UnreadableFileError

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


class Attack:
    """Pickled, it makes the file ``marker`` when it is read."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return shutil.copyfile, (__file__, str(self.marker))


class Nested(Attack):
    """By way of PyTorch's own loader, which is told not to look."""

    def __reduce__(self):
        file = io.BytesIO()
        torch.save(Attack(self.marker), file)
        return torch.storage._load_from_bytes, (file.getvalue(),)


@pytest.fixture
def marker(tmp_path):
    marker = tmp_path / 'marker'
    yield marker
    assert not marker.exists()


def test_mmengine_log_loads_safely(tmp_path):
    hub = MessageHub.get_instance('test_compat')
    for value in (1.0, np.float64(2.0), torch.tensor(3.0)):
        hub.update_scalar('loss', value)
    hub.update_info('epoch', np.int64(4))
    path = tmp_path / 'a.pth'
    torch.save(dict(message_hub=hub.state_dict()), path)
    loaded = torch.load(path)['message_hub']
    buffer = loaded['log_scalars']['loss']
    assert isinstance(buffer, HistoryBuffer)
    assert buffer.mean() == 2.0 and buffer.current() == 3.0


class Attribute:
    def __init__(self, marker=None):
        """As the attacks."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def test_a_checkpoint_cannot_reach_for_other_attributes(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(Attribute(), path)
    with pytest.raises(pickle.UnpicklingError, match='not allowed'):
        torch.load(path)


@pytest.mark.parametrize('attack', [Attack, Attribute])
def test_no_loader_tries_a_second_time(tmp_path, marker, monkeypatch, attack):
    """onedl-mmengine 0.10.12 does, without PyTorch's safe mode; and all of
    ``getattr`` is on its own allow-list."""
    torch.save(attack(marker), tmp_path / 'a.pth')
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    loaders = mmengine.runner.checkpoint
    monkeypatch.setattr(
        loaders, 'get_external_models', lambda: dict(model='a.pth')
    )
    # neither is replaced by ours
    for read, name in (
        (loaders.load_from_openmmlab, 'openmmlab://model'),
        (loaders.load_from_local, str(tmp_path / 'a.pth')),
    ):
        with pytest.raises(pickle.UnpicklingError):
            read(name, map_location='cpu')


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('attack', [Attack, Nested])
def test_checkpoint(tmp_path, marker, monkeypatch, zipped, attack):
    """From a file, and from the cache of downloaded ones."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    path = tmp_path / 'hub' / 'checkpoints' / 'a.pth'
    path.parent.mkdir(parents=True)
    torch.save(
        dict(state_dict={}, meta=attack(marker)),
        path,
        _use_new_zipfile_serialization=zipped,
    )
    for source in (str(path), 'https://no.such.host/a.pth'):
        with pytest.raises(UnreadableFileError, match='a.pth is refused'):
            CheckpointLoader.load_checkpoint(source)


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('attack', [Attack, Nested])
def test_annotations(tmp_path, marker, protocol, attack):
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps([attack(marker)], protocol))
    with pytest.raises(UnreadableFileError, match='copyfile.*no class'):
        mmengine.load(path)


def test_yaml(tmp_path, marker):
    import yaml

    path = tmp_path / 'a.yaml'
    path.write_text(f'!!python/object/apply:os.mkdir ["{marker}"]')
    with pytest.raises(yaml.YAMLError):
        mmengine.load(path)
    mmengine.dump(dict(a=(1, 2)), path)  # as mmengine dumps configs
    assert mmengine.load(path) == dict(a=(1, 2))


@pytest.mark.parametrize('protocol', range(6))
def test_data_is_read(tmp_path, protocol):
    data = dict(
        tensor=torch.arange(6.0).view(2, 3),
        array=np.arange(3),
        text=np.array(['a', 'bc']),
        number=np.float32(2),
        ids={1, 2},
        default=defaultdict(list, a=[1]),
        raw=b'\xff\x00',
    )
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(data, protocol))
    loaded = mmengine.load(path)
    for key in ('tensor', 'array', 'text'):
        assert (loaded.pop(key) == data.pop(key)).all()
    assert loaded == data


@pytest.mark.parametrize('length', [0, 1, 100, -10])
def test_damaged(tmp_path, length):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(w=torch.ones(1000))), path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UnreadableFileError, match=r'a.pth \(\d+ bytes\) is d'):
        CheckpointLoader.load_checkpoint(str(path))


def test_trust_by_name(tmp_path, monkeypatch):
    """Whoever asks for it gets it, but nothing of the system."""
    (tmp_path / 'mine.py').write_text(
        'class Mine:\n    def __init__(self, path):\n'
        "        open(path, 'w').close()\n"
        '    def __reduce__(self):\n        return Mine, (self.path,)\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import mine

    for name in ('a.pth', 'a.pkl'):
        item = mine.Mine(tmp_path / 'unused')
        item.path = str(tmp_path / f'{name}-made')
        if name == 'a.pth':
            torch.save(item, tmp_path / name)
        else:
            (tmp_path / name).write_bytes(pickle.dumps(item))
    with pytest.raises(UnreadableFileError, match='SR4IR_TRUST=mine.Mine'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    code = (
        'import mmengine, sr4ir_mm\n'
        'from sr4ir_mm.utils.safe_load import load_from_local\n'
        f'load_from_local({str(tmp_path / "a.pth")!r})\n'
        f'mmengine.load({str(tmp_path / "a.pkl")!r})'
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    env = dict(os.environ, SR4IR_TRUST='mine.Mine', PYTHONPATH=path)
    subprocess.run([sys.executable, '-c', code], env=env, check=True)
    assert len(list(tmp_path.glob('*-made'))) == 2
    for name in ('posix.system', 'shutil.copyfile', 'builtins.eval'):
        monkeypatch.setenv('SR4IR_TRUST', name)
        with pytest.raises(ValueError, match='no class of a training'):
            safe_load._trusted_globals()


@pytest.mark.parametrize(
    'name, offered',
    [
        ('argparse.Namespace', True),
        ('pathlib.PosixPath', True),
        ('torch.optim.adam.Adam', True),
        ('some_package.part.SomeClass', True),
        ('__main__._Net', True),
        # functions, wherever they are, and methods
        ('numpy.load', False),
        ('torch.hub.load', False),
        ('some_package.run', False),
        ('pathlib.Path.unlink', False),
        ('mmengine.config.config.Config.fromfile', False),
        # the system, by another name
        ('torch.serialization.os.system', False),
        ('mmengine.utils.package_utils.subprocess.Popen', False),
        ('uuid._get_command_stdout', False),
        ('argparse.FileType', False),
    ],
)
def test_only_classes_of_trainings_may_be_trusted(
    tmp_path, name, offered, monkeypatch
):
    module, _, rest = name.rpartition('.')
    text = [b'\x8c' + bytes([len(x)]) + x.encode() for x in (module, rest)]
    (tmp_path / 'a.pkl').write_bytes(b'\x80\x04%b%b\x93)R.' % tuple(text))
    advice = f'SR4IR_TRUST={name}' if offered else 'is no class that training'
    with pytest.raises(UnreadableFileError, match=rf'{name}, .*{advice}'):
        mmengine.load(tmp_path / 'a.pkl')
    monkeypatch.setenv('SR4IR_TRUST', name)
    if name.startswith(('some', '__main__')) or not offered:
        with pytest.raises(ValueError, match=f'{name}: (it|there) is no'):
            safe_load._trusted_globals()
    else:
        assert safe_load._trusted_globals()[name].__name__ == rest


def test_what_a_checkpoint_lacks_is_said(tmp_path, monkeypatch):
    torch.save(dict(a=1), tmp_path / 'a.pth')

    def load(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'somewhere'")

    monkeypatch.setattr(torch, 'load', load)
    with pytest.raises(UnreadableFileError, match="named 'somewhere'. Inst"):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))


@pytest.mark.parametrize(
    'wrap',
    [
        lambda weights: weights,
        lambda weights: dict(state_dict=weights),
        lambda weights: dict(params_ema=weights),
        lambda weights: dict(model=dict(params=weights)),
    ],
)
def test_nan_is_named_wherever_it_is_read(tmp_path, wrap):
    path = str(tmp_path / 'a.pth')
    weights = {'conv.weight': torch.ones(2), 'conv.bias': torch.ones(2)}
    weights['mask'] = torch.tensor([0.0, math.inf])
    state = {'0': torch.tensor(math.nan)}  # of an optimizer that never stepped
    torch.save(dict(wrap(weights), optimizer=state), path)
    CheckpointLoader.load_checkpoint(path)
    weights['conv.bias'][1] = math.nan
    torch.save(wrap(weights), path)
    text = r'a.pth is refused: 1 tensors .* NaN, first .*conv.bias'
    with pytest.raises(UnreadableFileError, match=text):
        CheckpointLoader.load_checkpoint(path)


@pytest.fixture
def toy_config():
    sr4ir = osp.join(ROOT, 'configs', 'toy', 'sr4ir_fcos_toy_x4.py')
    return Config.fromfile(sr4ir)


def test_a_config_is_read_as_it_was(toy_config):
    read = read_config(toy_config.pretty_text, 'a.pth')
    assert read.to_dict() == toy_config.to_dict()


def test_classes_may_have_their_full_names():
    """As configs that import them are dumped."""
    path = 'mmseg.models.backbones.ResNet'
    text = f"model = dict(type='{path}', lr=-1e-05, clip=inf, s={{1, 2}})"
    config = read_config(text, 'a.pth')
    assert config.model == dict(type=path, lr=-1e-5, clip=math.inf, s={1, 2})


def test_transforms_of_torchvision():
    """As mmpretrain calls them."""
    text = "p = [dict(type='torchvision/RandomAffine', degrees=10)]"
    config = read_config(text, 'a.pth')
    assert config.p[0].type == 'torchvision/RandomAffine'


@pytest.mark.parametrize(
    'text,reason',
    [
        ('import os', 'more than data .line 1: Import'),
        ("x = 1\ny = __import__('os').system('touch x')", 'line 2: Call'),
        ('x = [i for i in (1,)]', 'line 1: ListComp'),
        ('x = dict(**dict(y=1))', 'line 1: Call'),
        ('x, y = 1, 2', 'more than data'),
        ('x = dict(a=[1)', 'more than data'),
        ('x = {[1]: 2}', 'more than data'),
        ("m = dict(type='subprocess.Popen', args='ls')", "'subprocess.Popen'"),
        ("m = dict(type='mmengine.utils.call_command')", "'mmengine.utils.c"),
        ("m = dict(type='mmengine.call_command', cmd=[])", "'mmengine.call_"),
        ("m = dict(type='mmengine.Config.fromfile')", 'Config.fromfile'),
        ("m = [dict(type='this')]", "'this'"),
        ("m = dict(nms=dict(type='exec(1)'))", r"'exec\(1\)'"),
        ("m = dict(type='torchvision/print(1)')", r"'torchvision/print"),
        ("m = dict(type='torchvision/os/path')", "'torchvision/os/path'"),
        ("m = dict(type='torchvision/1x')", "'torchvision/1x'"),
        ("m = dict(dtype='x' + 'y')", 'line 1: BinOp'),
        ("m = dict(dtype='float or print(1)')", 'or print'),
        ("default_scope = 'evil'", "'evil'"),
        ("m = dict(_scope_='evil.x')", "'evil.x'"),
        ("custom_imports = dict(imports=['antigravity'])", "'antigravity'"),
        ("custom_imports = dict(imports='antigravity')", "'antigravity'"),
    ],
)
def test_a_config_inside_a_checkpoint_is_not_run(text, reason):
    with pytest.raises(ValueError, match=f'inside a.pth .*{reason}'):
        read_config(text, 'a.pth')


def test_inference_reads_the_config(tmp_path, marker):
    """Of a checkpoint whose pickle is harmless."""
    path = str(tmp_path / 'stranger.pth')
    text = f"x = open({str(marker)!r}, 'w')"
    torch.save(dict(state_dict={}, meta=dict(cfg=text)), path)
    with pytest.raises(ValueError, match='more than data'):
        init_model(path)
    assert not marker.exists()
