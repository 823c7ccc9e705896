"""SR4IR as its authors train it, in plain PyTorch.

Written down from what their code does, one step after the other, and without
anything of this package or of OpenMMLab: what the tests compare with. The
task networks are torchvision's, as theirs. The learning rate restarts at the
iteration at which TDP sets in; theirs does so one iteration later.
"""

import math
from functools import partial
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import faster_rcnn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EDSR_MEAN = (0.4488, 0.4371, 0.4040)
SR_LR, SR_LR_MIN, TASK_LR_MIN = 1e-4, 1e-6, 1e-4


class EDSR(nn.Module):
    """EDSR-baseline after its paper and release: images in [0, 255]."""

    def __init__(self, stages, width=64, blocks=16):
        super().__init__()
        conv = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.sub_mean, self.add_mean = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.head = nn.Sequential(conv(3, width))
        blocks = [nn.Module() for _ in range(blocks)]
        for block in blocks:
            block.body = nn.Sequential(
                conv(width, width), nn.ReLU(), conv(width, width)
            )
        self.body = nn.Sequential(*blocks, conv(width, width))
        upsampler = nn.Sequential()
        for _ in range(stages):
            upsampler.extend([conv(width, 4 * width), nn.PixelShuffle(2)])
        self.tail = nn.Sequential(upsampler, conv(width, 3))

    def set_mean_shifts(self):
        mean = torch.tensor(EDSR_MEAN, dtype=torch.float64)
        for sign, layer in ((-1, self.sub_mean), (1, self.add_mean)):
            layer.weight.data = torch.eye(3).double().view(3, 3, 1, 1)
            layer.bias.data = sign * 255 * mean
            layer.requires_grad_(False)
        return self

    def forward(self, x):
        x = out = self.head(self.sub_mean(255 * x))
        for block in self.body[:-1]:
            out = out + block.body(out)
        out = self.tail(x + self.body[-1](out))
        return self.add_mean(out) / 255


def build_faster_rcnn(num_classes, **kwargs):
    """torchvision's detector as the authors build it, but for the weights of
    the backbone, which would have to be fetched."""
    network = faster_rcnn.mobilenet_v3_large
    with mock.patch.object(
        faster_rcnn,
        'mobilenet_v3_large',
        lambda weights, **kwargs: network(weights=None, **kwargs),
    ):
        return faster_rcnn.fasterrcnn_mobilenet_v3_large_fpn(
            num_classes=num_classes,
            weights_backbone='IMAGENET1K_V1',
            **kwargs,
        )


def downscale(hr, scale):
    return F.interpolate(
        hr, scale_factor=1 / scale, mode='bicubic', align_corners=False
    )


def quantize(image):
    return (255 * image).round().clamp(0, 255) / 255


def pad_to_batch(images, multiple):
    """Each image is continued at the bottom and at the right."""
    height, width = (
        math.ceil(max(image.shape[i] for image in images) / multiple)
        * multiple
        for i in (1, 2)
    )
    batch = []
    for image in images:
        low, right = height - image.shape[1], width - image.shape[2]
        reflects = low < image.shape[1] and right < image.shape[2]
        mode = 'reflect' if reflects else 'replicate'
        batch.append(F.pad(image[None], (0, right, 0, low), mode=mode))
    return torch.cat(batch)


def mix(sr, hr, mask):
    """CQMix; 1 in the mask stands for SR."""
    mask = F.interpolate(mask.to(hr), size=hr.shape[2:], mode='nearest')
    return sr * mask + hr * (1 - mask)


def normalize(image):
    mean, std = (image.new_tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return (image - mean) / std


def learning_rate(i, base, eta_min, periods, warmup=0):
    """The rate of iteration ``i``, counted from 0: after ``warmup``
    iterations a half cosine over each period."""
    if i < warmup:
        return base * (1 / warmup + (1 - 1 / warmup) * i / warmup)
    i -= warmup
    for period in periods:
        if i < period:
            cosine = math.cos(math.pi * i / period)
            return eta_min + (base - eta_min) * (1 + cosine) / 2
        i -= period


class Segmentation:
    """DeepLabV3."""

    grid = 8
    tdp_weights = (1.0,)

    def __init__(self, network):
        self.network = network
        aux = list(network.aux_classifier.parameters())
        rest = [*network.backbone.parameters()]
        rest += network.classifier.parameters()
        self.optimizer = torch.optim.SGD(
            [dict(params=rest), dict(params=aux, lr=0.2)],
            lr=0.02,
            momentum=0.9,
            weight_decay=1e-6,
        )

    def features(self, images, sizes):
        return [self.network.backbone(normalize(images))['out']]

    def record(self, found):
        return self.network.backbone.register_forward_hook(
            lambda module, _, output: found.append(output['out'])
        )

    def loss(self, images, sizes, target):
        found = self.network(normalize(images))
        return F.cross_entropy(
            found['out'], target, ignore_index=255
        ) + 0.5 * F.cross_entropy(found['aux'], target, ignore_index=255)


class Classification:
    """ResNet18."""

    grid = 4
    tdp_weights = (1.0,)

    def __init__(self, network):
        self.network = network
        self.optimizer = torch.optim.SGD(
            network.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4
        )

    def features(self, images, sizes):
        n = self.network
        x = n.maxpool(n.relu(n.bn1(n.conv1(normalize(images)))))
        return [n.layer4(n.layer3(n.layer2(n.layer1(x))))]

    def record(self, found):
        return self.network.layer4.register_forward_hook(
            lambda module, _, output: found.append(output)
        )

    def loss(self, images, sizes, target):
        return F.cross_entropy(self.network(normalize(images)), target)


class Detection:
    """Faster R-CNN, which normalises and resizes by itself."""

    grid = 8
    tdp_weights = (0.5, 0.5)

    def __init__(self, network):
        self.network = network
        self.optimizer = torch.optim.SGD(
            [p for p in network.parameters() if p.requires_grad],
            lr=0.02,
            momentum=0.9,
            weight_decay=1e-4,
        )

    def features(self, images, sizes):
        batch, _ = self.network.transform(self.cut(images, sizes))
        maps = self.network.backbone(batch.tensors)
        return [maps['0'], maps['1']]

    def record(self, found):
        return self.network.backbone.register_forward_hook(
            lambda module, _, maps: found.extend([maps['0'], maps['1']])
        )

    def loss(self, images, sizes, target):
        return sum(self.network(self.cut(images, sizes), target).values())

    @staticmethod
    def cut(images, sizes):
        return [image[:, :h, :w] for image, (h, w) in zip(images, sizes)]


def train(sr_net, task, batches, masks, tdp_begin, periods, warmup=0):
    """SR4IR: train both networks; stops after each iteration.

    ``batches`` has one pair for each iteration: the images, RGB in [0, 1],
    perhaps of different sizes, and what the task network should find in them.
    """
    masks = iter(masks)

    def sr_loss(i, sr, hr, sizes):
        loss = F.l1_loss(sr, hr)
        if i >= tdp_begin:
            loss = loss + tdp(task, task.tdp_weights, sr, hr, sizes)
        return loss

    def task_loss(i, sr, hr, sizes, target):
        mixed = mix(sr, hr, next(masks))
        return sum(
            0.34 * task.loss(view, sizes, target) for view in (sr, hr, mixed)
        )

    rates = partial(learning_rate, periods=periods, warmup=warmup)
    yield from alternate(sr_net, task, batches, rates, sr_loss, task_loss)


def train_2026(sr_net, task, batches, masks, periods, warmup=0):
    """SR4IR as its authors run it in 2026: one batch of three views."""
    masks = iter(masks)

    def sr_loss(i, sr, hr, sizes):
        return F.l1_loss(sr, hr) + tdp(task, task.tdp_weights, sr, hr, sizes)

    def task_loss(i, sr, hr, sizes, target):
        views = torch.cat([sr, hr, mix(sr, hr, next(masks))])
        if isinstance(target, torch.Tensor):
            return task.loss(views, sizes * 3, torch.cat([target] * 3))
        return task.loss(views, sizes * 3, target * 3)

    rates = partial(learning_rate, periods=periods, warmup=warmup)
    yield from alternate(sr_net, task, batches, rates, sr_loss, task_loss)


def train_hlf(sr_net, task, teacher, batches, periods, warmup=0):
    """HLF (EDTR): features alone, half restored and half HR images, FM."""
    halves = [weight / 2 for weight in task.tdp_weights]
    teacher.network.eval().requires_grad_(False)

    def sr_loss(i, sr, hr, sizes):
        return sum(tdp(t, halves, sr, hr, sizes) for t in (task, teacher))

    def task_loss(i, sr, hr, sizes, target):
        half = len(sr) // 2
        found = []
        handle = task.record(found)
        mixed = torch.cat([sr[:half], hr[half:]])
        loss = task.loss(mixed, sizes, target)
        handle.remove()
        for mine, its in zip(found, teacher.features(hr, sizes)):
            loss = loss + 0.5 * F.l1_loss(mine, its)
        return loss

    rates = partial(learning_rate, periods=periods, warmup=warmup)
    yield from alternate(sr_net, task, batches, rates, sr_loss, task_loss)


def tdp(task, weights, sr, hr, sizes):
    """The distance of a task network's features of SR and HR."""
    training = task.network.training
    task.network.eval()
    of_sr, of_hr = task.features(sr, sizes), task.features(hr, sizes)
    task.network.train(training)
    return sum(
        weight * F.l1_loss(f_sr, f_hr)
        for weight, f_sr, f_hr in zip(weights, of_sr, of_hr)
    )


def alternate(sr_net, task, batches, rates, sr_loss, task_loss):
    """Both phases, batch by batch."""
    sr_params = [p for p in sr_net.parameters() if p.requires_grad]
    task_params = [p for p in task.network.parameters() if p.requires_grad]
    sr_optimizer = torch.optim.AdamW(sr_params, lr=SR_LR, weight_decay=0)
    optimizers = (sr_optimizer, SR_LR_MIN), (task.optimizer, TASK_LR_MIN)
    bases = [[g['lr'] for g in o.param_groups] for o, _ in optimizers]
    sr_net.train()
    task.network.train()

    for i, (images, target) in enumerate(batches):
        for (optimizer, eta_min), lrs in zip(optimizers, bases):
            for group, base in zip(optimizer.param_groups, lrs):
                group['lr'] = rates(i, base, eta_min)
        sizes = [image.shape[1:] for image in images]
        hr = pad_to_batch(images, multiple=4)
        lr = quantize(downscale(hr, 4))

        # phase 1: the SR network
        sr = sr_net(lr)
        for param in task_params:
            param.requires_grad = False
        sr_optimizer.zero_grad()
        sr_loss(i, sr, hr, sizes).backward()
        sr_optimizer.step()

        # phase 2: the task network
        sr = sr_net(lr).detach()
        for param in task_params:
            param.requires_grad = True
        task.optimizer.zero_grad()
        task_loss(i, sr, hr, sizes, target).backward()
        task.optimizer.step()
        yield i
