"""What tells the toolboxes apart when an image is packed or drawn."""

from typing import Callable, Optional

from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import VISUALIZERS, DefaultScope
from mmengine.visualization import Visualizer

from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.utils.labels import name_labels

PACK = dict(
    mmseg='PackSegInputs', mmdet='PackDetInputs', mmpretrain='PackInputs'
)
VISUALIZER = dict(
    mmseg='SegLocalVisualizer',
    mmdet='DetLocalVisualizer',
    mmpretrain='UniversalVisualizer',
)
# Transforms that need files or labels, which are not there.
LOADERS = ('Load', 'Pack', 'DegradeInPipeline')


def find_raster_loader(cfg: Config) -> Optional[dict]:
    """The LoadRasterFromFile of a config's test pipeline, if it has one."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    for transform in dataset.get('pipeline', []):
        if transform['type'] == 'sr4ir_mm.LoadRasterFromFile':
            return transform
    return None


def build_pipeline(cfg: Config, toolbox: str, hr: bool) -> Callable:
    """What happens to an image: an HR image goes through the config's test
    pipeline, an LR image reaches the SR network as it is."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    transforms = [
        transform
        for transform in dataset.get('pipeline', [])
        if not transform['type'].split('.')[-1].startswith(LOADERS)
    ]
    pack = dict(type=PACK[toolbox])
    with DefaultScope.overwrite_default_scope(toolbox):
        return Compose([*transforms, pack] if hr else [pack])


def build_pen(cfg: Config, model: SRTaskModel) -> Visualizer:
    """The toolbox's visualizer without back ends, which only draws."""
    options = dict(cfg.get('visualizer') or {})
    name = options.pop('type', VISUALIZER[model.toolbox])
    scope = options.pop('_scope_', model.toolbox)  # of an inherited config
    options.update(name='pen', vis_backends=[], save_dir=None)
    # not built by the registry, which would give all models the same one
    with VISUALIZERS.switch_scope_and_registry(scope) as registry:
        pen = registry.get(name)(**options)
    num, needed = 0, ()
    if model.toolbox == 'mmseg':  # which insists on both
        num, needed = model.num_classes, ('classes', 'palette')
    pen.dataset_meta = name_labels(model.dataset_meta, num, needed)
    return pen


def use_sliding_windows(model: SRTaskModel, side: int) -> None:
    """Let a segmentor look at windows of this side, unless its config has
    windows of its own."""
    test_cfg = model.task_model.test_cfg
    if test_cfg.get('mode') != 'slide':
        stride = max(side * 2 // 3, 1)
        test_cfg.update(
            mode='slide', crop_size=(side, side), stride=(stride, stride)
        )
