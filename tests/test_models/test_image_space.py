import copy

import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmseg.models.data_preprocessor import SegDataPreProcessor
from tiny import CLASSIFIER, SEGMENTOR, build_model, make_batch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from sr4ir_mm.models.image_space import ImageSpace

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALIZED = dict(mean=[255 * m for m in MEAN], std=[255 * s for s in STD])


@pytest.mark.parametrize('normalization', [NORMALIZED, {}])
@pytest.mark.parametrize('is_rgb', [True, False])
def test_the_map_is_two_way(normalization, is_rgb):
    preprocessor = SegDataPreProcessor(bgr_to_rgb=is_rgb, **normalization)
    space = ImageSpace(preprocessor, is_rgb)
    bgr = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    inputs = space(dict(inputs=[bgr]))['inputs']
    rgb = space.to_image(inputs, [(8, 8)], 1)
    torch.testing.assert_close(rgb[0] * 255, bgr.flip(0).float())
    torch.testing.assert_close(space.from_image(rgb, [(8, 8)], inputs), inputs)


@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_channel_order_is_read_off_the_task_model(bgr_to_rgb):
    task_model = copy.deepcopy(SEGMENTOR)
    task_model['data_preprocessor']['bgr_to_rgb'] = bgr_to_rgb
    model = build_model(task_model=task_model)
    batch = make_batch()
    hr = model.make_views(batch)['hr']
    expected = torch.stack([i.flip(0) for i in batch['inputs']]) / 255
    torch.testing.assert_close(hr, expected)


@pytest.mark.parametrize('to_rgb', [True, False])
def test_images_that_are_loaded_as_rgb(to_rgb):
    """As mmpretrain's CIFAR is."""
    task_model = copy.deepcopy(CLASSIFIER)
    task_model['data_preprocessor']['to_rgb'] = to_rgb
    model = build_model('cls', task_model=task_model, input_is_rgb=True)
    batch = make_batch('cls')
    expected = torch.stack(batch['inputs']) / 255
    torch.testing.assert_close(model.make_views(batch)['hr'], expected)


def test_lr_of_the_pipeline_and_batch_augments():
    """Mixup would mix HR, but not LR."""
    task_model = copy.deepcopy(CLASSIFIER)
    task_model['data_preprocessor']['num_classes'] = 4
    task_model['train_cfg'] = dict(augments=dict(type='Mixup', alpha=1.0))
    model = build_model('cls', task_model=task_model)
    batch = make_batch('cls')
    model.make_views(copy.deepcopy(batch))
    for sample in batch['data_samples']:
        sample.set_data(dict(lr=torch.zeros(3, 8, 8, dtype=torch.uint8)))
    with pytest.raises(ValueError, match='batch_augments change HR'):
        model.make_views(batch)


@pytest.mark.parametrize('sizes', [[(375, 500), (333, 500)], [(100, 30)]])
def test_resize_is_torchvisions(sizes):
    transform = GeneralizedRCNNTransform(80, 133, MEAN, STD).eval()
    space = ImageSpace(
        DetDataPreprocessor(
            bgr_to_rgb=True, pad_size_divisor=32, **NORMALIZED
        ),
        is_rgb=True,
        resize=(133, 80),
    )
    images = [torch.rand(3, *size) for size in sizes]
    expected, _ = transform(images)
    batch = torch.zeros(len(images), 3, 375, 500)
    for image, filled in zip(images, batch):
        filled[:, : image.shape[1], : image.shape[2]] = image
    inputs = space.from_image(batch, sizes, batch)
    assert space.task_sizes(sizes) == expected.image_sizes
    assert space.task_shape(sizes, None) == tuple(inputs.shape[2:])
    torch.testing.assert_close(inputs, expected.tensors, rtol=0, atol=1e-5)


def test_any_size_is_resized_as_in_torchvision():
    """Which rounds in single or in double precision, as its version has it."""
    transform = GeneralizedRCNNTransform(800, 1333, MEAN, STD).eval()
    space = ImageSpace(DetDataPreprocessor(), True, resize=(1333, 800))
    for height in range(300, 640, 7):
        for width in (333, 500, 641):
            image, _ = transform.resize(torch.zeros(1, height, width))
            (actual,) = space.task_sizes([(height, width)])
            for side, expected in zip(actual, image.shape[1:]):
                assert abs(side - expected) <= 1


def test_stale_image_sizes_are_corrected():
    """mmpretrain's wrappers of torchvision's transforms leave them behind."""
    model = build_model('cls')
    batch = make_batch('cls', size=(32, 24))
    for sample in batch['data_samples']:
        sample.set_metainfo(dict(img_shape=(16, 16)))
    assert model.make_views(batch)['hr'].shape == (2, 3, 32, 24)


def test_hooks_reach_the_task_models_parts():
    """mmpretrain's SwitchRecipeHook and mmdet's YOLOXModeSwitchHook."""
    model = build_model('cls')
    model.data_preprocessor.batch_augments = augments = object()
    assert model.task_model.data_preprocessor.batch_augments is augments
    assert model.data_preprocessor.batch_augments is augments
    detector = build_model('det')
    assert detector.bbox_head is detector.task_model.bbox_head


def test_grey_images_are_no_colour_images():
    """As LeNet takes them."""
    task_model = copy.deepcopy(CLASSIFIER)
    task_model['data_preprocessor'] = dict(mean=[33.46], std=[78.87])
    model = build_model('cls', task_model=task_model)
    batch = make_batch('cls')
    batch['inputs'] = [image[:1] for image in batch['inputs']]
    views = model.make_views(batch)
    with pytest.raises(ValueError, match='have 1 channels'):
        views['hr']
