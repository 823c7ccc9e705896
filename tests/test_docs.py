"""The examples of docs/en/extend.md are read as users would write them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

TEXT = Path('docs/en/extend.md').read_text()
BLOCKS = dict(re.findall(r'```python\n# (\S+\.py).*\n((?:.*\n)*?)```', TEXT))
CONFIGS = [name for name in BLOCKS if name.startswith('configs/my_')]


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read an example, as if it were in ``configs``."""

    def _read(name):
        (tmp_path / 'my_losses.py').write_text(BLOCKS['my_losses.py'])
        monkeypatch.syspath_prepend(str(tmp_path))
        path = tmp_path / Path(name).name
        folder = Path(name).parent.absolute()
        path.write_text(BLOCKS[name].replace("'./", f"'{folder}/"))
        return Config.fromfile(path)

    yield _read
    sys.modules.pop('my_losses', None)


@pytest.mark.parametrize('name', CONFIGS)
def test_example(read, name):
    cfg = read(name)
    init_default_scope(cfg.default_scope)
    if 'data_preprocessor' in cfg:
        cfg.model.data_preprocessor = cfg.data_preprocessor
    model = MODELS.build(cfg.model)
    assert set(cfg.optim_wrapper) >= set(model.networks)
    assert cfg.val_dataloader.dataset.type and cfg.val_evaluator
    if name == 'configs/my_segmentor.py':
        sr_net, task_model = (
            cfg.param_scheduler[key][0].eta_min
            for key in ('sr_net', 'task_model')
        )
        assert (sr_net, task_model) == (0, 1e-4)
        assert cfg.train_dataloader.batch_size == 4
    elif name == 'configs/my_detector.py':
        assert model.task_model.bbox_head.num_classes == 2
        assert cfg.train_dataloader.dataset.ann_file == 'train.json'
        kept = cfg.train_dataloader.dataset.filter_cfg
        assert kept == dict(filter_empty_gt=True)
    elif name == 'configs/my_classifier.py':
        assert model.task_model.head.num_classes == 37
        assert cfg.val_dataloader.dataset.data_prefix == 'val'
        assert model.cqmix.grid == 4
    else:
        kinds = [type(loss).__name__ for loss in model.phases[0].losses]
        assert kinds == ['PixelLoss', 'TDPLoss', 'GradientLoss']


def test_example_of_an_sr_network(read):
    cfg = read('configs/_base_/sr_nets/rdn_x2.py')
    cfg.sr_net.pop('init_cfg')
    sr = MODELS.build(cfg.sr_net)(torch.rand(1, 3, 8, 8))
    assert sr.shape == (1, 3, 8 * cfg.scale, 8 * cfg.scale)


def test_every_example_is_tested():
    assert len(CONFIGS) == 4 and len(BLOCKS) == 6


def test_the_table_of_stacks_is_of_the_constraints():
    script = Path('.dev_scripts/stacks_table.py')
    done = subprocess.run(
        [sys.executable, script, '--check'], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
