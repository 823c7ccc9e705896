"""Give a training what it should not swallow, 500 times.

Each input is a whole set-up (toy scenes, a tiny network) with one thing wrong
with an image, a mask, a box, a checkpoint, a setting or an option. A process
of its own trains on it for two iterations and predicts, in limited time. The
answer must be one sentence that names the file or key, or a right result; what
is right is said beside each kind.

    python .dev_scripts/malformed_inputs.py --number 500
"""

import argparse
import io
import json
import os
import os.path as osp
import pickle
import random
import re
import resource
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Callable, Dict, NamedTuple

import mmengine.runner.runner
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope
from PIL import Image

import sr4ir_mm  # noqa: F401
from sr4ir_mm.datasets.toy_scenes import write_toy_scenes
from sr4ir_mm.registry import MODELS
from sr4ir_mm.utils.config_keys import find_unread
from sr4ir_mm.utils.mistakes import explain

CONFIGS = dict(seg='unet', det='fcos', cls='resnet18')
SECONDS = 60  # of the processor


class Case(NamedTuple):
    """One kind of malformed input.

    Args:
        task (str): seg, det or cls.
        harm (Callable): Changes the files or the config, given both and a
            random generator; returns what the sentence must contain.
        may (str): ``error``, ``result``, or ``both``, where it depends.
    """

    task: str
    harm: Callable
    may: str = 'error'


CASES: Dict[str, Case] = {}


def case(task: str, may: str = 'error'):
    def register(harm):
        for one in task.split():
            name = harm.__name__.strip('_').replace('_', ' ')
            CASES[f'{one}: {name}'] = Case(one, harm, may)
        return harm

    return register


# ------------------------------------------------------------------ images


def pick(root: Path, task: str, rng: random.Random) -> Path:
    pattern = (
        'Classification/train/*/*.jpg'
        if task == 'cls'
        else ('JPEGImages/train*.jpg')
    )
    return rng.choice(sorted(root.glob(pattern)))


def rewrite(path: Path, convert: Callable, **kwargs) -> None:
    picture = convert(Image.open(path).convert('RGB'))
    buffer = io.BytesIO()
    picture.save(buffer, kwargs.pop('format', 'PNG'), **kwargs)
    path.write_bytes(buffer.getvalue())  # the name may lie


@case('seg det cls')
def image_cut_off(root, cfg, rng, task):
    path = pick(root, task, rng)
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(1, len(content) - 2)])
    return path.name


@case('seg det cls')
def image_empty(root, cfg, rng, task):
    path = pick(root, task, rng)
    path.write_bytes(b'')
    return path.name


@case('seg det cls')
def image_is_text(root, cfg, rng, task):
    path = pick(root, task, rng)
    path.write_bytes(bytes(rng.randrange(256) for _ in range(99)))
    return path.name


@case('seg det cls')
def image_missing(root, cfg, rng, task):
    path = pick(root, task, rng)
    path.unlink()
    # a classifier's data set lists what is there
    return path.name if task != 'cls' else None


@case('seg det cls')
def image_1x1(root, cfg, rng, task):
    path = pick(root, task, rng)
    rewrite(path, lambda image: image.resize((1, 1)))
    return path.name


@case('cls', 'both')
def image_long(root, cfg, rng, task):
    path = pick(root, task, rng)
    size = rng.choice([(4000, 8), (8, 4000), (999, 5)])
    rewrite(path, lambda image: image.resize(size))
    return path.name


@case('seg det cls', 'result')
def image_of_another_kind(root, cfg, rng, task):
    path = pick(root, task, rng)
    mode = rng.choice(['L', 'P', 'RGBA', 'LA', 'CMYK', '1'])
    kind = 'JPEG' if mode == 'CMYK' else 'PNG'
    rewrite(path, lambda image: image.convert(mode), format=kind)


@case('seg det cls', 'result')
def image_of_16_bits(root, cfg, rng, task):
    path = pick(root, task, rng)

    def deepen(image):
        grey = np.array(image.convert('L')).astype(np.uint16) * 257
        return Image.fromarray(grey)

    rewrite(path, deepen)


@case('seg det cls', 'both')
def image_turned_by_exif(root, cfg, rng, task):
    path = pick(root, task, rng)
    exif = Image.Exif()
    exif[0x0112] = rng.choice([3, 6, 8])
    rewrite(
        path,
        lambda image: image.resize((64, 48)),
        format='JPEG',
        exif=exif,
    )
    return path.stem


@case('seg det cls', 'result')
def path_not_ascii(root, cfg, rng, task):
    there = root.parent / f'{root.name}-données-図-{rng.randrange(99)}'
    root.rename(there)
    there_root = str(there)
    set_root(cfg, there_root, task)


# ------------------------------------------------------------------- labels


def mask_of(root: Path, rng: random.Random) -> Path:
    stem = pick(root, 'seg', rng).stem
    return root / 'SegmentationClass' / f'{stem}.png'


@case('seg')
def mask_of_another_size(root, cfg, rng, task):
    path = mask_of(root, rng)
    size = rng.randrange(1, 200), rng.randrange(1, 200)
    rewrite_mask(path, lambda mask: mask.resize(size, 0))
    return path.name


def rewrite_mask(path: Path, convert: Callable) -> None:
    convert(Image.open(path).convert('L')).save(path)


@case('seg')
def mask_with_unknown_id(root, cfg, rng, task):
    path = mask_of(root, rng)
    mask = np.array(Image.open(path))
    mask[rng.randrange(64), rng.randrange(64)] = rng.randrange(5, 255)
    Image.fromarray(mask).save(path)
    return path.name


@case('seg')
def mask_of_16_bits(root, cfg, rng, task):
    path = mask_of(root, rng)
    mask = np.array(Image.open(path).convert('L')).astype(np.uint16)
    Image.fromarray(mask + 256 * rng.randrange(1, 9)).save(path)
    return path.name


@case('seg')
def mask_in_colour(root, cfg, rng, task):
    path = mask_of(root, rng)
    Image.open(path).convert('RGB').save(path)
    return path.name


@case('seg')
def mask_damaged(root, cfg, rng, task):
    path = mask_of(root, rng)
    path.write_bytes(path.read_bytes()[: rng.randrange(100)])
    return path.name


@case('seg', 'result')
def mask_all_ignored(root, cfg, rng, task):
    path = mask_of(root, rng)
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(path)


def edit_box(root, rng, box):
    path = root / 'Annotations' / f'{pick(root, "det", rng).stem}.xml'
    text = path.read_text()
    for name, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box):
        pattern = rf'<{name}>[^<]*</{name}>'
        text = re.sub(pattern, f'<{name}>{value}</{name}>', text, count=1)
    path.write_text(text)
    return path.stem


@case('det')
def box_without_area(root, cfg, rng, task):
    x, y = rng.randrange(2, 60), rng.randrange(2, 60)
    box = rng.choice([(x, 2, x - 1, 50), (2, y, 50, y - 1), (50, 50, 3, 3)])
    return edit_box(root, rng, box)


@case('det')
def box_outside(root, cfg, rng, task):
    x = rng.randrange(66, 500)
    return edit_box(root, rng, (x, 2, x + 9, 30))


@case('det', 'result')
def box_partly_outside(root, cfg, rng, task):
    edit_box(root, rng, (-9, 5, rng.randrange(20, 90), 90))


@case('det')
def box_is_no_number(root, cfg, rng, task):
    return edit_box(root, rng, (rng.choice(['x', '', 'nan', '1,5']), 2, 9, 9))


@case('det')
def annotation_damaged(root, cfg, rng, task):
    path = root / 'Annotations' / f'{pick(root, "det", rng).stem}.xml'
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) - 20)])
    return path.name


@case('det', 'result')
def image_without_boxes(root, cfg, rng, task):
    path = root / 'Annotations' / f'{pick(root, "det", rng).stem}.xml'
    text = re.sub(r'<object>.*</object>', '', path.read_text(), flags=re.S)
    path.write_text(text)


@case('seg det')
def split_empty(root, cfg, rng, task):
    kind = dict(seg='Segmentation', det='Main')[task]
    (root / 'ImageSets' / kind / 'train.txt').write_text(
        rng.choice(['', '\n'])
    )
    return 'train.txt'


# ----------------------------------------------------------- configs, files


def set_value(cfg: Config, key: str, value) -> None:
    cfg.merge_from_dict({key: value})


def setting(name: str, keys: Dict[str, list], task: str = 'seg cls'):
    """Wrong values of settings, each of which must be named."""

    def harm(root, cfg, rng, task):
        key = rng.choice(sorted(keys))
        set_value(cfg, key, rng.choice(keys[key]))
        return key.rpartition('.')[2]

    harm.__name__ = name
    case(task)(harm)


PIXEL, TDP = 'model.phases.0.losses.0', 'model.phases.0.losses.1'
TASK = 'model.phases.1.losses.0'
setting(
    'setting_weight_of_a_loss',
    {f'{PIXEL}.weight': ['1', None, -1, float('nan'), float('inf'), [1]]},
)
setting(
    'setting_unknown_key',
    {
        f'{PIXEL}.wieght': [1.0],
        f'{TDP}.tap': [[0]],
        'model.sr_net.num_block': [2],
        'model.phases.0.train': ['sr_net'],
        'model.scales': [4],
        'model.cqmix.size': [4],
    },
)
setting(
    'setting_unknown_type',
    {
        f'{PIXEL}.type': ['sr4ir_mm.PixelLos', 'PixelLoss', 'L1Loss'],
        'model.sr_net.type': ['EDSRNet', 'mmagic.EDSR'],
        'model.task_model.type': ['EncoderDecode', 'FasterRCN'],
        'train_cfg.type': ['AlternatingIterTrainLoop'],
        'optim_wrapper.sr_net.optimizer.type': ['Adan', 'sgd'],
    },
)
setting(
    'setting_value',
    {
        'model.scale': [0, -2, 2.5, 3, 8],
        'model.view': ['SR', 'lr', 7],
        f'{TDP}.begin': [-0.1, 1, 2],
        f'{TDP}.taps': [7, [9], ['no.such.module'], []],
        f'{PIXEL}.criterion': ['L1', 'huber'],
        f'{TASK}.views': [dict(srr=1), [], dict(sr='1'), dict(sr=-1.0)],
        'model.phases.1.trains': ['task', 'sr-net'],
    },
)
setting(
    'setting_network_that_is_not_there',
    {
        'optim_wrapper.sr_nett': [
            dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1))
        ],
        'param_scheduler.taskmodel': [[]],
    },
)


@case('seg cls')
def learning_rate_not_finite(root, cfg, rng, task):
    name = rng.choice(['sr_net', 'task_model'])
    value = rng.choice([float('nan'), float('inf')])
    cfg.optim_wrapper[name].optimizer.lr = value
    cfg.param_scheduler = None
    return name


@case('seg det cls')
def training_diverges(root, cfg, rng, task):
    for wrapper in (cfg.optim_wrapper.sr_net, cfg.optim_wrapper.task_model):
        wrapper.optimizer = dict(type='SGD', lr=10.0 ** rng.randrange(20, 30))
    cfg.param_scheduler = None
    cfg.train_cfg.max_iters = 4
    return 'phase'


@case('seg det cls')
def fewer_classes_than_labels(root, cfg, rng, task):
    head = dict(seg='decode_head', det='bbox_head', cls='head')[task]
    cfg.model.task_model[head].num_classes = rng.choice([2, 3])
    return 'num_classes'


@case('seg det cls')
def option_misspelt(root, cfg, rng, task):
    key = rng.choice(
        [
            'model.scal',
            'train_cfg.max_iter',
            'train_dataloader.batchsize',
            'optim_wrapper.sr_net.optimizer.lrr',
            'modle.scale',
            'default_hook.logger.interval',
            'model.sr_net.midchannels',
            'randomness.sed',
            'resum',
        ]
    )
    cfg.options = {key: 1}
    return key


@case('seg cls')
def checkpoint_damaged(root, cfg, rng, task):
    path = root / 'weights.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    content = bytearray(path.read_bytes())
    if rng.random() < 0.7:
        content = content[: rng.randrange(len(content) - 1)]
    else:
        content[:64] = bytes(rng.randrange(256) for _ in range(64))
    path.write_bytes(bytes(content))
    key = rng.choice(['load_from', 'model.sr_net.init_cfg'])
    init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='sr_net.')
    set_value(cfg, key, str(path) if key == 'load_from' else init_cfg)
    return path.name


@case('seg det cls')
def checkpoint_of_another_model(root, cfg, rng, task):
    path = root / 'weights.pth'
    other = rng.choice([t for t in CONFIGS if t != task])
    init_default_scope(toy_config(other).default_scope)
    model = MODELS.build(toy_config(other).model)
    torch.save(dict(state_dict=model.state_dict()), path)
    cfg.load_from = str(path)
    return path.name


class _Attack:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return shutil.copyfile, (__file__, self.marker)


@case('seg det cls')
def checkpoint_that_runs_code(root, cfg, rng, task):
    path = root / 'weights.pth'
    torch.save(
        dict(state_dict={}, meta=_Attack(str(root / 'ran'))),
        path,
        _use_new_zipfile_serialization=rng.random() < 0.5,
    )
    cfg.load_from = str(path)
    cfg.resume = rng.random() < 0.5
    return path.name


@case('cls')
def annotations_that_run_code(root, cfg, rng, task):
    path = root / 'annotations.pkl'
    content = dict(metainfo={}, data_list=_Attack(str(root / 'ran')))
    path.write_bytes(pickle.dumps(content, rng.randrange(6)))
    dataset = cfg.train_dataloader.dataset
    dataset.type = 'BaseDataset'
    dataset.ann_file = str(path)
    return 'SR4IR_TRUST'


# ---------------------------------------------------------------------- run


def toy_config(task: str) -> Config:
    folder = osp.join(osp.dirname(__file__), '..', 'configs', 'toy')
    return Config.fromfile(
        osp.join(folder, f'sr4ir_{CONFIGS[task]}_toy_x4.py')
    )


def set_root(cfg: Config, root: str, task: str) -> None:
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = root
    if task == 'cls':  # what is trained on is what is predicted from
        cfg.test_dataloader.dataset.data_prefix = 'Classification/train'


def prepare(root: str, task: str) -> Config:
    cfg = toy_config(task)
    cfg.work_dir = osp.join(osp.dirname(root), 'work')
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.log_level = 'ERROR'
    cfg.train_cfg.update(max_iters=2, val_interval=10**6)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg[key] = None
    cfg.default_hooks.visualization.draw = False
    cfg.test_evaluator = cfg.test_evaluator[:2]
    cfg.train_dataloader.update(batch_size=6, num_workers=0)
    cfg.train_dataloader.dataset.pop('indices', None)
    cfg.test_dataloader.update(num_workers=0)
    cfg.test_dataloader.persistent_workers = False
    cfg.model.sr_net.update(mid_channels=4, num_blocks=1)
    for group in cfg.param_scheduler.values():
        for schedule in group:
            schedule.update(begin=0, end=2)
    set_root(cfg, root, task)
    return cfg


def attempt(name: str, folder: str, seed: int) -> dict:
    """In a process of its own: harm, train, predict; what came of it."""
    rng = random.Random(seed)
    task, harm, may = CASES[name]
    root = osp.join(folder, 'data')
    cfg = prepare(root, task)
    init_default_scope(cfg.default_scope)
    expected = harm(Path(root), cfg, rng, task)
    options = cfg._cfg_dict.pop('options', None)
    if options:
        unread = find_unread(cfg, options)
        text = ' '.join(f'{key}: {reason}' for key, reason in unread.items())
        return dict(
            kind='error' if text else 'silent', text=text, key=expected
        )
    try:
        runner = RUNNERS.build(cfg)
        runner.train()
        metrics = runner.test()
    except Exception as error:
        return dict(kind='error', text=explain(error, cfg), key=expected)
    ran = osp.exists(osp.join(root, 'ran'))
    numbers = all(np.isfinite(v) for v in metrics.values())
    kind = 'ran code' if ran else 'result' if numbers else 'not finite'
    return dict(kind=kind, text=str(metrics), key=expected)


def judge(outcome: dict, may: str) -> str:
    """One word for it."""
    kind, text, key = outcome['kind'], outcome['text'], outcome['key']
    if kind == 'error' and may != 'result':
        if '\n' in text.strip() or len(text) > 600:
            return 'long error'
        if key and key not in text:
            return 'error without file or key'
        return 'clear error'
    if kind == 'result' and (may != 'error' or key is None):
        return 'right result'
    return f'WRONG: {kind}'


def run(name: str, template: str, folder: str, seed: int) -> dict:
    """:func:`attempt` in a process of its own, in limited time."""
    shutil.copytree(template, osp.join(folder, 'data'))
    answer = osp.join(folder, 'answer.json')
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        signal.alarm(20 * SECONDS)
        null = os.open(osp.join(folder, 'output.txt'), os.O_CREAT | os.O_RDWR)
        os.dup2(null, 1), os.dup2(null, 2)
        try:
            outcome = attempt(name, folder, seed)
        except BaseException as error:
            text = f'{type(error).__name__}: {error}'
            outcome = dict(kind='broken test', text=text, key=None)
        Path(answer).write_text(json.dumps(outcome))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if not osp.exists(answer):
        text = f'status {status}'
        return dict(kind='hangs or dies', text=text, key=None)
    return json.loads(Path(answer).read_text())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--number', type=int, default=500)
    parser.add_argument('--only', default='', help='pattern of kinds')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', default='work_dirs/malformed_inputs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    args.work_dir = osp.abspath(args.work_dir)
    shutil.rmtree(args.work_dir, ignore_errors=True)
    template = osp.join(args.work_dir, 'toy_scenes')
    write_toy_scenes(template, num_train=2, num_val=1, size=(64, 64))
    for task in CONFIGS:  # imports, once for all processes
        cfg = toy_config(task)
        init_default_scope(cfg.default_scope)
        MODELS.build(cfg.model)
    # what takes most of the time of a short run, and says nothing here
    Config.pretty_text = property(lambda cfg: '')
    mmengine.runner.runner.collect_env = dict
    names = [name for name in CASES if re.search(args.only, name)]
    counts, begin = defaultdict(Counter), time.time()
    for i in range(args.number):
        name = names[i % len(names)]
        folder = osp.join(args.work_dir, str(i))
        os.makedirs(folder)
        outcome = run(name, template, folder, args.seed + i)
        verdict = judge(outcome, CASES[name].may)
        counts[name][verdict] += 1
        if verdict not in ('clear error', 'right result'):
            print(f'{i} {name}: {verdict}: {outcome["text"][:300]}')
        elif counts[name][verdict] == 1:
            print(f'{i} {name}: {verdict}: {outcome["text"][:160]}')
        sys.stdout.flush()
        shutil.rmtree(folder)
    print(f'\n{args.number} inputs, {time.time() - begin:.0f} s')
    total = sum(counts.values(), Counter())
    for name in names:
        verdicts = ', '.join(f'{n} {v}' for v, n in counts[name].items())
        print(f'| {name} | {verdicts} |')
    print(dict(total))
    sys.exit(
        sum(total.values()) > total['clear error'] + total['right result']
    )


if __name__ == '__main__':
    main()
