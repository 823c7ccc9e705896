"""Imported by the processes that test_distributed.py launches."""

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS, TRANSFORMS

from sr4ir_mm.datasets import CQMix


@HOOKS.register_module()
class SaveEachRank(Hook):
    """Write the weights of every process to ``{work_dir}/rank{N}.pth``, and
    those that the first began with to ``start.pth``."""

    def before_train(self, runner):
        if get_rank() == 0:
            self._save(runner, 'start')

    def after_train(self, runner):
        self._save(runner, f'rank{get_rank()}')

    def _save(self, runner, name):
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        torch.save(model.state_dict(), f'{runner.work_dir}/{name}.pth')


@TRANSFORMS.register_module()
class CQMixByContent(CQMix):
    """The mask depends on the image alone, not on the process it is in."""

    def draw_mask(self, sr):
        cells = torch.nn.functional.adaptive_avg_pool2d(sr.detach(), self.grid)
        cells = cells.mean(1, keepdim=True)
        return cells > cells.mean((2, 3), keepdim=True)
