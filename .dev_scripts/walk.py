"""Walk every config through all that a user does with one:
``python .dev_scripts/walk.py --out FOLDER``.

Each shipped config, and one model of each toolbox by ``wrap``, is trained for
two iterations with a validation, tested, predicts from an image, a folder, an
array and HR images, is exported, compared and reported, each time by the
script itself, on made-up data in the layout that the config wants. What is
written is looked at. Networks are as configured, with random weights; only
images are small.

Each step has a process of its own, forked from one that has imported
everything. A result is a line of FOLDER/walk.jsonl. The same command goes on
where it was stopped; ``--again`` repeats what failed; ``--table FILE`` writes
the table.
"""

import argparse
import glob
import json
import os
import os.path as osp
import pickle
import re
import runpy
import shutil
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

ROOT = Path(__file__).absolute().parent.parent
sys.path.insert(0, str(ROOT / 'tests'))
from fake_data import (  # noqa: E402
    write_cars,
    write_cub,
    write_folders,
    write_image,
    write_voc,
)

from sr4ir_mm.datasets.toy_scenes import write_toy_scenes  # noqa: E402

STEPS = 'train test image folder array hr export compare report'.split()
SIZE = 64  # of HR images
WRAPPED = dict(
    mmseg='mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    mmdet='mmdet::atss/atss_r50_fpn_1x_coco.py',
    mmpretrain='mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py',
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--out', required=True, help='folder of the results')
    parser.add_argument(
        '--configs', nargs='+', help='these only (default: all, and WRAPPED)'
    )
    parser.add_argument(
        '--again', action='store_true', help='repeat what failed'
    )
    parser.add_argument('--table', help='only write the table, to this file')
    return parser.parse_args()


def all_configs(out: Path) -> List[str]:
    """The toolboxes' and ours; last what is slow, and what differs little
    from what was before."""
    configs = glob.glob('configs/*.py') + glob.glob('configs/*/*.py')
    configs = [path for path in configs if '_base_' not in path]
    configs.sort(key=lambda path: ('swinir' in path, path.count('/'), path))
    return [*(write_wrapped(scope, out) for scope in WRAPPED), *configs]


def write_wrapped(scope: str, out: Path) -> str:
    """A config of three lines, of a toolbox's."""
    path = out / f'wrapped_{scope}.py'
    path.write_text(
        f'_base_ = {WRAPPED[scope]!r}\n'
        'from sr4ir_mm.apis import wrap\n'
        'wrap(_base_)\n'
    )
    return str(path)


# ------------------------------------------------------------- made-up data


def write_data(cfg: Config, root: Path) -> None:
    """The data of a config, in its layout."""
    dataset = cfg.test_dataloader.dataset
    kind, text = dataset.type.split('.')[-1], repr(cfg.train_dataloader)
    meta = dataset.get('metainfo') or {}
    toys = root.with_name('toys')
    write_toy_scenes(toys, num_train=4, num_val=2, size=(SIZE, SIZE))
    if root.exists():
        return
    if kind in ('MNIST', 'SVHN'):
        _write_digits(root, kind)
    elif kind == 'VOCDataset' and 'toy_scenes' not in text:
        write_voc(root, toys, meta.get('classes', ('cat', 'dog')))
    elif kind == 'CocoDataset':
        _write_coco(root)
    elif kind == 'StanfordCars':
        write_cars(root, size=(SIZE, SIZE + 8))
    elif kind == 'CUB':
        write_cub(root, size=(SIZE, SIZE + 8))
    elif kind == 'ImageNet':
        _write_imagenet(root)
    elif 'toy_scenes' in text or kind == 'PascalVOCDataset':
        shutil.copytree(toys, root)
    elif kind == 'CustomDataset':
        num = cfg.data_preprocessor.num_classes
        names = [f'{label:02d}' for label in range(num)]
        for split in ('train', 'val', 'test'):
            write_folders(root / split, 1, names, (100, 100))
    else:
        _write_masks(root, toys, cfg)


def _write_digits(root: Path, kind: str) -> None:
    shape = (8, 28, 28) if kind == 'MNIST' else (8, 32, 32, 3)
    arrays = {}
    for split in ('train', 'test', 'extra'):
        arrays[f'{split}_images'] = np.random.randint(0, 256, shape, np.uint8)
        arrays[f'{split}_labels'] = np.arange(8)
    root.mkdir()
    np.savez(root / f'{kind.lower()}.npz', **arrays)


def _write_coco(root: Path) -> None:
    classes = import_module('mmdet.datasets').CocoDataset.METAINFO['classes']
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        images, annotations = [], []
        for index in range(4):
            name = f'{index:012d}.jpg'
            write_image(root / f'{split}2017' / name, index, (SIZE, SIZE))
            images.append(
                dict(id=index, file_name=name, width=SIZE, height=SIZE)
            )
            box = [8 + index, 8, 40, 36]
            corners = [8, 8, 48, 8, 48, 44, 8, 44]
            annotations.append(
                dict(
                    id=index + 1,
                    image_id=index,
                    category_id=index,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                    segmentation=[corners],
                )
            )
        file = dict(
            images=images,
            annotations=annotations,
            categories=[
                dict(id=index, name=name) for index, name in enumerate(classes)
            ],
        )
        path = root / 'annotations' / f'instances_{split}2017.json'
        path.write_text(json.dumps(file))


def _write_imagenet(root: Path) -> None:
    (root / 'meta').mkdir(parents=True)
    for split in ('train', 'val'):
        lines = []
        for index in range(4):
            name = f'n{index}/{index}.jpg'
            write_image(root / split / name, index, (240, 256))
            lines.append(f'{name} {index}\n')
        (root / 'meta' / f'{split}.txt').write_text(''.join(lines))


def _write_masks(root: Path, toys: Path, cfg: Config) -> None:
    """Pairs of folders, as mmseg's data sets have them."""
    loaders = [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]
    for loader, split in zip(loaders, ('train', 'val', 'val')):
        dataset = loader.dataset
        made = dict(img_suffix='.jpg', seg_map_suffix='.png')
        if dataset.type == 'CityscapesDataset':
            made = dict(
                img_suffix='_leftImg8bit.png',
                seg_map_suffix='_gtFine_labelTrainIds.png',
            )
        for prefix, folder, suffix in (
            ('img_path', 'JPEGImages', made['img_suffix']),
            ('seg_map_path', 'SegmentationClass', made['seg_map_suffix']),
        ):
            target = root / dataset.data_prefix[prefix]
            target.mkdir(parents=True, exist_ok=True)
            for path in sorted((toys / folder).glob(f'{split}_*')):
                image = Image.open(path)
                if dataset.type == 'ADE20KDataset' and suffix == '.png':
                    # reduce_zero_label: 0 is ignored, 1 is the first class
                    image = Image.fromarray(np.asarray(image) % 5 + 1)
                image.save(target / f'{path.stem}{suffix}')


# -------------------------------------------------------- options of a user


def nodes(node: Any, path: str = '') -> Iterator[Tuple[str, Any]]:
    yield path, node
    items = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    for key, child in items:
        yield from nodes(child, f'{path}.{key}' if path else str(key))


def small_options(cfg: Config, root: Path) -> Dict[str, Any]:
    """``--cfg-options``: our data, two iterations, and small images."""
    options = {
        'train_cfg.val_interval': 1 if 'max_epochs' in cfg.train_cfg else 2,
        'default_hooks.logger.interval': 1,
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.visualization.draw': True,
        'default_hooks.visualization.interval': 1,
    }
    length = 'max_epochs' if 'max_epochs' in cfg.train_cfg else 'max_iters'
    options[f'train_cfg.{length}'] = 1 if length == 'max_epochs' else 2
    for _, node in nodes(cfg.get('param_scheduler')):
        if isinstance(node, dict) and 'begin' in node and 'end' not in node:
            if node['begin'] > 0:  # after the end of two iterations
                options['param_scheduler'] = None
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        name = f'{split}_dataloader'
        options.update(
            {
                f'{name}.batch_size': 2,
                f'{name}.num_workers': 0,
                f'{name}.persistent_workers': False,
            }
        )
        for path, node in nodes(loader.to_dict(), name):
            if isinstance(node, dict):
                options.update(_of_data(path, node, root, split))
    for path, node in nodes(cfg.model.to_dict(), 'model'):
        if isinstance(node, dict):
            options.update(_of_networks(path, node))
    for split in ('val', 'test'):
        name = f'{split}_evaluator'
        metrics = cfg[name]
        single = isinstance(metrics, dict)
        for index, metric in enumerate([metrics] if single else metrics):
            key = name if single else f'{name}.{index}'
            if metric.type == 'sr4ir_mm.SRLPIPS':
                options[f'{key}.required'] = False  # needs ImageNet's weights
            if metric.get('ann_file'):
                file = f'annotations/{osp.basename(metric.ann_file)}'
                options[f'{key}.ann_file'] = str(root / file)
    return options


def _of_data(path: str, node: dict, root: Path, split: str) -> Dict[str, Any]:
    options = {}
    if 'data_root' in node:
        options[f'{path}.data_root'] = str(root)
    if 'indices' in node:
        options[f'{path}.indices'] = 4 if node['indices'] > 0 else -4
    elif node.get('type') == 'CustomDataset':
        options[f'{path}.indices'] = 4
    if 'ImageNet' in str(root):  # whose networks have one size
        return options
    for key in ('crop_size', 'scale', 'size'):
        if node.get(key) and not node['type'].endswith('Flip'):
            options[f'{path}.{key}'] = _shrink(node[key])
    return options


def _shrink(size: Any) -> Any:
    """To a short side of SIZE pixels."""
    if not isinstance(size, (list, tuple)):
        return min(size, SIZE)
    large, small = max(size), min(size)
    if small <= SIZE:
        return size
    side = large if large == 100000 else SIZE * large // small
    return tuple(SIZE if part == small else side for part in size)


def _of_networks(path: str, node: dict) -> Dict[str, Any]:
    options = {}
    if node.get('type') == 'Pretrained':
        options[path] = None
    if isinstance(node.get('pretrained'), str):
        options[f'{path}.pretrained'] = None
    if node.get('resize'):
        options[f'{path}.resize'] = (2 * SIZE, SIZE)
    if str(node.get('type')).endswith('SegDataPreProcessor'):
        if node.get('size'):
            options[f'{path}.size'] = _shrink(node['size'])
    kind = str(node.get('type')).split('.')[-1]
    if kind == 'PerceptualLoss':
        options[f'{path}.pretrained'] = 'VGG'
    if node.get('teacher'):
        options[f'{path}.teacher'] = 'TEACHER'
    if path == 'model.task_model.test_cfg' and node.get('mode') == 'slide':
        options[f'{path}.crop_size'] = (SIZE, SIZE)
        options[f'{path}.stride'] = (SIZE // 2, SIZE // 2)
    return options


def make_teachers(cfg: Config, options: Dict[str, Any], folder: Path) -> None:
    """Checkpoints that a config asks for, with random weights."""
    for key, value in options.items():
        if value == 'VGG':
            options[key] = str(folder.with_name('vgg19.pth'))
            if not osp.exists(options[key]):
                vgg = import_module('torchvision.models').vgg19()
                torch.save(vgg.state_dict(), options[key])
        elif value == 'TEACHER':
            options[key] = str(folder / 'teacher.pth')
            init_default_scope(cfg.default_scope)
            model_cfg = cfg.model.copy()
            if 'data_preprocessor' in cfg:
                model_cfg.data_preprocessor = cfg.data_preprocessor
            torch.save(MODELS.build(model_cfg).state_dict(), options[key])


def as_arguments(options: Dict[str, Any]) -> List[str]:
    found = []
    for key, value in options.items():
        text = value if isinstance(value, str) else repr(value)
        found.append(f'{key}={text.replace(" ", "")}')
    return ['--cfg-options', *found]


# ---------------------------------------------------------------- the steps


class Walk:
    """One config's way.

    Args:
        path (str): The config.
        folder (Path): For all that is written.
    """

    def __init__(self, path: str, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.work_dir = folder / 'work'
        folder.mkdir(parents=True)
        self.cfg = cfg = Config.fromfile(path)
        dataset = cfg.test_dataloader.dataset
        root = str(dataset.get('data_root') or 'data/none').rstrip('/')
        name = f'{cfg.default_scope}_{dataset.type}_{osp.basename(root)}'
        root = folder.with_name(name.replace('sr4ir_mm.', ''))
        if not root.exists():
            write_data(cfg, root)
        self.options = small_options(cfg, root)
        make_teachers(cfg, self.options, folder)
        # Swin asks for maps as large as its windows; PSPNet for such that
        # 1, 2, 3 and 6 divide
        self.side = 56 if dataset.type == 'ImageNet' else 24
        self.images = dict(lr=(self.side, self.side + 8), hr=(SIZE, SIZE))
        for name, size in self.images.items():
            for seed in range(2):
                write_image(folder / name / f'{seed}.png', seed, size)

    @property
    def checkpoint(self) -> str:
        with open(self.work_dir / 'last_checkpoint') as file:
            return file.read()

    @property
    def view(self) -> str:
        return self.cfg.model.get('view', 'sr')

    def skipped(self, step: str) -> str:
        """Why a step makes no sense here, if so."""
        if self.view == 'hr' and step in ('image', 'folder', 'array'):
            return 'not: an oracle knows no LR'
        if self.view == 'hr' and step == 'export':
            return 'not: an oracle is not exported'
        model = self.cfg.model
        if step == 'export' and not model.sr_net and self.two_stages:
            return 'not: of detectors of two stages, only the SR network is'
        return ''

    @property
    def two_stages(self) -> bool:
        return 'roi_head' in self.cfg.model.task_model

    def train(self) -> None:
        script = ['tools/train.py', self.path, '--work-dir', self.work_dir]
        call(*script, *as_arguments(self.options))
        (log,) = self.work_dir.glob('*/vis_data/scalars.json')
        records = [json.loads(line) for line in log.read_text().splitlines()]
        losses = [r['loss'] for r in records if 'loss' in r]
        assert len(losses) == 2 and np.isfinite(losses).all(), losses
        assert any('sr/PSNR' in r for r in records), records
        assert list(self.work_dir.glob('*/vis_data/vis_image/*.png'))
        assert osp.exists(self.checkpoint)

    def test(self) -> None:
        out, panels = self.folder / 'out.pkl', self.folder / 'panels'
        call(
            *('tools/test.py', self.path, self.checkpoint),
            *('--work-dir', self.folder / 'test', '--out', out),
            *('--show-dir', panels, *as_arguments(self.options)),
        )
        with open(out, 'rb') as file:
            assert len(pickle.load(file)) >= 2
        assert list(panels.rglob('*.png'))
        (log,) = (self.folder / 'test').glob('*/*.json')
        figures = json.loads(log.read_text())
        assert figures['sr/PSNR'] > 0, figures  # infinite of HR itself

    def infer(self, inputs: str, names: List[str], *options) -> None:
        out = self.folder / f'infer_{len(list(self.folder.iterdir()))}'
        call(
            *('tools/infer.py', self.folder / inputs, self.checkpoint),
            *('--out-dir', out, *options),
        )
        given, scale = self.images[inputs[:2]], self.cfg.model.scale
        for name in names:
            sr = Image.open(out / 'sr' / f'{name}.png')
            assert np.asarray(sr).shape[-1] == 3
            if '--hr' not in options:
                assert sr.size == tuple(side * scale for side in given)
            vis = Image.open(out / 'vis' / f'{name}.png')
            assert vis.width > 3 * sr.width
            pred = out / 'pred' / f'{name}.png'
            if self.cfg.default_scope == 'mmseg':
                assert Image.open(pred).size == given
                continue
            found = json.loads(pred.with_suffix('.json').read_text())
            if 'bboxes' in found:
                boxes = np.reshape(found['bboxes'], (-1, 4))
                assert len(boxes) == len(found['label_names'])
                assert (boxes[:, 2:] <= np.array(given) + 1).all(), boxes
            else:
                assert sum(found['pred_scores']) > 0
                assert isinstance(found['pred_class'], str)

    def image(self) -> None:
        self.infer('lr/0.png', ['0'])

    def folder_(self) -> None:
        self.infer('lr', ['0', '1'], '--batch-size', 2)

    def hr(self) -> None:
        self.infer('hr/0.png', ['0'], '--hr')

    def array(self) -> None:
        from sr4ir_mm.apis import SRInferencer

        image = np.asarray(Image.open(self.folder / 'lr/0.png'))[..., ::-1]
        result = SRInferencer(weights=self.checkpoint)(image, return_vis=True)
        assert len(result['predictions']) == len(result['visualization']) == 1
        assert not result['skipped']

    def export(self) -> None:
        out = self.folder / 'model.onnx'
        task_model = self.cfg.model.task_model
        sr_only = ['--network', 'sr_net'] if self.two_stages else []
        # an untrained detector may find nothing, or all alike, in any order
        options = {}
        for path, node in nodes(task_model.to_dict(), 'model.task_model'):
            if isinstance(node, dict) and 'score_thr' in node:
                options[f'{path}.score_thr'] = 0.0
                options[f'{path}.max_per_img'] = 1
        config = self.folder / 'lenient.py'
        cfg = Config.fromfile(self.path)
        cfg.merge_from_dict({**self.options, **options})
        cfg.dump(config)
        call(
            *('tools/deployment/export.py', self.checkpoint, out),
            *('--size', self.side, self.side, '--config', config, *sr_only),
        )
        assert out.stat().st_size > 1000

    def compare(self) -> None:
        out = self.folder / 'compared'
        call(
            *('tools/analysis_tools/compare.py', self.checkpoint),
            *('--images', 0, 1, '--out-dir', out),
        )
        assert len(list(out.glob('*.png'))) == 2

    def report(self) -> None:
        out = self.folder / 'report.html'
        call(
            *('tools/analysis_tools/report.py', self.work_dir, '--out', out),
        )
        text = out.read_text()
        assert 'sr/PSNR' in text and 'data:image/webp' in text

    def take(self, step: str) -> None:
        getattr(self, 'folder_' if step == 'folder' else step)()


def call(script: str, *args: Any) -> None:
    """As from a shell.

    Raises:
        RuntimeError: If it ends with another status than 0.
    """
    sys.argv = [script, *map(str, args)]
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f'exit {end.code}') from end


def in_process(function: Callable, *args: Any, log: Path) -> str:
    """What went wrong in a process of its own, or nothing."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        error = ''
        try:
            function(*args)
        except BaseException as problem:  # noqa: B036
            traceback.print_exc()
            error = f'{type(problem).__name__}: {problem}'
        sys.stdout.flush()
        sys.stderr.flush()
        with os.fdopen(sink, 'w') as file:
            file.write(json.dumps(error))
        os._exit(0)
    os.close(sink)
    with os.fdopen(source) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else 'killed'


def walk(path: str, out: Path) -> dict:
    """All steps of a config; where training failed, the others cannot be."""
    folder = out / 'now'
    shutil.rmtree(folder, ignore_errors=True)
    name = re.sub(r'\W+', '_', path)
    log = out / 'logs' / f'{name}.log'
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    begin = time.time()
    way = Walk(path, folder)
    result = dict(config=path, steps={})
    for step in STEPS:
        reason = way.skipped(step)
        if not reason:
            reason = in_process(way.take, step, log=log) or 'ok'
        result['steps'][step] = reason
        if step == 'train' and reason != 'ok':
            break
    result['seconds'] = round(time.time() - begin, 1)
    return result


def load(path: Path) -> Dict[str, dict]:
    """Results by config, the last one of each."""
    if not path.is_file():
        return {}
    lines = path.read_text().splitlines()
    return {line['config']: line for line in map(json.loads, lines)}


def is_good(result: dict) -> bool:
    return all(
        reason == 'ok' or reason.startswith('not: ')
        for reason in result['steps'].values()
    )


def write_table(results: Dict[str, dict], path: str) -> None:
    """One row for each config."""
    lines = [
        f'| config | {" | ".join(STEPS)} | s |',
        f'| --- | {"--- | " * len(STEPS)}--- |',
    ]
    for config, result in results.items():
        reasons = [result['steps'].get(step, 'FAILED') for step in STEPS]
        cells = [
            'ok' if r == 'ok' else '-' if r.startswith('not: ') else 'FAILED'
            for r in reasons
        ]
        row = f'{osp.basename(config)[:-3]} | {" | ".join(cells)}'
        lines.append(f'| {row} | {result["seconds"]:.0f} |')
    Path(path).write_text('\n'.join(lines) + '\n')


def main() -> None:
    args = parse_args()
    out = Path(args.out).absolute()
    results = load(out / 'walk.jsonl')
    if args.table:
        write_table(results, args.table)
        return
    os.chdir(ROOT)
    out.mkdir(parents=True, exist_ok=True)
    for package in ('mmseg', 'mmdet', 'mmpretrain'):
        for module in ('models', 'datasets', 'engine', 'visualization'):
            import_module(f'{package}.{module}')
    import_module('mmagic.models')
    import_module('sr4ir_mm.apis.deployment')
    configs = args.configs or all_configs(out)
    todo = [
        path
        for path in configs
        if path not in results or (args.again and not is_good(results[path]))
    ]
    begin = time.time()
    for number, path in enumerate(todo, start=1):
        try:
            result = walk(path, out)
        except Exception as error:
            traceback.print_exc()
            result = dict(config=path, steps=dict(train=f'{error}'), seconds=0)
        with open(out / 'walk.jsonl', 'a') as file:
            file.write(json.dumps(result) + '\n')
        left = (time.time() - begin) / number * (len(todo) - number)
        bad = [
            f'{step}: {reason}'
            for step, reason in result['steps'].items()
            if reason != 'ok' and not reason.startswith('not: ')
        ]
        print(
            f'[{number}/{len(todo)}, {left / 60:.0f} min left] {path}: '
            f'{"; ".join(bad) or "ok"}',
            flush=True,
        )


if __name__ == '__main__':
    main()
