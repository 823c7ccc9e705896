import os
import os.path as osp
import re
from glob import escape, glob

import mmengine.hooks
from mmengine.dist import is_main_process
from mmengine.runner import CheckpointLoader, Runner

from sr4ir_mm.registry import HOOKS

from .run_folder import run_of


@HOOKS.register_module()
class CheckpointHook(mmengine.hooks.CheckpointHook):
    """mmengine's, which deletes an outdated checkpoint once the new one is
    there, not before: there is one to go on from at any time.

    The best checkpoint (``save_best='auto'``) is that of the task's metric,
    not of the images'. A validation without it, where nothing is detected,
    say, has found no better one.

    Args: See :class:`mmengine.hooks.CheckpointHook`.
    """

    _default_greater_keys = [
        *mmengine.hooks.CheckpointHook._default_greater_keys,
        'PSNR',
        'SSIM',
    ]
    _default_less_keys = [
        *mmengine.hooks.CheckpointHook._default_less_keys,
        'LPIPS',
        'TFD',
    ]

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
            if self.max_keep_ckpts > 0 and self.keep_ckpt_ids:
                self._remove_overdue(runner)

    def _remove_overdue(self, runner: Runner) -> None:
        """What a process that died was about to delete, of this run."""
        before, after = self.filename_tmpl.split('{}')
        numbered = re.compile(f'{re.escape(before)}(\\d+){re.escape(after)}')
        for name in os.listdir(self.out_dir):
            found = numbered.fullmatch(name)
            if not found or int(found[1]) >= min(self.keep_ckpt_ids):
                continue
            path = osp.join(self.out_dir, name)
            checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu')
            if run_of(checkpoint).get('id') == runner.run_id:
                self._remove(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """See mmengine, which takes the first metric for ``auto``, and ends
        the training where one is missing."""
        if not self.save_best:
            return
        images = {name: x for name, x in metrics.items() if _is_of_image(name)}
        task = {k: x for k, x in metrics.items() if k not in images}
        metrics = {**task, **images}
        wanted = [key for key in self.key_indicators if key != 'auto']
        missing = [key for key in wanted if key not in metrics]
        if not wanted and not task:
            missing = [f"any but the images' ({', '.join(images)})"]
        if missing:
            runner.logger.warning(
                f'save_best={self.save_best!r}: this validation has no metric '
                f'{", ".join(missing)}: it has found no better checkpoint.'
            )
        if wanted or not missing:
            metrics.update(dict.fromkeys(set(missing)))
            super()._save_best_checkpoint(runner, metrics)

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


def _is_of_image(name: str) -> bool:
    return name.startswith('sr/')


def save_last(runner: Runner, again: bool = False) -> None:
    """Write the checkpoint of the last step that is done, if it has one.

    Args:
        runner (Runner): Of a training that ends.
        again (bool): Whether also if it has been written before.
            Defaults to False.
    """
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.save_last:
            step = runner.epoch if hook.by_epoch else runner.iter
            path = osp.join(hook.out_dir, hook.filename_tmpl.format(step))
            if again or hook.last_ckpt != path:
                meta = dict(epoch=runner.epoch, iter=runner.iter)
                hook._save_checkpoint_with_step(runner, step, meta)
