import importlib
import logging
import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from types import SimpleNamespace

import mmengine
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.visualization import SegLocalVisualizer

from sr4ir_mm import compat

LATER_PACKAGES = """
import sys
import sr4ir_mm
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as CONSTRUCTORS
from importlib.util import find_spec

size = dict(in_channels=3, out_channels=3, mid_channels=4, num_blocks=1)
MODELS.build(dict(type='mmagic.EDSRNet', **size))
MODELS.build(dict(type='mmagic.SwinIRNet', window_size=8, upscale=4))
for name in ('RDNNet', 'RRDBNet', 'MSRResNet', 'LIIF', 'SRCNNNet'):
    assert MODELS.get(f'mmagic.{name}').__init__
assert CONSTRUCTORS.get('mmagic.MultiOptimWrapperConstructor')
assert TRANSFORMS.get('mmagic.RandomBlur')
assert find_spec('diffusers') and 'diffusers' not in sys.modules
assert find_spec('transformers') is None
import mmpretrain.models
from mmagic.models.editors.disco_diffusion.disco import ImageTextGuider

for make in (
    ImageTextGuider,
    MODELS.get('mmagic.DreamBooth'),
    MODELS.get('mmagic.UNet3DConditionMotionModel'),
    TRANSFORMS.get('mmagic.PairedAlbuTransForms'),
):
    try:
        make()
    except ImportError as error:
        print(error)
"""


def run_without(packages, folder, script):
    """In a process that has all other packages."""
    for path in Path(mmengine.__file__).parents[1].iterdir():
        name = path.name.split('-')[0]
        if name not in packages and path.suffix != '.pth':
            (folder / path.name).symlink_to(path)
    here = os.pathsep.join([str(folder), '.', 'tests'])
    done = subprocess.run(
        [sys.executable, '-S', '-W', 'ignore', '-c', script],
        env=dict(os.environ, PYTHONPATH=here, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_sr_networks_of_mmagic_need_no_diffusers(tmp_path):
    absent = ['transformers', 'pandas', 'albumentations', 'click']
    if 'requests' not in (requires('torchvision') or ()):
        absent.append('requests')
    # as they will be: it must not even be imported
    later = tmp_path / 'diffusers'
    later.mkdir()
    (later / '__init__.py').write_text('raise RuntimeError')
    later = tmp_path / 'diffusers-0.99.dist-info'
    later.mkdir()
    (later / 'METADATA').write_text('Name: diffusers\nVersion: 0.99\n')
    found = run_without(['diffusers', *absent], tmp_path, LATER_PACKAGES)
    later = 'diffusers is 0.99, and mmagic 1.2.0 needs less than 0.26'
    old = "`pip install 'sr4ir_mm[mmagic-full]'`"
    for name in ('DreamBooth', 'UNet3DConditionMotionModel'):
        assert f'mmagic.{name} cannot be used: {later}. {old}' in found
    for name in ('pandas', 'albumentations'):
        missing = f"No module named '{name}'. `pip install {name}`"
        assert missing in found


WITHOUT_MMAGIC = """
import sys
from importlib.util import find_spec
import sr4ir_mm
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from tiny import make_batch
from sr4ir_mm.engine import PhaseUpdate
from sr4ir_mm.utils.mistakes import explain
from sr4ir_mm.utils.safe_config import read_config

assert find_spec('mmagic') is None
torch.manual_seed(0)
init_default_scope('mmseg')
for name in ('EDSRNet', 'SwinIRNet'):
    swinir = '_swinir' * (name == 'SwinIRNet')
    cfg = Config.fromfile(f'configs/toy/sr4ir_unet_toy_x4{swinir}.py')
    assert cfg.model.sr_net.type == f'sr4ir_mm.{name}'
    # as it is in older checkpoints
    cfg.model.sr_net.type = f'mmagic.{name}'
    cfg = read_config(cfg.pretty_text, 'a file')
    model = MODELS.build(cfg.model)
    optims = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {k: v.clone() for k, v in model.sr_net.named_parameters()}
    views = model.make_views(make_batch('seg', size=(64, 64)))
    model.rehearse(views)
    for phase in model.phases:
        wrappers = [optims[key] for key in phase.trains]
        PhaseUpdate(phase, wrappers)(model, views, 0.5)
    after = dict(model.sr_net.named_parameters())
    moved = [k for k in after if not torch.equal(before[k], after[k])]
    # a bias of features that are never positive may stay
    assert len(moved) > 0.8 * len(after), set(after) - set(moved)
    sample = model.eval().test_step(make_batch('seg', 1, size=(64, 64)))[0]
    assert sample.pred_img.shape == (3, 64, 64)

liif = dict(type='sr4ir_mm.LIIF', scale=2, network=dict(type='mmagic.LIIFRDN'))
for registry, part in (
    (MODELS, dict(cfg.model, sr_net=dict(type='mmagic.RDNNet'))),
    (MODELS, dict(cfg.model, sr_net=liif)),
    (TRANSFORMS, dict(type='mmagic.RandomBlur')),
):
    try:
        registry.build(part)
    except Exception as error:
        print(explain(error, Config(dict(model=cfg.model, part=part))))
"""


def test_without_mmagic(tmp_path):
    """EDSR and SwinIR are trained and predict; others say what they need."""
    found = run_without(['mmagic'], tmp_path, WITHOUT_MMAGIC)
    needs = (
        ' needs mmagic, which is not installed: `pip install --no-deps '
        'mmagic` (see docs/en/get_started.md for versions).'
    )
    lines = [line for line in found.splitlines() if 'mmagic' in line]
    assert lines == [
        f'mmagic.RDNNet{needs}',
        f'mmagic.LIIFRDN{needs}',
        f"part.type='mmagic.RandomBlur'{needs}",
    ]


def test_a_diffusers_that_cannot_be_imported(monkeypatch):
    """Such as one without its own requirements."""
    monkeypatch.setattr(compat, '_require_old_diffusers', lambda: None)
    setup_env = SimpleNamespace(try_import={'mmdet': mmengine}.get)
    compat._skip_later_packages(setup_env)
    assert setup_env.try_import('diffusers').models
    assert setup_env.try_import('transformers') is None
    assert setup_env.try_import('mmdet') is mmengine


LIGHT = """
import sys
import sr4ir_mm

def absent(*names):
    assert not {*names} & set(sys.modules), {*names} & set(sys.modules)

absent('torch', 'numpy', 'mmengine', 'multiprocessing')
import torch, numpy, multiprocessing.queues, mmengine.runner
assert numpy.bool8 is numpy.bool_
assert torch.load is torch.serialization.load
queue = multiprocessing.queues.Queue
loader = mmengine.runner.CheckpointLoader._schemes['']
yaml = mmengine.fileio.handlers.yaml_handler
for repaired in (torch.load, queue._on_queue_feeder_error, loader):
    assert repaired.__code__.co_filename.startswith(sr4ir_mm.__path__[0])
assert yaml.Loader is yaml.yaml.FullLoader
from sr4ir_mm.models.sr_nets import build_sr_net
size = dict(in_channels=3, out_channels=3, mid_channels=4, num_blocks=1)
build_sr_net(dict(type='mmagic.EDSRNet', **size))
build_sr_net(dict(type='mmagic.SwinIRNet', window_size=8, upscale=4))
absent('mmagic', 'mmseg', 'mmdet', 'mmpretrain', 'lpips', 'skimage')
from mmengine.registry import MODELS
assert MODELS.get('mmagic.RDNNet').__init__
assert MODELS.get('sr4ir_mm.DeepLabV3Head').__init__
assert MODELS.get('sr4ir_mm.Nothing') is None
"""


def test_repairs_wait_for_what_they_repair():
    """And a network is imported without those of the toolboxes."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', LIGHT],
        env=dict(os.environ, PYTHONPATH='.', OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('shape', [(2, 3, 8, 8), (2, 16, 64)])
def test_gradients_of_gelu(shape):
    """Whatever their memory layout is, and that of its input."""
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        pair = [torch.randn(shape, generator=generator) for _ in range(2)]
        pair[seed % 2] = pair[seed % 2].mT.contiguous().mT
        found, expected = (
            torch.autograd.grad(F.gelu(one), one, other)[0].double()
            for one, other in (
                (x.requires_grad_(), gradient)
                for x, gradient in (pair, [x.double() for x in pair])
            )
        )
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_label_of_mmseg_stays_where_it_was():
    rng = np.random.default_rng(0)
    for share in (0.01, 0.3, 0.9):
        mask = (rng.random((31, 17)) < share).astype(np.uint8)
        # of all pixels in order, those of the first of the fullest rows
        rows, counts = np.unique(np.argwhere(mask)[:, 0], return_counts=True)
        pixels = [
            p for p in np.argwhere(mask) if p[0] == rows[counts.argmax()]
        ]
        y, x = pixels[len(pixels) // 2]
        found = SegLocalVisualizer._get_center_loc(None, mask)
        assert found.tolist() == [x, y]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Lets pip have installed more packages than there are."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package, version):
        name = package.replace('-', '_')
        folder = tmp_path / f'{name}-{version}.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n'
        )
        importlib.invalidate_caches()

    return install


@pytest.mark.parametrize('package', ['mmengine', 'mmcv', 'mmdet'])
def test_packages_and_forks_do_not_mix(installed, package):
    compat._check_packages()
    fork = compat._FORKS[package]
    installed(package, '0.1')
    installed(fork, '0.2')  # found first, whichever there is
    with pytest.raises(ImportError) as error:
        compat._check_packages()
    message = str(error.value)
    assert f'{package}==0.1' in message and f'{fork}==0.2' in message
    way_out = message.partition('`pip uninstall -y ')[2].partition('`')[0]
    assert {package, fork} <= set(way_out.split())


def test_no_engine():
    """Nor any other package of OpenMMLab: what needs it says so; an ONNX file
    does not."""
    code = """
import sys
from importlib.machinery import PathFinder
class Without:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition('.')[0] not in ('mmengine', 'mmcv', 'torch'):
            return PathFinder.find_spec(name, path, target)
at = sys.meta_path.index(PathFinder)
sys.meta_path[at] = Without
import sr4ir_mm.apis.onnx_inferencer
try:
    sr4ir_mm.apis.init_model
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    assert 'sr4ir_mm needs mmengine, which is not installed' in done.stdout


def test_a_fork_is_asked_for_by_its_name(monkeypatch):
    """So that its configs are found, and that no other is installed."""
    names = dict(mmseg='mmsegmentation', mmagic='mmagic')
    utils = SimpleNamespace(MODULE2PACKAGE=dict(names))
    monkeypatch.setattr(compat, '_installed', lambda packages: [])
    compat._name_forks(utils)
    assert utils.MODULE2PACKAGE == names
    monkeypatch.setattr(compat, '_installed', list)
    compat._name_forks(utils)
    assert utils.MODULE2PACKAGE == dict(names, mmseg='onedl-mmsegmentation')


@pytest.mark.parametrize('toolbox', ['mmseg', 'mmdet', 'mmpretrain'])
def test_configs_of_toolboxes_are_found(tmp_path, toolbox):
    path = tmp_path / 'config.py'
    path.write_text(f"_base_ = ['{toolbox}::_base_/default_runtime.py']")
    assert Config.fromfile(path).default_scope == toolbox


EARLY = """
import glob, sys
from mmengine.config import Config, utils

class Names(dict):
    def __getitem__(self, module):
        assert 'sr4ir_mm' in sys.modules, module
        asked.add(module)
        return super().__getitem__(module)

asked = set()
utils.MODULE2PACKAGE = Names(utils.MODULE2PACKAGE)
for path in glob.glob('configs/*.py'):
    with open(path) as file:
        if '::' in file.read():
            Config.fromfile(path)
            for name in [name for name in sys.modules if 'sr4ir_mm' in name]:
                del sys.modules[name]
assert asked == {'mmseg', 'mmdet', 'mmpretrain'}, asked
"""


def test_our_configs_are_repaired_before_they_ask_for_others():
    """The toolboxes' own scripts read a config before all else."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', EARLY],
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr


def test_what_is_for_debugging_is_not_printed(capsys):
    for level, shown in ((logging.DEBUG, ''), (logging.INFO, 'text\n')):
        print_log('text', level=level)
        assert capsys.readouterr().out == shown


def test_mmcv_looks_older_to_mmagic_alone(monkeypatch):
    """While it is imported, since mmagic 1.2.0 refuses today's."""
    import mmagic
    import mmcv

    monkeypatch.setattr(mmcv, '__version__', '2.3.6')
    importlib.reload(mmagic)
    assert mmagic.mmcv_version < mmagic.mmcv_max_version
    assert mmcv.__version__ == '2.3.6'


def test_mmcv_is_compiled_with_optimisation():
    """Which a ``CFLAGS`` of its own would take from setuptools 75.8."""
    from mmcv import _ext

    assert b'__assert_fail' not in Path(_ext.__file__).read_bytes()
