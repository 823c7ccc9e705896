"""Which run a folder belongs to, and who trains in it."""

import json
import os
import os.path as osp
import re
import socket
from contextlib import contextmanager
from glob import escape, glob
from typing import Iterator, List, Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import MMLogger

from sr4ir_mm.utils.files import whole_file

_RUN = 'run.json'
_LOCK = '.lock'


def find_checkpoints(work_dir: str) -> List[str]:
    """The checkpoints of a training, newest first: what ``last_checkpoint``
    names, wherever the folder is now, then by the number in their names."""
    candidates = []
    try:
        with open(osp.join(work_dir, 'last_checkpoint')) as file:
            last = file.read().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        last = ''
    if last:
        candidates += [osp.join(work_dir, osp.basename(last)), last]
    folders = {work_dir, osp.dirname(last) or work_dir}
    numbered = [
        (int(re.search(r'_(\d+)\.pth$', path).group(1)), path)
        for folder in sorted(folders)
        for path in glob(osp.join(escape(folder), '*_*[0-9].pth'))
        if not osp.basename(path).startswith('best_')
        and re.search(r'_(\d+)\.pth$', path)
    ]
    candidates += [path for _, path in sorted(numbered, reverse=True)]
    # each once, and those that are there
    return [path for path in dict.fromkeys(candidates) if osp.isfile(path)]


def read_run(folder: str) -> Optional[dict]:
    """The run that trained last in a folder: its ``id``, which is None for
    one from before runs had any, and its ``seed``. None if nobody knows."""
    try:
        with open(osp.join(folder, _RUN)) as file:
            run = json.load(file)
    except (OSError, ValueError):
        return None
    return run if isinstance(run, dict) and 'id' in run else None


def run_of(checkpoint: dict) -> dict:
    """What a checkpoint knows of its run, its ``id`` above all; nothing, if
    others have written it."""
    run = checkpoint.get('meta', {}).get('run')
    return dict(run) if isinstance(run, dict) else {}


def write_run(folder: str, run_id: Optional[str], seed: int) -> None:
    """Note down that a folder belongs to a run."""
    if is_main_process():
        with whole_file(osp.join(folder, _RUN)) as part:
            with open(part, 'w') as file:
                json.dump(dict(id=run_id, seed=seed), file)


def warn_of_others(
    folder: str, run_id: Optional[str], source: Optional[str] = None
) -> None:
    """Warn of what another run has left where one will write.

    Args:
        folder (str): Where it will write.
        run_id (str, optional): Of the run that will.
        source (str, optional): The checkpoint that it goes on from. One in
            the folder itself was asked for, with what stands beside it.
    """
    run = read_run(folder)
    inside = source and osp.dirname(osp.abspath(source)) == osp.abspath(folder)
    if inside or (run is not None and run['id'] == run_id):
        return
    paths = glob(osp.join(escape(folder), '*.pth'))
    names = sorted(map(osp.basename, paths))
    if names:
        MMLogger.get_current_instance().warning(
            f'work_dir={folder} has {len(names)} checkpoints of another run, '
            f'{", ".join(names[:3])}{" ..." if names[3:] else ""}: this '
            'training will overwrite those of the same names. Another '
            '--work-dir keeps them.'
        )


@contextmanager
def alone_in(folder: str) -> Iterator[None]:
    """Inside, no other process trains in a folder.

    The lock is the system's: it goes with the process, however that ends, and
    its children, such as the workers of data loaders, do not have it.

    Raises:
        RuntimeError: If one does, in all processes of this training.
    """
    file, user = None, ''
    if is_main_process():
        file = open(osp.join(folder, _LOCK), 'a+')
        user = _lock(file)
    users = [user]
    broadcast_object_list(users)
    try:
        if users[0]:
            raise RuntimeError(
                f'work_dir={folder} is in use by {users[0]}, which trains '
                'there: wait for it, or take another --work-dir.'
            )
        yield
    finally:
        if file is not None:
            file.close()


def _lock(file) -> str:
    """Lock a file; returns who has done so before."""
    try:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # what POSIX may answer
        file.seek(0)
        return file.read().strip() or 'another process'
    except (ImportError, OSError) as error:
        MMLogger.get_current_instance().warning(
            f'{file.name} cannot be locked here ({error}): see to it that no '
            'other training uses its folder.'
        )
        return ''
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}')
    file.flush()
    return ''
