import os.path as osp
import sys
import time
from typing import Dict, List, Optional, Tuple

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from sr4ir_mm.utils.files import whole_file

from .look import look_at
from .tables import NAMES, describe, print_scores
from .trials import Pool, Trial, split_data
from .verdict import Scores, Verdict, judge

ALL = 'sr+hr+bilinear'
COLORS = {'yes': 'green', 'no': 'red', 'cannot tell': 'yellow'}


def advise(
    cfg: Config,
    budget: int = 150,
    seed: int = 0,
    task_checkpoint: Optional[str] = None,
    out: Optional[str] = None,
) -> Verdict:
    """Train for some minutes, and say on the screen whether an SR network
    would help.

    Args:
        cfg (Config): Of a training with an SR network; it is changed.
        budget (int): Iterations of each short training of the task model; the
            SR network gets twice as many. Defaults to 150.
        seed (int): The first of two. Defaults to 0.
        task_checkpoint (str, optional): Weights of a task model that has
            learnt from HR images, which all start from. Defaults to None: as
            the config starts it.
        out (str, optional): HTML page of what is on the screen.

    Raises:
        FileNotFoundError: If there is no ``task_checkpoint``.
        ValueError: If the config has no SR network, or no images to validate
            on.
    """
    if not cfg.model.get('sr_net'):
        raise ValueError(
            'model.sr_net is not set: advise is about a training with an SR '
            'network, such as configs/sr4ir_*.py.'
        )
    if task_checkpoint and not osp.isfile(task_checkpoint):
        raise FileNotFoundError(
            f'--task-checkpoint: there is no file {task_checkpoint!r}.'
        )
    start = time.time()
    MMLogger.get_current_instance().setLevel('ERROR')
    init_default_scope(cfg.default_scope)
    console = Console(record=True, width=None if sys.stdout.isatty() else 100)
    scale, folder = cfg.model.get('scale', 4), osp.join(cfg.work_dir, 'advice')
    missing = _forget_missing(cfg.model.sr_net)
    planned = Config(cfg.to_dict())
    images, where = split_data(cfg)
    console.print(f'[bold]{cfg.filename}[/], x{scale}, tested on {where}')
    if missing:
        console.print(f'S starts from random weights: there is no {missing}.')
    found, sr_net = _train(cfg, folder, budget, seed, task_checkpoint, console)
    look = look_at(planned, osp.join(folder, 'look'), sr_net)
    title = f'{budget} iterations each, S {2 * budget} before'
    print_scores(console, found, title)
    for text in describe(look, scale):
        console.print(f'- {text}', markup=False, highlight=False)
    verdict = judge(_collect(found), scale, images, budget)
    answer = f'[bold {COLORS[verdict.answer]}]{verdict.answer.upper()}:[/]'
    console.print(f'\n{answer} {verdict.because}', highlight=False)
    console.print(f'({time.time() - start:,.0f} s)')
    if out:
        with whole_file(out) as part:
            console.save_html(part)
        print(f'See {out}')
    return verdict


def _forget_missing(sr_net: dict) -> Optional[str]:
    """Let an SR network start from nothing where its weights are not there;
    returns their file, in that case."""
    file = (sr_net.get('init_cfg') or {}).get('checkpoint', '')
    if not file or '://' in file or osp.isfile(file):
        return None
    sr_net.init_cfg = None
    return file


def _train(
    cfg: Config,
    folder: str,
    budget: int,
    seed: int,
    task_checkpoint: Optional[str],
    console: Console,
) -> Tuple[Dict[Trial, dict], str]:
    """Run all trials; returns what they found, and the SR network's file."""
    pixels = Trial('S', 'pixels', ('sr',), seed, 2 * budget)
    alone: List[Trial] = []
    together: List[Trial] = []
    for s in (seed, seed + 1):
        alone.append(Trial('H -> T', 'hr', ('hr',), s, budget))
        alone.append(Trial('L -> T', 'bilinear', ('bilinear',), s, budget))
        views = tuple(ALL.split('+'))
        together.append(Trial('all -> T', ALL, views, s, budget))
    trials = [pixels, *alone, *together]
    with Progress(
        *Progress.get_default_columns(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        bar = progress.add_task('', total=sum(t.cost for t in trials))

        def tell(cost: int) -> None:
            progress.advance(bar, cost)

        with Pool(cfg, folder, tell, task_checkpoint) as pool:
            futures = {trial: pool.submit(trial) for trial in [pixels, *alone]}
            pool.wait(futures[pixels])
            sr_net = pool.checkpoint(pixels)
            for trial in together:
                futures[trial] = pool.submit(trial, sr_net)
            found = {}
            for trial, future in futures.items():
                result = pool.wait(future)
                found[trial] = result['found']
                told, seconds = _told(found[trial]), result['seconds']
                console.print(f'  {trial}: {told} ({seconds:.0f} CPU s)')
    return found, sr_net


def _told(scores: Dict[str, Dict[str, float]]) -> str:
    """What a trial has found, in a line."""
    return ', '.join(
        f'{found["task"]:.1f} on {NAMES[view]}'
        if 'task' in found
        else f'{found["psnr"]:.2f} dB'
        for view, found in scores.items()
    )


def _collect(found: Dict[Trial, dict]) -> Scores:
    """The scores of all seeds, by what was trained and tested on."""

    def of(views: str, test: str) -> List[float]:
        return [
            scores[test]['task']
            for trial, scores in found.items()
            if trial.views == views
        ]

    return Scores(
        of('hr', 'hr'),
        of('bilinear', 'bilinear'),
        of(ALL, 'hr'),
        of(ALL, 'sr'),
        of(ALL, 'bilinear'),
    )
