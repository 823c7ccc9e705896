"""Convert released checkpoints to those of this package, and back.

The authors release the SR network and the task network as two files; a
checkpoint of ours is one, with keys ``sr_net.*`` and ``task_model.*``::

    official_to_sr4ir_mm.py net_sr_latest.pth net_seg_latest.pth sr4ir.pth

``tools/test.py`` and ``load_from`` read the result. To start one network from
it, e.g. an SR network that was trained elsewhere, use
``init_cfg=dict(type='Pretrained', checkpoint='sr4ir.pth', prefix='sr_net.')``,
for a backbone ``prefix='task_model.backbone.'``.
"""

import argparse
import os.path as osp
import re
import sys
from contextlib import contextmanager
from functools import lru_cache
from pickle import UnpicklingError
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    Iterator,
    NamedTuple,
    Sequence,
    Set,
    Tuple,
)

import sr4ir_mm  # noqa: F401  (lets torch read mmengine's checkpoints)

if TYPE_CHECKING:
    from torch import Tensor

StateDict = Dict[str, 'Tensor']
# Names of the same weights: theirs to ours.
Names = Dict[str, str]


class Architecture(NamedTuple):
    """How the weights of one network are written, there and here.

    Args:
        network (str): What it is in our models, ``sr_net`` or ``task_model``.
        theirs (str): A key by which their layout is recognised.
        ours (str): A key by which our layout is recognised.
        to_ours (Callable): Converts a state dict.
        to_theirs (Callable): The inverse.
        wrapper (str): The key of their files that holds the state dict.
            Defaults to '', for files that are the state dict.
    """

    network: str
    theirs: str
    ours: str
    to_ours: Callable[[StateDict], StateDict]
    to_theirs: Callable[[StateDict], StateDict]
    wrapper: str = ''


# ------------------------------------------------------------------- renaming


def rename(state_dict: StateDict, names: Names) -> StateDict:
    """Rename all weights.

    Raises:
        ValueError: If the keys are not exactly those of ``names``.
    """
    missing = [key for key in names if key not in state_dict]
    unexpected = [key for key in state_dict if key not in names]
    if missing or unexpected:
        raise ValueError(
            'its keys do not fit.'
            + ''.join(f'\n  missing: {key}' for key in missing)
            + ''.join(f'\n  unexpected: {key}' for key in unexpected)
        )
    return {names[key]: value for key, value in state_dict.items()}


def renaming(find_names: Callable[[Set[str]], Names]) -> Tuple[Callable, ...]:
    """Both directions of an architecture that only differs in names.

    Args:
        find_names (Callable): From the keys in either layout to the names in
            both of the network that has them.
    """

    def to_ours(state_dict: StateDict) -> StateDict:
        return rename(state_dict, find_names(set(state_dict)))

    def to_theirs(state_dict: StateDict) -> StateDict:
        names = find_names(set(state_dict))
        return rename(state_dict, {ours: key for key, ours in names.items()})

    return to_ours, to_theirs


def parameters(layers: Names) -> Names:
    """The names of the weights and biases of layers."""
    return {
        f'{theirs}.{name}': f'{ours}.{name}'
        for theirs, ours in layers.items()
        for name in ('weight', 'bias')
    }


def length(keys: Set[str], pattern: str) -> int:
    """One more than the highest number that ``pattern`` finds in keys."""
    found = (re.match(pattern, key) for key in keys)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


# ----------------------------------------------------------------------- EDSR

# EDSR-PyTorch works on [0, 255], mmagic on [0, 1]. The network between the
# mean shifts is convolutions, ReLU, sums and pixel shuffles: with b / 255 for
# all of its biases b, F(255 x) = 255 F'(x). The weights stay.
EDSR_RANGE = 255
EDSR_MEAN = (0.4488, 0.4371, 0.4040)


def edsr_names(keys: Set[str]) -> Names:
    num_blocks = length(keys, r'body\.(\d+)\.(?:body|conv)')
    num_stages = 1 + max(
        length(keys, r'upsample\.(\d+)\.') - 1,
        length(keys, r'tail\.0\.(\d+)\.') // 2,
    )
    layers = {'head.0': 'conv_first'}
    for i in range(num_blocks):
        layers[f'body.{i}.body.0'] = f'body.{i}.conv1'
        layers[f'body.{i}.body.2'] = f'body.{i}.conv2'
    layers[f'body.{num_blocks}'] = 'conv_after_body'
    for i in range(num_stages):
        # pixel shuffles have the odd numbers
        layers[f'tail.0.{2 * i}'] = f'upsample.{i}.upsample_conv'
    layers['tail.1'] = 'conv_last'
    return parameters(layers)


def edsr_mean_shift() -> StateDict:
    """The fixed convolutions around their network."""
    import torch

    mean = EDSR_RANGE * torch.tensor(EDSR_MEAN)
    eye = torch.eye(3).view(3, 3, 1, 1)
    return {
        'sub_mean.weight': eye,
        'sub_mean.bias': -mean,
        'add_mean.weight': eye.clone(),
        'add_mean.bias': mean,
    }


def edsr_to_ours(state_dict: StateDict) -> StateDict:
    import torch

    fixed = edsr_mean_shift()
    names = edsr_names(set(state_dict))
    converted = rename(state_dict, {**names, **{key: key for key in fixed}})
    for key, expected in fixed.items():
        if not torch.allclose(converted.pop(key).float(), expected):
            raise ValueError(
                f'{key} is not {expected.flatten().tolist()}: only networks '
                f"on [0, {EDSR_RANGE}] with DIV2K's mean can be converted."
            )
    return scale_biases(converted, 1 / EDSR_RANGE)


def edsr_to_theirs(state_dict: StateDict) -> StateDict:
    names = edsr_names(set(state_dict))
    converted = rename(state_dict, {ours: key for key, ours in names.items()})
    return {**edsr_mean_shift(), **scale_biases(converted, EDSR_RANGE)}


def scale_biases(state_dict: StateDict, factor: float) -> StateDict:
    return {
        key: value * factor if key.endswith('.bias') else value
        for key, value in state_dict.items()
    }


# --------------------------------------------------------------------- SwinIR


def swinir_names(keys: Set[str]) -> Names:
    """SwinIR for classical SR: mmagic kept the names."""
    layers = ['conv_first', 'patch_embed.norm']
    buffers = []
    for i in range(length(keys, r'layers\.(\d+)\.')):
        group = f'layers.{i}.residual_group.blocks'
        for j in range(length(keys, rf'{re.escape(group)}\.(\d+)\.')):
            block = f'{group}.{j}'
            layers += [
                f'{block}.{name}'
                for name in ('norm1', 'attn.qkv', 'attn.proj')
                + ('norm2', 'mlp.fc1', 'mlp.fc2')
            ]
            buffers.append(f'{block}.attn.relative_position_bias_table')
            buffers.append(f'{block}.attn.relative_position_index')
            if j % 2:  # every other block shifts its windows
                buffers.append(f'{block}.attn_mask')
        layers.append(f'layers.{i}.conv')
    layers += ['norm', 'conv_after_body', 'conv_before_upsample.0']
    num_convs = length(keys, r'upsample\.(\d+)\.')
    layers += [f'upsample.{i}' for i in range(0, num_convs, 2)]
    layers.append('conv_last')
    names = parameters({name: name for name in layers})
    return {**names, **{name: name for name in buffers}}


# ------------------------------------------------- torchvision's task networks

DEEPLABV3 = (
    (r'^backbone\.(\d+)\.', r'backbone.features.\1.'),  # MobileNetV3
    (r'^classifier\.0\.convs\.4\.1\.', 'decode_head.image_pool.1.conv.'),
    (r'^classifier\.0\.convs\.4\.2\.', 'decode_head.image_pool.1.bn.'),
    (
        r'^classifier\.0\.convs\.(\d)\.0\.',
        r'decode_head.aspp_modules.\1.conv.',
    ),
    (r'^classifier\.0\.convs\.(\d)\.1\.', r'decode_head.aspp_modules.\1.bn.'),
    (r'^classifier\.0\.project\.0\.', 'decode_head.bottleneck.0.conv.'),
    (r'^classifier\.0\.project\.1\.', 'decode_head.bottleneck.0.bn.'),
    (r'^classifier\.1\.', 'decode_head.bottleneck.2.conv.'),
    (r'^classifier\.2\.', 'decode_head.bottleneck.2.bn.'),
    (r'^classifier\.4\.', 'decode_head.conv_seg.'),
    (r'^aux_classifier\.0\.', 'auxiliary_head.convs.0.conv.'),
    (r'^aux_classifier\.1\.', 'auxiliary_head.convs.0.bn.'),
    (r'^aux_classifier\.4\.', 'auxiliary_head.conv_seg.'),
)
RESNET = ((r'^fc\.', 'head.fc.'), (r'^(?!head\.)', 'backbone.'))


@lru_cache(maxsize=None)
def torchvision_keys(model: str, **kwargs) -> Tuple[str, ...]:
    import torch
    import torchvision

    with torch.device('meta'):
        network = torchvision.models.get_model(model, weights=None, **kwargs)
    return tuple(network.state_dict())


def torchvision_names(
    rules: Sequence[Tuple[str, str]], *models: str, **kwargs
) -> Callable[[Set[str]], Names]:
    """Find names in whichever of torchvision's ``models`` fits best.

    Args:
        rules (Sequence[tuple[str, str]]): Patterns and replacements, applied
            in order to their key.
        *models (str): The candidates.
        **kwargs: Arguments of all ``models``.
    """

    def ours(key: str) -> str:
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        return key

    def find_names(keys: Set[str]) -> Names:
        candidates = [
            {key: ours(key) for key in torchvision_keys(model, **kwargs)}
            for model in models
        ]
        return min(
            candidates,
            key=lambda names: min(
                len(keys ^ set(names)), len(keys ^ set(names.values()))
            ),
        )

    return find_names


rename_deeplabv3, restore_deeplabv3 = renaming(
    torchvision_names(
        DEEPLABV3,
        'deeplabv3_mobilenet_v3_large',
        'deeplabv3_resnet50',
        weights_backbone=None,
        aux_loss=True,
    )
)


def deeplabv3_to_ours(state_dict: StateDict) -> StateDict:
    return move_pooled_branch(rename_deeplabv3(state_dict), 1)


def deeplabv3_to_theirs(state_dict: StateDict) -> StateDict:
    return restore_deeplabv3(move_pooled_branch(state_dict, -1))


def move_pooled_branch(state_dict: StateDict, steps: int) -> StateDict:
    """torchvision's ASPP concatenates its pooled branch last, mmseg's first:
    the convolution that merges them reads the other order."""
    key = 'decode_head.bottleneck.0.conv.weight'
    if key not in state_dict:  # renaming will say so
        return state_dict
    weight = state_dict[key]
    channels = weight.shape[1] // 5  # one pooled and four convolved branches
    return {**state_dict, key: weight.roll(steps * channels, dims=1)}


def mobilenet_v3_names(keys: Set[str]) -> Names:
    return {
        key: f'backbone.{key}'
        for key in torchvision_keys('mobilenet_v3_large')
        if key.startswith('features.')
    }


def mobilenet_v3_to_ours(state_dict: StateDict) -> StateDict:
    """The backbone: no toolbox has the ImageNet classifier."""
    backbone = {
        key: value
        for key, value in state_dict.items()
        if not key.startswith('classifier.')
    }
    return rename(backbone, mobilenet_v3_names(set(backbone)))


FASTER_RCNN = (
    (r'^backbone\.body\.', 'backbone.features.'),
    (
        r'^backbone\.fpn\.inner_blocks\.(\d)\.0\.',
        r'neck.lateral_convs.\1.conv.',
    ),
    (r'^backbone\.fpn\.layer_blocks\.(\d)\.0\.', r'neck.fpn_convs.\1.conv.'),
    (r'^rpn\.head\.conv\.0\.0\.', 'rpn_head.rpn_conv.'),
    (r'^rpn\.head\.cls_logits\.', 'rpn_head.rpn_cls.'),
    (r'^rpn\.head\.bbox_pred\.', 'rpn_head.rpn_reg.'),
    (r'^roi_heads\.box_head\.fc6\.', 'roi_head.bbox_head.shared_fcs.0.'),
    (r'^roi_heads\.box_head\.fc7\.', 'roi_head.bbox_head.shared_fcs.1.'),
    (r'^roi_heads\.box_predictor\.cls_score\.', 'roi_head.bbox_head.fc_cls.'),
    (r'^roi_heads\.box_predictor\.bbox_pred\.', 'roi_head.bbox_head.fc_reg.'),
)
# Names before torchvision 0.13, which its COCO weights still have.
OLD_FASTER_RCNN = (
    (r'(\.(?:inner|layer)_blocks\.\d)\.(?=weight|bias)', r'\1.0.'),
    (r'^rpn\.head\.conv\.(?=weight|bias)', 'rpn.head.conv.0.0.'),
)


def faster_rcnn_names(keys: Set[str]) -> Names:
    names = torchvision_names(
        FASTER_RCNN, 'fasterrcnn_mobilenet_v3_large_fpn', weights_backbone=None
    )(keys)
    counter = 'num_batches_tracked'
    counts = any(key.endswith(counter) for key in keys)
    return {  # a frozen BatchNorm has no counter
        key: ours
        for key, ours in names.items()
        if counts or not key.endswith(counter)
    }


rename_faster_rcnn, restore_faster_rcnn = renaming(faster_rcnn_names)


def faster_rcnn_to_ours(state_dict: StateDict) -> StateDict:
    """torchvision's class 0 is the background, mmdet's is the last. The box
    that torchvision regresses for the background is never used: it is left
    out."""
    for old, new in OLD_FASTER_RCNN:
        state_dict = {re.sub(old, new, k): v for k, v in state_dict.items()}
    converted = rename_faster_rcnn(state_dict)
    for name in ('weight', 'bias'):
        scores = f'roi_head.bbox_head.fc_cls.{name}'
        boxes = f'roi_head.bbox_head.fc_reg.{name}'
        converted[scores] = converted[scores].roll(-1, dims=0)
        converted[boxes] = converted[boxes][4:]
    return converted


def faster_rcnn_to_theirs(state_dict: StateDict) -> StateDict:
    """With zeros for the weights of the box of the background."""
    import torch

    converted = restore_faster_rcnn(state_dict)
    for name in ('weight', 'bias'):
        scores = f'roi_heads.box_predictor.cls_score.{name}'
        boxes = f'roi_heads.box_predictor.bbox_pred.{name}'
        converted[scores] = converted[scores].roll(1, dims=0)
        box = converted[boxes]
        converted[boxes] = torch.cat([torch.zeros_like(box[:4]), box])
    return converted


# -------------------------------------------------------------- architectures

# The first whose key is found is taken: backbones stand after what has them.
ARCHITECTURES = dict(
    edsr=Architecture(
        'sr_net',
        'head.0.weight',
        'body.0.conv1.weight',
        edsr_to_ours,
        edsr_to_theirs,
    ),
    swinir=Architecture(
        'sr_net',
        'layers.0.residual_group.blocks.0.norm1.weight',
        'layers.0.residual_group.blocks.0.norm1.weight',
        *renaming(swinir_names),
        wrapper='params',
    ),
    deeplabv3=Architecture(
        'task_model',
        'classifier.0.convs.0.0.weight',
        'decode_head.aspp_modules.0.conv.weight',
        deeplabv3_to_ours,
        deeplabv3_to_theirs,
    ),
    faster_rcnn=Architecture(
        'task_model',
        'roi_heads.box_predictor.cls_score.weight',
        'roi_head.bbox_head.fc_cls.weight',
        faster_rcnn_to_ours,
        faster_rcnn_to_theirs,
    ),
    resnet=Architecture(
        'task_model',
        'layer1.0.conv1.weight',
        'backbone.layer1.0.conv1.weight',
        *renaming(torchvision_names(RESNET, 'resnet18', 'resnet50')),
    ),
    mobilenet_v3=Architecture(
        'task_model',
        'features.0.0.weight',
        'backbone.features.0.0.weight',
        mobilenet_v3_to_ours,
        renaming(mobilenet_v3_names)[1],
    ),
)


def detect(state_dict: StateDict, layout: str) -> str:
    """Find the architecture by its keys in ``layout``, theirs or ours.

    Raises:
        ValueError: If there is none.
    """
    for name, architecture in ARCHITECTURES.items():
        if getattr(architecture, layout) in state_dict:
            return name
    keys = list(state_dict)
    more = f'\n  and {len(keys) - 20} more' if len(keys) > 20 else ''
    raise ValueError(
        f'it is none of {", ".join(ARCHITECTURES)}. Its keys:'
        + ''.join(f'\n  {key}' for key in keys[:20])
        + more
    )


# ---------------------------------------------------------------------- files


def read(path: str, prefix: str = '') -> StateDict:
    """Read the state dict of a file, safely.

    Args:
        path (str): Checkpoint file.
        prefix (str): Take what stands below it. Defaults to '', all.

    Raises:
        ValueError: If there are no weights in it, or more than weights.
    """
    import torch
    from torch import Tensor

    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(
            'it is damaged, no checkpoint, or holds more than weights and '
            'numbers, which could run code when read. Download it again, or '
            'save its state dict alone, where you trust it.'
        ) from error
    for wrapper in ('state_dict', 'params', 'params_ema'):
        if isinstance(content, dict) and wrapper in content:
            content = content[wrapper]
            break
    if not isinstance(content, dict):
        raise ValueError(
            f'it holds a {type(content).__name__}, not weights by name.'
        )
    state_dict = {
        re.sub(r'^module\.', '', key): value
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    found = {
        key[len(prefix) :]: value
        for key, value in state_dict.items()
        if key.startswith(prefix)
    }
    if not found:
        begins = sorted({key.split('.')[0] + '.' for key in state_dict})
        raise ValueError(
            f'it has no weights below {prefix!r}, only below {begins}.'
        )
    return found


def convert_to_ours(args: argparse.Namespace) -> dict:
    """Merge networks into a checkpoint of one model."""
    weights, sources = {}, {}
    for i, path in enumerate(args.source):
        with blaming(path):
            state_dict = read(path, args.prefix)
            name = args.arch[i] if args.arch else detect(state_dict, 'theirs')
            network = ARCHITECTURES[name].network
            if network in sources:
                raise ValueError(
                    f'it is a second {network} ({name}), beside '
                    f'{sources[network]}.'
                )
            for key, value in ARCHITECTURES[name].to_ours(state_dict).items():
                weights[f'{network}.{key}'] = value
            sources[network] = f'{name}: {osp.basename(path)}'
    return dict(state_dict=weights, meta=dict(converted_from=sources))


def convert_to_theirs(args: argparse.Namespace) -> dict:
    """Take one network out of a checkpoint."""
    path = args.source[0]
    with blaming(path):
        state_dict = read(path, args.prefix)
        networks = {key.split('.')[0] + '.' for key in state_dict}
        networks &= {'sr_net.', 'task_model.'}
        if len(networks) == 2:
            raise ValueError(
                'it has two networks. Choose with --prefix sr_net. or '
                '--prefix task_model.'
            )
        if networks:
            state_dict = read(path, networks.pop())
        name = args.arch[0] if args.arch else detect(state_dict, 'ours')
        converted = ARCHITECTURES[name].to_theirs(state_dict)
    wrapper = ARCHITECTURES[name].wrapper
    return {wrapper: converted} if wrapper else converted


@contextmanager
def blaming(path: str) -> Iterator[None]:
    """Name the file in what is raised about its content."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{path} cannot be converted: {error}') from error


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'source', nargs='+', help='files to convert, one per network'
    )
    parser.add_argument('target', help='file to write')
    parser.add_argument(
        '--arch',
        nargs='+',
        choices=list(ARCHITECTURES),
        help='architectures of the sources (default: found by their keys)',
    )
    parser.add_argument(
        '--prefix',
        default='',
        help='convert only what is below this in the file, e.g. "sr_net."',
    )
    parser.add_argument(
        '--reverse',
        action='store_true',
        help='convert one network of ours to the layout of its release',
    )
    args = parser.parse_args()
    if args.arch and len(args.arch) != len(args.source):
        parser.error('--arch needs one name for each source')
    if args.reverse and len(args.source) > 1:
        parser.error('--reverse converts one source at a time')
    for path in args.source:
        if not osp.isfile(path):
            parser.error(f'there is no checkpoint {path!r}')
    if not osp.isdir(osp.dirname(args.target) or '.'):
        parser.error(f'there is no folder for {args.target!r}')
    return args


def main() -> None:
    args = parse_args()
    import torch

    convert = convert_to_theirs if args.reverse else convert_to_ours
    try:
        converted = convert(args)
    except ValueError as error:
        sys.exit(str(error))
    torch.save(converted, args.target)
    print(f'Wrote {args.target}.')


if __name__ == '__main__':
    main()
