import os
import os.path as osp
from functools import partial
from glob import escape, glob
from typing import Iterable

import mmengine.hooks
from mmengine.dist import is_main_process
from mmengine.runner import CheckpointLoader, Runner

from sr4ir_mm.registry import HOOKS
from sr4ir_mm.utils.safe_load import UnreadableFileError

from .run_folder import run_of

# What a checkpoint says of the files that are deleted once it is there.
_OVERDUE = 'overdue_ckpts'


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
        """Clear away what a process that died was writing, or about to
        delete."""
        self._leave_elsewhere(runner)
        super().before_train(runner)
        self._find_best()
        self._outdated = []
        # mmengine removes files of this hook by this hook's own back end
        self._remove = self.file_backend.remove
        self.file_backend.remove = partial(self._remove_later, runner)
        if is_main_process():
            for part in glob(f'{escape(self.out_dir)}/*.pth.part'):
                os.remove(part)
            self._remove_overdue(runner)

    def _leave_elsewhere(self, runner: Runner) -> None:
        """Of a run that goes on from another folder: that folder's
        checkpoints stay, and so do those of their names here."""
        source = runner._load_from if runner._resume else None
        name = osp.basename(osp.abspath(runner.work_dir))
        own = [runner.work_dir, osp.join(self.out_dir or '', name)]
        if source and osp.realpath(osp.dirname(source)) not in map(
            osp.realpath, own
        ):
            info = runner.message_hub.runtime_info
            for key in list(info):
                if key.startswith('best_ckpt') or key in (
                    'keep_ckpt_ids',
                    _OVERDUE,
                ):
                    del info[key]

    def _remove_later(self, runner: Runner, path: str) -> None:
        """Once the new checkpoint is there, which names what it replaces."""
        self._outdated.append(path)
        names = [osp.basename(path) for path in self._outdated]
        runner.message_hub.update_info(_OVERDUE, names)

    def _remove_overdue(self, runner: Runner) -> None:
        """What a process that died was about to delete, if it is of this run
        still."""
        for name in runner.message_hub.runtime_info.get(_OVERDUE, []):
            path = self._here(name)
            if osp.isfile(path) and path not in self._current():
                try:
                    found = CheckpointLoader.load_checkpoint(path, 'cpu')
                except UnreadableFileError:
                    continue
                if run_of(found).get('id') == runner.run_id:
                    self._remove(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """See mmengine, which takes the first metric for ``auto``, and ends
        the training where one is missing."""
        if not self.save_best:
            return
        if 'auto' in self.key_indicators:
            self._choose(name for name in metrics if not _is_of_image(name))
        missing = [key for key in self.key_indicators if key not in metrics]
        if 'auto' in missing:
            runner.logger.warning(
                f'save_best={self.save_best!r}: of {", ".join(metrics)}, none '
                'is a metric of the task that is known to be better when '
                'greater, or less: this validation has found no better '
                "checkpoint. Name one, with its rule='greater' or 'less'."
            )
            return
        if missing:
            runner.logger.warning(
                f'save_best={self.save_best!r}: this validation has no metric '
                f'{", ".join(missing)}: it has found no better checkpoint.'
            )
        metrics = {**dict.fromkeys(missing), **metrics}
        super()._save_best_checkpoint(runner, metrics)

    def _choose(self, names: Iterable[str]) -> None:
        """Replace ``auto`` by the first metric that has a rule."""
        rules = self.rules
        for name in names:
            try:
                return self._init_rule(rules, [name])
            except ValueError:
                self.rules = rules

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            while self._outdated:
                path = self._outdated.pop()
                if self.file_backend.isfile(path):
                    if path not in self._current():
                        self._remove(path)
            runner.message_hub.update_info(_OVERDUE, [])

    def _current(self) -> set:
        """Of a step that is validated twice, new and old have one name."""
        best = getattr(self, 'best_ckpt_path_dict', {}).values()
        return {self.last_ckpt, getattr(self, 'best_ckpt_path', None), *best}

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
