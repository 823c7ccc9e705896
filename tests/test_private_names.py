"""What the package uses of other packages that they may move without a word.

A release that moves one fails here, by name, before something fails in a
training; and what is new is a decision, not an accident.
"""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import sr4ir_mm

# By what has them.
PRIVATE = {
    'mmengine.config.Config': '_cfg_dict _file2dict',
    'mmengine.hooks.CheckpointHook': '_default_greater_keys '
    '_default_less_keys _init_rule _save_best_checkpoint '
    '_save_checkpoint_with_step',
    'mmengine.hooks.Hook': '_after_iter',
    'mmengine.hooks.EMAHook': '_swap_ema_parameters',
    'mmengine.model.ImgDataPreprocessor': '_enable_normalize',
    'mmengine.optim.AmpOptimWrapper': '_scale_update_param',
    'mmengine.optim.OptimWrapper': '_accumulative_counts _clip_grad '
    '_inner_count',
    'mmengine.registry.Registry': '_children _locations',
    'mmengine.runner.EpochBasedTrainLoop': '_epoch _iter _max_iters',
    'mmengine.runner.IterBasedTrainLoop': '_epoch _iter _max_iters',
    'mmengine.runner.Runner': '_build_param_scheduler _experiment_name '
    '_has_loaded _load_from _randomness_cfg _resume _timestamp _train_loop',
    'mmengine.runner.checkpoint': '_load_checkpoint _load_checkpoint_to_model',
    'mmdet.datasets.CocoDataset': '_metainfo',
    'mmdet.evaluation.CocoMetric': '_coco_api',
    'mmdet.models.roi_heads.BBoxHead': '_predict_by_feat_single',
    'mmdet.datasets.XMLDataset': '_parse_instance_info',
    'mmseg.visualization.SegLocalVisualizer': '_draw_sem_seg _get_center_loc',
    # not of the toolboxes
    'multiprocessing.queues.Queue': '_on_queue_feeder_error',
    'os': '_exit',
    'spandrel.ImageModelDescriptor': '_call_fn',
    'torch._weights_only_unpickler': '_get_allowed_globals',
    'torch.distributed.distributed_c10d': '_get_default_store',
    'torch.nn.Conv2d': '_conv_forward _modules '
    '_register_load_state_dict_pre_hook',
    'torch.utils.data._utils.signal_handling': '_set_worker_signal_handlers',
}
# Set by us, whether it is there or not; asked for by NumPy's version.
KNOWN = {'_safe_torch_load', '_core', '_frombuffer'}
ROOT = Path(sr4ir_mm.__file__).parent


def private(name):
    return re.fullmatch(r'_(?!abc_impl)[a-z]\w*[a-z]', name) is not None


def root_of(node):
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def is_set(node):
    return isinstance(node.ctx, ast.Store)


def read_source():
    """Private names that the source uses and does not define, with a line of
    each."""
    used, own, surely = {}, set(), set()
    for path in ROOT.rglob('*.py'):
        if '.mim' in path.parts:
            continue
        foreign = set()  # modules and classes of others, by our name for them
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = []
            if isinstance(node, ast.Import):
                foreign |= {
                    (a.asname or a.name).split('.')[0] for a in node.names
                }
            elif isinstance(node, ast.ImportFrom):
                if not node.level and not node.module.startswith('sr4ir_mm'):
                    foreign |= {a.asname or a.name for a in node.names}
                    names = [a.name for a in node.names]
                    surely |= set(names)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                own.add(node.name)
            elif isinstance(node, ast.arg):
                own.add(node.arg)
            elif isinstance(node, ast.AugAssign):
                node.target.ctx = ast.Load()  # what is there already
            elif isinstance(node, ast.Name) and is_set(node):
                own.add(node.id)
            elif isinstance(node, ast.Attribute):
                names = [node.attr]
                if is_set(node) and root_of(node) in ('self', 'cls'):
                    own.add(node.attr)
                if root_of(node) in foreign:
                    surely.add(node.attr)
            elif isinstance(node, ast.Call) and len(node.args) > 1:
                name = node.args[1]  # of patch.object, getattr and the like
                if root_of(node.func) in ('patch', 'getattr', 'setattr'):
                    names = [getattr(name, 'value', '')]
            for name in filter(private, map(str, names)):
                where = f'{path.relative_to(ROOT)}:{node.lineno}'
                used.setdefault(name, where)
    return {n: where for n, where in used.items() if n not in own - surely}


def names_of(kind):
    """Of a class itself, not of its bases."""
    found = re.findall(r'self\.(_\w+)', inspect.getsource(kind))
    return {*vars(kind), *found}


def shared():
    """Private names of the toolboxes' classes that ours, which inherit them,
    define or set, too."""
    found = {}
    for module in walk_packages(sr4ir_mm.__path__, 'sr4ir_mm.'):
        if module.name.endswith('__main__'):
            continue
        for kind in vars(import_module(module.name)).values():
            if not isinstance(kind, type) or kind.__module__ != module.name:
                continue
            for base in kind.__mro__[1:]:
                if base.__module__.startswith('mm'):
                    for name in names_of(kind) & names_of(base):
                        found[name] = kind.__qualname__
    return {name: kind for name, kind in found.items() if private(name)}


def test_each_is_listed():
    used = {**read_source(), **shared()}
    listed = {name for names in PRIVATE.values() for name in names.split()}
    new = {name: used[name] for name in set(used) - listed - KNOWN}
    assert not new, f'{new}: private; is there a public way? Else list it.'
    unused = listed - set(used)
    assert not unused, f'{unused}: not used any more; take it from the list.'


@pytest.mark.parametrize('owner', PRIVATE)
def test_each_is_there(owner):
    pytest.importorskip(owner.partition('.')[0])
    home, _, kind = owner.rpartition('.')
    try:
        found = import_module(owner)
    except ImportError:
        found = getattr(import_module(home), kind)
    source = ''
    if isinstance(found, type):
        source = '\n'.join(
            inspect.getsource(base)
            for base in found.__mro__
            if base.__module__ not in ('builtins', 'typing', 'abc')
        )
    missing = [
        name
        for name in PRIVATE[owner].split()
        if not hasattr(found, name) and f'self.{name}' not in source
    ]
    assert not missing, f'{owner} has no {missing} any more'
