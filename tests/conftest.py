import pytest

import sr4ir_mm  # noqa: F401  (applies compat before anything else)


@pytest.fixture(scope='session')
def toy_root(tmp_path_factory):
    """Toy scenes: 8 images for training, 4 for validation, 64x64."""
    from sr4ir_mm.datasets.toy_scenes import write_toy_scenes

    root = tmp_path_factory.mktemp('toy_scenes')
    write_toy_scenes(root, num_train=8, num_val=4, size=(64, 64))
    return root


@pytest.fixture(scope='session')
def toy_dataset(toy_root):
    """Config of the training split, with random crops and flips."""
    from sr4ir_mm.datasets.toy_scenes import CLASSES, PALETTE

    return dict(
        type='BaseSegDataset',
        data_root=str(toy_root),
        metainfo=dict(classes=CLASSES, palette=PALETTE),
        img_suffix='.jpg',
        seg_map_suffix='.png',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomCrop', crop_size=(32, 32)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    )
