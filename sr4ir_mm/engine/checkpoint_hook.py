import os
import os.path as osp
from glob import escape, glob

import mmengine.hooks
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from sr4ir_mm.registry import HOOKS


@HOOKS.register_module()
class CheckpointHook(mmengine.hooks.CheckpointHook):
    """mmengine's, which deletes an outdated checkpoint once the new one is
    there, not before: there is one to go on from at any time.

    Args: See :class:`mmengine.hooks.CheckpointHook`.
    """

    def before_train(self, runner: Runner) -> None:
        """Clear away what a process that died was writing."""
        super().before_train(runner)
        self._find_best()
        self._outdated = []
        # mmengine removes files of this hook by this hook's own back end
        self._remove = self.file_backend.remove
        self.file_backend.remove = self._outdated.append
        if is_main_process():
            for part in glob(f'{escape(self.out_dir)}/*.pth.part'):
                os.remove(part)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            while self._outdated:
                path = self._outdated.pop()
                if self.file_backend.isfile(path) and path != self.last_ckpt:
                    self._remove(path)

    def _find_best(self) -> None:
        """``work_dir`` may have been moved, or copied."""
        if getattr(self, 'best_ckpt_path', None):
            self.best_ckpt_path = self._here(self.best_ckpt_path)
        for key, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[key] = path and self._here(path)

    def _here(self, path: str) -> str:
        return osp.join(self.out_dir, osp.basename(path))
