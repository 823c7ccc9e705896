import os.path as osp
from typing import Optional, Sequence

from mmcv.image import imwrite
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sr4ir_mm.registry import HOOKS
from sr4ir_mm.visualization import draw_panel


@HOOKS.register_module()
class SRVisualizationHook(Hook):
    """Panels: LR, SR and HR, what the task model predicts from each, and the
    ground truth.

    Takes the place of a toolbox's visualization hook and understands the same
    options, so ``tools/test.py --show-dir`` works. The toolbox's own
    visualizer draws the predictions; its back ends store the panel.

    Args:
        draw (bool): Whether to draw at all. Defaults to False.
        enable (bool): The same, by mmpretrain's name.
        interval (int): Draw the first image of every ``interval``-th batch.
            Defaults to 50.
        show (bool): Also show the panels in a window. Defaults to False.
        wait_time (float): Seconds to show a panel. Defaults to 0.
        out_dir (str, optional): Folder to store the panels in, in place of the
            visualizer's back ends; mmpretrain's ``test.py`` sets it.
        test_out_dir (str, optional): The same, by mmdet's name.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        show: bool = False,
        wait_time: float = 0.0,
        enable: bool = False,
        out_dir: Optional[str] = None,
        test_out_dir: Optional[str] = None,
    ) -> None:
        self.draw = draw or enable
        self.interval = interval
        self.show = show
        self.wait_time = wait_time
        self.out_dir = out_dir or test_out_dir

    @master_only
    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[Sequence] = None,
        mode: str = 'train',
    ) -> None:
        if not self.draw or mode == 'train' or batch_idx % self.interval:
            return
        model = runner.model
        panel, name = draw_panel(
            model.module if is_model_wrapper(model) else model,
            data_batch,
            runner.visualizer,
        )
        name = f'{batch_idx:05d}_{name}'  # images may share their name
        if self.show:
            runner.visualizer.show(panel, name, wait_time=self.wait_time)
        if self.out_dir:
            path = osp.join(self.out_dir, f'{mode}_{name}.png')
            imwrite(panel[..., ::-1], path)
        else:
            runner.visualizer.add_image(
                f'{mode}_{name}', panel, step=runner.iter
            )
