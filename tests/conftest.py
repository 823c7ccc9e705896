import pytest
from tiny import toy_dataset_cfg

import sr4ir_mm  # noqa: F401  (applies compat before anything else)


@pytest.fixture(scope='session')
def toy_root(tmp_path_factory):
    """Toy scenes: 8 images for training, 4 for validation, 64x64."""
    from sr4ir_mm.datasets.toy_scenes import write_toy_scenes

    root = tmp_path_factory.mktemp('toy_scenes')
    write_toy_scenes(root, num_train=8, num_val=4, size=(64, 64))
    return root


@pytest.fixture
def task():
    """What a test is about; parametrize it to cover other tasks."""
    return 'seg'


@pytest.fixture
def toy_dataset(toy_root, task):
    """Config of the training split, with random crops and flips."""
    return toy_dataset_cfg(task, toy_root)
