import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from types import SimpleNamespace

import mmengine

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


def test_sr_networks_of_mmagic_need_no_diffusers(tmp_path):
    absent = ['transformers', 'pandas', 'albumentations', 'click']
    if 'requests' not in (requires('torchvision') or ()):
        absent.append('requests')
    for path in Path(mmengine.__file__).parents[1].iterdir():
        name = path.name.split('-')[0]
        if name not in ('diffusers', *absent) and path.suffix != '.pth':
            (tmp_path / path.name).symlink_to(path)
    # as they will be: it must not even be imported
    later = tmp_path / 'diffusers'
    later.mkdir()
    (later / '__init__.py').write_text('raise RuntimeError')
    later = tmp_path / 'diffusers-0.99.dist-info'
    later.mkdir()
    (later / 'METADATA').write_text('Name: diffusers\nVersion: 0.99\n')
    done = subprocess.run(
        [sys.executable, '-S', '-W', 'ignore', '-c', LATER_PACKAGES],
        env=dict(os.environ, PYTHONPATH=f'{tmp_path}:.'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    later = 'diffusers is 0.99, and mmagic 1.2.0 needs less than 0.26'
    old = "`pip install 'sr4ir_mm[mmagic-full]'`"
    for name in ('DreamBooth', 'UNet3DConditionMotionModel'):
        assert f'mmagic.{name} cannot be used: {later}. {old}' in done.stdout
    for name in ('pandas', 'albumentations'):
        missing = f"No module named '{name}'. `pip install {name}`"
        assert missing in done.stdout


def test_a_diffusers_that_cannot_be_imported(monkeypatch):
    """Such as one without its own requirements."""
    monkeypatch.setattr(compat, '_require_old_diffusers', lambda: None)
    setup_env = SimpleNamespace(try_import={'mmdet': mmengine}.get)
    compat._skip_later_packages(setup_env)
    assert setup_env.try_import('diffusers').models
    assert setup_env.try_import('transformers') is None
    assert setup_env.try_import('mmdet') is mmengine
