"""What a training depends on, and what --resume makes of what has changed."""

import re
import warnings
from math import ceil
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.utils import is_seq_of

from sr4ir_mm.models.phase import Span
from sr4ir_mm.utils.safe_config import read_data

from .run_folder import run_of

# Sections of the config that the rest of a training depends on.
SECTIONS = (
    'model train_dataloader train_cfg optim_wrapper param_scheduler '
    'auto_scale_lr randomness custom_hooks val_dataloader val_evaluator'
).split()

REFUSED = 'refused'
WARNED = 'warned'  # used, but what follows is not what one run would give
HONOURED = 'honoured'  # used from here on, as if it had always been so
IGNORED = 'ignored'  # of no consequence

# The first pattern that a key matches says what happens if it has changed.
RULES = (
    (r'classes|steps|parameters\..*', REFUSED),
    # others have another state
    (r'optim_wrapper\.(.*\.)?optimizer\.(type|amsgrad|centered)', REFUSED),
    (r'.*\b(init_cfg|_scope_|_delete_)\b.*', IGNORED),
    (r'.*\.(persistent_workers|pin_memory|prefetch_factor)', IGNORED),
    (r'val_dataloader\.(batch_size|num_workers)', IGNORED),
    (r'train_cfg\.(type|by_epoch)', IGNORED),  # see `steps`
    (r'(images|batches|world_size)|(train_dataloader|randomness)\..*', WARNED),
    (r'val_.*', WARNED),  # the best checkpoint was chosen by others
    (r'custom_hooks\b.*', WARNED),  # EMA's weights are others, say
    (r'.*', HONOURED),
)
# What the rates of learning depend on.
_RATES = (
    r'(optim_wrapper|param_scheduler|auto_scale_lr|world_size|batches)\b.*|'
    r'train_cfg\.max_.*|train_dataloader\.batch_size'
)
_MISSING = '(none)'
_SHOWN = 20  # lines
_LONG = 60  # characters


class NothingLeftError(ValueError):
    """A training is over already. The weights are loaded."""


class Change(NamedTuple):
    """A setting that is not as it was."""

    key: str
    old: Any
    new: Any

    @property
    def verdict(self) -> str:
        """What is made of it."""
        return next(v for k, v in RULES if re.fullmatch(k, self.key))

    @property
    def is_of_rates(self) -> bool:
        """Whether schedules may depend on it."""
        return bool(re.fullmatch(_RATES, self.key))

    def __str__(self) -> str:
        return f'{self.key}: {_brief(self.old)} -> {_brief(self.new)}'


def _brief(value: Any) -> str:
    if value and is_seq_of(value, dict):
        names = [str(v.get('name', v.get('type', '...'))) for v in value]
        return f'[{", ".join(names)}]'
    text = value if value is _MISSING else repr(value)
    return text if len(text) <= _LONG else f'{text[:_LONG]} ...'


def facts_of(runner: Runner) -> dict:
    """What the rest of a training depends on and its config does not tell, as
    plain data for a checkpoint."""
    loader = runner.train_dataloader
    return dict(
        images=len(loader.dataset),
        batches=len(loader),  # of an epoch, on each rank
        world_size=runner.world_size,
    )


def check_state(checkpoint: dict, filename: str) -> None:
    """Raise ValueError for a checkpoint that no training has written."""
    absent = {'epoch', 'iter'} - checkpoint.get('meta', {}).keys() or (
        {'message_hub'} - checkpoint.keys()
    )
    if absent:
        raise ValueError(
            f'{filename} is no checkpoint of a training (it has no '
            f'{sorted(absent)[0]!r}): start from its weights, with '
            f'--cfg-options load_from={filename} in place of --resume.'
        )


def compare(checkpoint: dict, runner: Runner, filename: str) -> List[Change]:
    """What has changed since a checkpoint was written, with a warning.

    Args:
        checkpoint (dict): With ``meta``. One of mmengine, or of before
            :func:`facts_of`, has less to compare.
        runner (Runner): Of the training that is to go on; its loop and its
            optimizers are built.
        filename (str): Of the checkpoint, for messages.

    Raises:
        ValueError: If it cannot go on with what has changed.
        NothingLeftError: If it is over.
    """
    changes, moved = _changes(checkpoint, runner, filename)
    refused = [str(c) for c in changes if c.verdict == REFUSED]
    if refused:
        raise ValueError(
            f'--resume: {filename} cannot go on with what has changed since: '
            f'{"; ".join(refused)}. Set it back, or start from its weights, '
            f'with --cfg-options load_from={filename} in place of --resume.'
        )
    unit, step, end = _position(checkpoint['meta'], runner)
    if step >= end:
        raise NothingLeftError(
            f'--resume: {filename} has been trained for {step} {unit}s, and '
            f'train_cfg.max_{unit}s={end}: nothing is left to train. Set it '
            'higher to train for longer.'
        )
    _report(changes, moved, runner, filename)
    return changes


def _changes(
    checkpoint: dict, runner: Runner, filename: str
) -> Tuple[List[Change], List[str]]:
    """What has changed, and what moves with it (:func:`_moved_spans`)."""
    meta = checkpoint['meta']
    texts = meta.get('cfg', ''), runner.cfg.pretty_text
    old, new = map(_settings, texts)
    if not old or not new:
        old = new = {}
        if not texts[0].strip() or texts[0] != texts[1]:
            runner.logger.warning(
                f'--resume: the config in {filename} cannot be compared with '
                'that of now, since one is missing or more than data: rates '
                'of learning may go on as they were.'
            )
    facts = _facts_in(checkpoint), _facts_now(runner)
    known = facts[0].keys() & facts[1].keys()
    found = {
        change.key: change  # a fact and the config may say the same
        for change in (
            *_differences('', old, new),
            *_differences('', *({k: f[k] for k in known} for f in facts)),
        )
        if change.verdict != IGNORED
    }
    unit, step, _ = _position(meta, runner)
    moved = _moved_spans(old, new, unit, step)
    done = step * facts[0].get('batches', 0)
    if unit == 'epoch' and done and meta['iter'] != done:
        moved.append(f'  epoch {step + 1} begins anew: it was not over')
    return list(found.values()), moved


def _report(
    changes: List[Change], moved: List[str], runner: Runner, filename: str
) -> None:
    groups = {
        'From here on, these are used:': [
            *(f'  {c}' for c in changes if c.verdict == HONOURED),
            *moved,
        ],
        'From here on, these are used, and it is not as if in one go:': [
            f'  {c}' for c in changes if c.verdict == WARNED
        ],
    }
    text = ''
    for title, lines in groups.items():
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = [f'  and {len(lines) - _SHOWN} more']
        if lines:
            text += '\n'.join(['', title, *lines])
    if text:
        runner.logger.warning(
            f'--resume: settings have changed since {filename} was written.'
            f'{text}'
        )


# ------------------------------------------------------------ both sides


def _settings(text: str) -> dict:
    """The sections of a config; empty if it is more than data. Paths in it
    begin where its data do, which may move."""
    roots = re.findall(r"data_root\s*=\s*'([^']+)'", text)
    for root in sorted(roots, key=len, reverse=True):
        text = text.replace(f"'{root}", "'")
    try:
        settings = read_data(text, '')
    except ValueError:
        return {}
    return {key: settings[key] for key in SECTIONS if settings.get(key)}


def _facts_in(checkpoint: dict) -> dict:
    meta = checkpoint['meta']
    train_cfg = _settings(meta.get('cfg', '')).get('train_cfg')
    facts = run_of(checkpoint)
    facts.update(
        classes=_classes(meta.get('dataset_meta')),
        parameters=_sizes(checkpoint.get('optimizer')),
        steps=train_cfg and _steps('max_epochs' in train_cfg),
        randomness=_seed(meta.get('seed')),
    )
    return {key: fact for key, fact in facts.items() if fact}


def _facts_now(runner: Runner) -> dict:
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    dataset = runner.train_dataloader.dataset
    facts = dict(
        facts_of(runner),
        classes=_classes(getattr(dataset, 'metainfo', None)),
        parameters=_sizes(runner.optim_wrapper.state_dict()),
        steps=_steps(by_epoch),
        randomness=_seed(runner.seed),
    )
    return {key: fact for key, fact in facts.items() if fact}


def _seed(seed: Optional[int]) -> Optional[dict]:
    """The one that was drawn, where the config has none."""
    return None if seed is None else dict(seed=seed)


def _steps(by_epoch: bool) -> str:
    return 'epochs' if by_epoch else 'iterations'


def _classes(metainfo: Optional[dict]) -> Optional[list]:
    classes = (metainfo or {}).get('classes')
    return None if classes is None else list(classes)


def _sizes(state: Optional[dict]) -> Optional[dict]:
    """How many parameters each group of each optimizer has."""
    if not state:
        return None
    states = dict(model=state) if 'param_groups' in state else state
    return {
        name: [len(group['params']) for group in one['param_groups']]
        for name, one in states.items()
    }


def _position(meta: dict, runner: Runner) -> Tuple[str, int, int]:
    """What training counts, how much is done, and of how much."""
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        return 'epoch', meta['epoch'], loop.max_epochs
    return 'iter', meta['iter'], loop.max_iters


def _differences(key: str, old: Any, new: Any) -> Iterator[Change]:
    """The innermost settings that differ; lists of other lengths as a
    whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = {
            name: (old.get(name, _MISSING), new.get(name, _MISSING))
            for name in {**old, **new}
        }
    elif (
        is_seq_of(old, dict) and is_seq_of(new, dict) and len(old) == len(new)
    ):
        pairs = dict(enumerate(zip(old, new)))
    else:
        as_list = [list(x) if isinstance(x, tuple) else x for x in (old, new)]
        if as_list[0] != as_list[1]:
            yield Change(key, old, new)
        return
    for name, pair in pairs.items():
        yield from _differences(f'{key}.{name}' if key else str(name), *pair)


# ---------------------------------------------------------------- spans


def _moved_spans(old: dict, new: dict, unit: str, step: int) -> List[str]:
    """Phases and losses that set in or end because training gets longer or
    shorter: their spans are fractions of it."""
    key = f'max_{unit}s'
    ends = [side.get('train_cfg', {}).get(key) for side in (old, new)]
    if None in ends or ends[0] == ends[1]:
        return []
    # of the last step if it was over
    before = min(step, ends[0] - 1e-6) / ends[0]
    now = step / ends[1]
    olds, lines = _spans(old), []
    for name, span in _spans(new).items():
        was, on = before in olds.get(name, span), now in span
        if was == on:
            continue
        turn = ceil((span.end if on else span.begin) * ends[1])
        until = f', until {unit} {turn}' if turn > step else ''
        lines.append(
            f'  {name}: {"off -> on" if on else "on -> off"}{until} of '
            f'{ends[1]}'
        )
    return lines


def _spans(settings: dict) -> Dict[str, Span]:
    spans = {}
    for phase in settings.get('model', {}).get('phases', ()):
        name = f'phase {phase.get("name")}'
        for key, part in [(name, phase)] + [
            (f'{name}, {loss.get("type")}', loss)
            for loss in phase.get('losses', ())
        ]:
            span = Span(part.get('begin', 0.0), part.get('end', 1.0))
            spans.setdefault(key, span)
    return spans


# --------------------------------------------------------------- restoring


def restore_rates(
    checkpoint: dict, runner: Runner, changes: List[Change]
) -> None:
    """Give the optimizers their state, and the schedules theirs.

    If rates depend on anything that has changed, schedules are stepped from
    the start to where training goes on, so that rates are those of a training
    that had the new settings all along.

    Args:
        checkpoint (dict): With ``meta``, of the optimizers that there are.
        runner (Runner): Its optimizers and schedules are as built; its loop is
            where training goes on.
        changes (list[Change]): See :func:`compare`.
    """
    wrappers = _by_network(runner.optim_wrapper)
    schedules = _by_network(runner.param_schedulers or {})
    replayed = (
        any(change.is_of_rates for change in changes)
        or runner.iter != checkpoint['meta']['iter']
        or not {'optimizer', 'param_schedulers'} <= checkpoint.keys()
    )
    built = {
        name: [
            {key: value for key, value in group.items() if key != 'params'}
            for group in wrapper.param_groups
        ]
        for name, wrapper in wrappers.items()
    }
    if 'optimizer' in checkpoint:
        runner.optim_wrapper.load_state_dict(checkpoint['optimizer'])
    states = _by_network(checkpoint.get('param_schedulers', {}))
    for name, wrapper in wrappers.items():
        own = schedules.get(name, [])
        needs_metrics = any(getattr(s, 'need_val_args', False) for s in own)
        if replayed and not needs_metrics:
            for group, values in zip(wrapper.param_groups, built[name]):
                group.update(values)
            _replay(own, runner)
            continue
        if replayed:
            runner.logger.warning(
                f'--resume: the rates of {name or "the optimizer"} depend on '
                'validations that are over, and go on as they were.'
            )
        for schedule, state in zip(own, states.get(name, [])):
            schedule.load_state_dict(state)


def _replay(schedules: list, runner: Runner) -> None:
    """Step as ParamSchedulerHook has done by now."""
    length, epochs = runner.iter, 1
    if runner.epoch:
        length, epochs = runner.iter // runner.epoch, runner.epoch
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of no optimizer that steps, too
        for _ in range(epochs):
            for _ in range(length):
                for schedule in schedules:
                    if not schedule.by_epoch:
                        schedule.step()
            if runner.epoch:
                for schedule in schedules:
                    if schedule.by_epoch:
                        schedule.step()


def _by_network(parts: Any) -> dict:
    """``parts`` by their networks' names; one without a name if there is no
    such thing."""
    if isinstance(parts, (dict, OptimWrapperDict)):
        return dict(parts.items())
    return {'': parts}
