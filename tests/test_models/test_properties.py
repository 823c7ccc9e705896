"""What holds for images of any size, scale and batch shape."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mmdet.models.data_preprocessors import DetDataPreprocessor
from tiny import NORMALIZATION, TASKS, build_model, make_batch

from sr4ir_mm.models.image_space import ImageSpace
from sr4ir_mm.models.views import Views

settings.register_profile(
    'sr4ir_mm',
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile('sr4ir_mm')

scales = st.integers(2, 5)
sides = st.integers(5, 45)
batches = st.lists(st.tuples(sides, sides), min_size=1, max_size=3)


class Enlarge(torch.nn.Module):
    """An SR network of any scale."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        self.gain = torch.nn.Parameter(torch.ones(1))
        self.with_cp = False  # as build_sr_net sets it

    def forward(self, lr):
        scale = self.scale
        enlarged = lr.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        return self.gain * enlarged


@pytest.fixture(scope='module')
def models():
    """By task; scale and SR network are replaced."""
    return {task: build_model(task) for task in TASKS}


def of_scale(model, scale):
    model.scale = scale
    model.degradation.scale = scale
    model.sr_net = Enlarge(scale)
    return model


def labels(sample, size):
    """Of an image of this size, without padding."""
    height, width = size
    if 'gt_sem_seg' in sample:
        return [sample.gt_sem_seg.data[:, :height, :width]]
    if 'gt_label' in sample:
        return [sample.gt_label]
    masks = sample.gt_instances.masks.masks[:, :height, :width]
    instances = sample.gt_instances
    return [instances.bboxes, instances.labels, torch.from_numpy(masks)]


@pytest.mark.parametrize('task', TASKS)
@given(scale=scales, sizes=batches)
@example(scale=4, sizes=[(5, 45), (45, 5)])
def test_every_view_has_the_size_of_hr(models, task, scale, sizes):
    """And the task model sees each image where its labels are."""
    if task == 'cls':  # images of one size, which is not padded
        sizes = sizes[:1] * len(sizes)
    model = of_scale(models[task], scale)
    batch = make_batch(task, sizes=sizes)
    before = copy.deepcopy(batch['data_samples'])
    views = model.make_views(batch)
    height, width = (-(-max(s) // scale) for s in zip(*views.sizes))
    assert views['lr'].shape == (len(sizes), 3, height, width)
    for name in ('sr', 'bilinear', 'cqmix'):
        assert views[name].shape == views['hr'].shape, name
        seen = views.task_input(name)
        assert seen.shape == views.inputs.shape, name
        for i, (h, w) in enumerate(views.sizes):
            assert torch.equal(seen[i, :, h:], views.inputs[i, :, h:])
            assert torch.equal(seen[i, :, :, w:], views.inputs[i, :, :, w:])
    for old, new, size in zip(before, model.task_samples(views), sizes):
        for x, y in zip(labels(old, size), labels(new, size)):
            assert torch.equal(x, y)
    assert views.sizes == [tuple(size) for size in sizes]


@pytest.mark.parametrize('padding', ['replicate', 'reflect'])
@given(
    sizes=batches,
    multiple=st.integers(1, 5),
    divisor=st.sampled_from([1, 8, 32]),
    is_rgb=st.booleans(),
    normalizes=st.booleans(),
)
def test_round_trip(padding, sizes, multiple, divisor, is_rgb, normalizes):
    """Pictures, and what the task model sees, are the same thing."""
    preprocessor = DetDataPreprocessor(
        bgr_to_rgb=is_rgb,
        pad_size_divisor=divisor,
        **(NORMALIZATION if normalizes else {}),
    )
    space = ImageSpace(preprocessor, is_rgb, padding)
    batch = make_batch('det', sizes=sizes)
    images = [image.flip(0).float() / 255 for image in batch['inputs']]
    inputs = space(batch)['inputs']
    rgb = space.to_image(inputs, sizes, multiple)
    assert all(side % multiple == 0 for side in rgb.shape[2:])
    for picture, image, (h, w) in zip(rgb, images, sizes):
        torch.testing.assert_close(picture[:, :h, :w], image)
        for x in (picture[:, h:], picture[:, :, w:]):
            assert not x.numel() or image.min() <= x.min() + 1e-6
            assert not x.numel() or x.max() <= image.max() + 1e-6
    torch.testing.assert_close(
        space.from_image(rgb, sizes, inputs), inputs, rtol=1e-4, atol=1e-4
    )


@given(scale=scales, size=st.tuples(sides, sides))
def test_real_lr_images_come_back_enlarged(models, scale, size):
    model = of_scale(models['seg'], scale)
    data = model.data_preprocessor(make_batch('seg', num=1, size=size))
    model.input_is_lr = True
    try:
        views = Views(model, **data)
        enlarged = tuple(side * scale for side in size)
        assert views['sr'].shape[2:] == views.task_input('sr').shape[2:]
        assert views.sizes == views.task_sizes == [enlarged]
        assert views['sr'].shape[2:] == enlarged
    finally:
        model.input_is_lr = False


@given(
    size=st.tuples(sides, sides),
    resize=st.tuples(st.integers(8, 90), st.integers(8, 90)),
)
@example(size=(5, 41), resize=(8, 8))  # a side of less than a pixel
def test_labels_follow_the_resized_image(models, size, resize):
    """Boxes and masks keep their place, relative to the image."""
    space = models['det'].image_space
    space.resize = resize
    try:
        model = of_scale(models['det'], 1)
        views = model.make_views(make_batch('det', num=1, size=size))
        (h, w), (sample,) = views.task_sizes[0], model.task_samples(views)
        assert h <= max(resize) and w <= max(resize)
        assert views.task_input('hr').shape[2:] == views.task_shape
        old = views.data_samples[0].gt_instances
        new = sample.gt_instances
        torch.testing.assert_close(
            new.bboxes / torch.tensor([w, h, w, h]),
            old.bboxes / torch.tensor([size[1], size[0]] * 2),
        )
        assert new.masks.masks.shape[1:] == views.task_shape
    finally:
        space.resize = None
