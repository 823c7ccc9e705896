"""The paper's configs train as the authors' code does: the same weights, batch
after batch, and the same learning rates (see docs/en/fidelity.md)."""

import itertools
import sys

import pytest
import reference
import torch
import torchvision
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, PARAM_SCHEDULERS
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from torch import nn
from torchvision.models.detection import faster_rcnn
from torchvision.ops import Conv2dNormActivation

sys.path.insert(0, 'tools/model_converters')
import official_to_sr4ir_mm as converter  # noqa: E402

RECIPES = 'configs/_base_/recipes'
CONFIGS = dict(
    seg='configs/sr4ir_deeplabv3_voc_x4.py',
    det='configs/sr4ir_faster-rcnn_voc_x4.py',
    cls='configs/sr4ir_resnet18_cub_x4.py',
)
NUM_CLASSES = 5
# Two batches are an epoch. Of detection, batches whose images differ in size,
# none a multiple of 4.
SIZES = dict(
    seg=[(64, 80)] * 4,
    det=[(75, 101), (90, 83), (97, 70), (62, 89)],
    cls=[(64, 64)] * 4,
)
RESIZE = (96, 64)
# Of the SR network, and of the detector's fully connected layers.
WIDTH = 16
EPOCH, ITERS = 2, 6
# A tenth of the training passes before TDP sets in, as in the configs. In
# detection half of that is the warm-up.
SCHEDULES = dict(
    seg=dict(epochs=10, periods=[1, 9], warmup=0),
    det=dict(epochs=20, periods=[1, 18], warmup=1),
    cls=dict(epochs=10, periods=[1, 9], warmup=0),
)


# ----------------------------------------------------------------------- data


def make_batches(task):
    """Of RGB images, uint8, and what torchvision's networks should find."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for sizes in (SIZES[task][:2], SIZES[task][2:]):
        images = draw_images(sizes, generator)
        batches.append((images, draw_target(task, sizes, generator)))
    return batches


def draw_images(sizes, generator):
    """None of whose LR pixels lies halfway between two levels. About one in a
    thousand does, and how it is rounded depends on the last bit."""
    while True:
        images = [
            torch.randint(0, 256, (3, *size), generator=generator)
            for size in sizes
        ]
        hr = reference.pad_to_batch([image.double() for image in images], 4)
        if ((reference.downscale(hr, 4) % 1 - 0.5).abs() > 1e-4).all():
            return [image.byte() for image in images]


def draw_target(task, sizes, generator):
    if task == 'cls':
        return torch.randint(0, NUM_CLASSES, (2,), generator=generator)
    if task == 'seg':
        target = torch.randint(
            0, NUM_CLASSES, (2, *sizes[0]), generator=generator
        )
        target[:, :10] = 255
        return target
    targets = []
    for height, width in sizes:
        boxes = torch.rand(3, 4, generator=generator) * 0.4
        boxes[:, 2:] += 0.5
        boxes = boxes.double() * torch.tensor([width, height] * 2)
        labels = torch.randint(1, 1 + NUM_CLASSES, (3,), generator=generator)
        targets.append(dict(boxes=boxes, labels=labels))
    return targets


@DATASETS.register_module()
class FidelityDataset(torch.utils.data.Dataset):
    """The same batches, as a dataset of the toolbox gives them."""

    def __init__(self, task):
        self.samples = [
            dict(inputs=image.flip(0), data_samples=sample)
            for images, target in make_batches(task)
            for image, sample in zip(images, to_samples(task, images, target))
        ]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def to_samples(task, images, target):
    from mmdet.structures import DetDataSample
    from mmpretrain.structures import DataSample
    from mmseg.structures import SegDataSample

    for image, label in zip(images, target):
        size = tuple(image.shape[1:])
        metainfo = dict(img_shape=size, ori_shape=size)
        if task == 'seg':
            sample = SegDataSample(metainfo=metainfo)
            sample.gt_sem_seg = PixelData(data=label[None])
        elif task == 'det':
            sample = DetDataSample(metainfo=metainfo)
            sample.gt_instances = InstanceData(
                bboxes=label['boxes'], labels=label['labels'] - 1
            )
        else:
            sample = DataSample(metainfo=metainfo).set_gt_label(label)
        yield sample


# ------------------------------------------------------------------- networks


def build_theirs(task, seed=0):
    torch.manual_seed(seed)
    sr_net = reference.EDSR(2, width=WIDTH, blocks=2).set_mean_shifts()
    if task == 'seg':
        network = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
            num_classes=NUM_CLASSES,
            weights=None,
            weights_backbone=None,
            aux_loss=True,
        )
        trainer = reference.Segmentation(network)
    elif task == 'cls':
        network = torchvision.models.resnet18(num_classes=NUM_CLASSES)
        trainer = reference.Classification(network)
    else:
        network = reference.build_faster_rcnn(
            num_classes=1 + NUM_CLASSES,
            min_size=min(RESIZE),
            max_size=max(RESIZE),
        )
        heads = network.roi_heads
        heads.box_head = faster_rcnn.TwoMLPHead(256 * 7 * 7, WIDTH)
        heads.box_predictor = faster_rcnn.FastRCNNPredictor(
            WIDTH, 1 + NUM_CLASSES
        )
        calibrate(network)
        trainer = reference.Detection(network)
    drop_nothing(network)
    return sr_net, trainer


def calibrate(detector):
    """Frozen BatchNorm has no statistics of trained weights. Make features of
    ordinary size, in which the first steps do not diverge."""

    def standardize(norm, inputs):
        handles.pop(norm).remove()
        scale = 1 / inputs[0].std((0, 2, 3)).view(-1, 1, 1)
        convs[norm].weight *= scale[..., None]
        scaled = inputs[0] * scale
        norm.running_mean.copy_(scaled.mean((0, 2, 3)))
        return scaled

    blocks = detector.backbone.body.modules()
    blocks = [b for b in blocks if isinstance(b, Conv2dNormActivation)]
    convs = {norm: conv for conv, norm, *_ in blocks}
    handles = {
        norm: norm.register_forward_pre_hook(standardize) for norm in convs
    }
    with torch.no_grad():
        detector.backbone(torch.randn(2, 3, 160, 160))
        for block in detector.backbone.fpn.layer_blocks:
            block[0].weight *= 0.05


def settle(network):
    """Statistics of BatchNorm under which features keep an ordinary size."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 64, 64))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum


def drop_nothing(network):
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0


def to_ours(sr_net, trainer):
    """Their weights, converted."""
    weights = {}
    for name, network in (('sr_net', sr_net), ('task_model', trainer.network)):
        state_dict = network.state_dict()
        architecture = converter.ARCHITECTURES[
            converter.detect(state_dict, 'theirs')
        ]
        for key, value in architecture.to_ours(state_dict).items():
            weights[f'{name}.{key}'] = value.clone()
    return weights


def our_config(task, work_dir, recipe=None):
    """The paper's config, with few classes and epochs, and without what takes
    files."""
    cfg = Config.fromfile(CONFIGS[task])
    schedule = SCHEDULES[task]
    cfg.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            load_from=str(work_dir / 'converted.pth'),
            log_level='ERROR',
            default_hooks=dict(checkpoint=None),
            train_cfg=dict(max_epochs=schedule['epochs']),
            train_dataloader=dict(
                _delete_=True,
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='mmengine.FidelityDataset', task=task),
            ),
            **dict.fromkeys(
                f'{split}_{part}'
                for split in ('val', 'test')
                for part in ('cfg', 'dataloader', 'evaluator')
            ),
        )
    )
    for scheduler in itertools.chain(
        *map(as_list, cfg.param_scheduler.values())
    ):
        if scheduler.type == 'LinearLR':
            scheduler.update(
                start_factor=1 / (EPOCH * schedule['warmup']),
                end=schedule['warmup'] + 1 / EPOCH,
            )
        else:
            scheduler.update(
                periods=schedule['periods'], end=schedule['epochs']
            )
    model = cfg.model
    if recipe is not None:
        name = recipe + '_faster-rcnn' * (task == 'det')
        model.update(read_recipe(name))
    model.sr_net.update(mid_channels=WIDTH, num_blocks=2, init_cfg=None)
    network = model.task_model
    network.backbone.init_cfg = None
    if task == 'seg':
        network.decode_head.num_classes = NUM_CLASSES
        network.auxiliary_head.num_classes = NUM_CLASSES
    elif task == 'det':
        head = network.roi_head.bbox_head
        head.update(num_classes=NUM_CLASSES, fc_out_channels=WIDTH)
        model.resize = RESIZE
    else:
        network.head.num_classes = NUM_CLASSES
    return cfg


def read_recipe(name):
    return Config.fromfile(f'{RECIPES}/{name}.py').recipe


def as_list(value):
    return value if isinstance(value, list) else [value]


class Follow(Hook):
    """Gives each iteration its CQMix mask, stores the weights after it, and
    ends the training after some."""

    def __init__(self, masks):
        self.masks = masks
        self.weights = []
        self.with_tdp = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        mask = self.masks[runner.iter]
        runner.model.cqmix.draw_mask = lambda sr: mask

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        self.weights.append(
            {k: v.clone() for k, v in runner.model.state_dict().items()}
        )
        self.with_tdp.append('sr/loss_tdp' in outputs)
        if len(self.weights) == ITERS:
            runner.train_loop.stop_training = True


# ---------------------------------------------------------------------- tests


@pytest.fixture
def double(float64, monkeypatch):
    """And deterministic: both samplers of a detector take the first of what
    they may take."""
    monkeypatch.setattr(torch, 'randperm', torch.arange)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def train_ours(cfg, masks):
    ours = Follow(masks)
    runner = Runner.from_cfg(cfg)
    drop_nothing(runner.model)
    runner.register_hook(ours)
    runner.train()
    return ours


def batches_of(task):
    return itertools.cycle(
        ([image / 255.0 for image in images], target)
        for images, target in make_batches(task)
    )


def schedule_of(task):
    schedule = SCHEDULES[task]
    return dict(
        periods=[EPOCH * period for period in schedule['periods']],
        warmup=EPOCH * schedule['warmup'],
    )


def compare(theirs, ours, sr_net, trainer, start):
    """Weights after each iteration."""
    for weights, i in zip(ours.weights, theirs):
        expected = to_ours(sr_net, trainer)
        assert weights.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                weights[key],
                value,
                rtol=0,
                atol=1e-7,
                msg=lambda text, i=i, key=key: f'{key}, {i}: {text}',
            )
    assert i == ITERS - 1
    moved = {
        key.split('.')[0]
        for key, value in expected.items()
        if value.is_floating_point()
        and (value - start[key]).abs().max() > 1e-4
    }
    assert moved == {'sr_net', 'task_model'}


@pytest.mark.parametrize('task', CONFIGS)
def test_trains_as_the_authors_do(task, tmp_path, double):
    sr_net, trainer = build_theirs(task)
    start = to_ours(sr_net, trainer)
    torch.save(dict(state_dict=start), tmp_path / 'converted.pth')
    masks = torch.rand(ITERS, 2, 1, trainer.grid, trainer.grid) < 0.5
    tdp_begin = EPOCH * SCHEDULES[task]['epochs'] // 10
    ours = train_ours(our_config(task, tmp_path), masks)
    theirs = reference.train(
        sr_net,
        trainer,
        batches_of(task),
        masks,
        tdp_begin,
        **schedule_of(task),
    )
    compare(theirs, ours, sr_net, trainer, start)
    assert ours.with_tdp == [i >= tdp_begin for i in range(ITERS)]


@pytest.mark.parametrize('recipe', ['sr4ir_2026', 'hlf'])
@pytest.mark.parametrize('task', CONFIGS)
def test_trains_as_the_authors_do_today(task, recipe, tmp_path, double):
    sr_net, trainer = build_theirs(task)
    other, teacher = build_theirs(task, seed=1)
    if task != 'det':  # which is calibrated
        settle(trainer.network)
        settle(teacher.network)
    start = to_ours(sr_net, trainer)
    torch.save(dict(state_dict=start), tmp_path / 'converted.pth')
    masks = torch.rand(ITERS, 2, 1, 8, 8) < 0.5
    cfg = our_config(task, tmp_path, recipe)
    if recipe == 'hlf':
        weights = to_ours(other, teacher)
        cfg.model.teacher = str(tmp_path / 'teacher.pth')
        torch.save(dict(state_dict=weights), cfg.model.teacher)
        theirs = reference.train_hlf(
            sr_net, trainer, teacher, batches_of(task), **schedule_of(task)
        )
    else:
        theirs = reference.train_2026(
            sr_net, trainer, batches_of(task), masks, **schedule_of(task)
        )
    compare(theirs, train_ours(cfg, masks), sr_net, trainer, start)


# The authors' numbers. Iterations of an epoch at their batch size; epochs of
# warm-up, before and after TDP sets in; rate of the task network.
PAPER = dict(
    seg=dict(epoch=92, epochs=(0, 10, 90), lr=0.02),
    det=dict(epoch=357, epochs=(1, 2, 27), lr=0.02),
    cls=dict(epoch=47, epochs=(0, 20, 180), lr=0.03),
)


@pytest.mark.parametrize('task', CONFIGS)
def test_learning_rates_are_the_authors(task):
    """Of all parameters, at every iteration of the whole training."""
    cfg, paper = Config.fromfile(CONFIGS[task]), PAPER[task]
    model = nn.Module()
    model.sr_net = nn.Conv2d(3, 3, 1)
    model.task_model = nn.ModuleDict(
        dict(backbone=nn.Linear(1, 1), auxiliary_head=nn.Linear(1, 1))
    )
    optimizers = build_optim_wrapper(model, cfg.optim_wrapper)
    schedulers = [
        PARAM_SCHEDULERS.build(
            scheduler,
            default_args=dict(
                optimizer=optimizers[name], epoch_length=paper['epoch']
            ),
        )
        for name, value in cfg.param_scheduler.items()
        for scheduler in as_list(value)
    ]
    groups = {
        parameter: group
        for optimizer in optimizers.values()
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    task_rate = (paper['lr'], 1e-4)
    # mmagic's EDSR has biases 255 times smaller than the authors'.
    rates = {
        'sr_net.weight': (1e-4, 1e-6),
        'sr_net.bias': (1e-4 / 255, 1e-6 / 255),
        'task_model.backbone.weight': task_rate,
        'task_model.backbone.bias': task_rate,
    }
    for name in ('weight', 'bias'):
        rates[f'task_model.auxiliary_head.{name}'] = (
            (0.2, 1e-4) if task == 'seg' else task_rate
        )
    warmup, *periods = (paper['epoch'] * n for n in paper['epochs'])
    parameters = dict(model.named_parameters())
    num_iters = paper['epoch'] * sum(paper['epochs'])
    assert cfg.train_cfg.max_epochs == sum(paper['epochs'])
    for i in range(num_iters):
        for name, (base, eta_min) in rates.items():
            expected = reference.learning_rate(
                i, base, eta_min, periods, warmup
            )
            lr = groups[parameters[name]]['lr']
            assert lr == pytest.approx(expected, rel=1e-6, abs=0), (i, name)
        for optimizer in optimizers.values():
            optimizer.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    # The restart is where TDP sets in.
    tdp = cfg.phases[0].losses[1]
    assert tdp.begin * num_iters == warmup + periods[0]
