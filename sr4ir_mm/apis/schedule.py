"""How long a training is, and what in its config goes with that."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.config import Config

# In epochs or iterations, of schedules and hooks.
SCHEDULE_KEYS = (
    *('begin', 'end', 'after_epochs', 'T_max', 'periods', 'milestones'),
    *('step_size', 'total_steps'),
)
HOOK_POINTS = ('switch_epoch', 'action_epoch', 'begin_epoch', 'begin_iter')
HOOK_KEYS = (*HOOK_POINTS, 'num_last_epochs')
_CHECKPOINT_ITERS = 50  # between two checkpoints, at least; and the last one

Span = Tuple[float, float]
ALL: Span = (0, 1)


def shorten(
    cfg: Config, epochs: Optional[int] = None, iters: Optional[int] = None
) -> Config:
    """Make a training shorter, or longer, with all that goes with it: warm-up,
    milestones and periods of the learning rates, how often it validates and
    stores checkpoints, and what hooks do at a certain epoch.

    Works on the config in place. So it takes three lines in a config::

        _base_ = './sr4ir_deeplabv3_voc_x4.py'
        from sr4ir_mm.apis import shorten
        shorten(_base_, epochs=10)

    Args:
        cfg (Config | ConfigDict): The config; in a config, ``_base_``.
        epochs (int, optional): How long the task network is trained. S -> T
            takes twice that, as each of its networks has a stage of its own.
        iters (int, optional): Likewise, for configs that count iterations.

    Returns:
        Config | ConfigDict: ``cfg``.

    Raises:
        ValueError: If the config counts the other one, or it is no whole
            number.
    """
    unit = _unit(cfg)
    given = dict(max_epochs=epochs, max_iters=iters)
    number = given.pop(unit)
    if number is None or any(given.values()):
        raise ValueError(
            f'shorten: epochs={epochs}, iters={iters}, but the config has '
            f'train_cfg.{unit}={cfg["train_cfg"][unit]}: give '
            f'{unit[len("max_") :]} alone.'
        )
    if not isinstance(number, int) or number < 1:
        raise ValueError(
            f'shorten: {unit[len("max_") :]}={number!r}: expected a whole '
            'number, 1 or more.'
        )
    return shorten_by(cfg, number / _stage(cfg))


def shorten_by(cfg: Config, fraction: float) -> Config:
    """As :func:`shorten`, to a fraction of the length, rounded to whole epochs
    (or iterations) of a stage, so that all recipes get the same of it."""
    stage, unit, loop = _stage(cfg), _unit(cfg), cfg['train_cfg']
    fraction = max(1, round(stage * fraction)) / stage
    loop[unit] = round(loop[unit] * fraction)
    _scale(loop, ('val_begin', 'val_interval', 'dynamic_intervals'), fraction)
    for schedule in _flat(list(_schedules(cfg).values())):
        _scale(schedule, SCHEDULE_KEYS, fraction, _in_epochs(schedule, unit))
        if schedule.get('begin', 0) >= schedule.get('end', float('inf')):
            schedule['end'] = schedule['begin'] + 1
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    _scale_checkpoints(checkpoint, fraction)
    for hook in nodes(cfg.get('custom_hooks')):
        _scale(hook, HOOK_KEYS, fraction)
    return cfg


def lay_out(
    cfg: Config, phases: Sequence[dict], before: Sequence[dict] = ()
) -> Config:
    """Make a training as long as a recipe needs it: the task network gets its
    schedule in whole, in the part of the training in which the recipe trains
    it, and the SR network the same one, stretched over its own part.

    So S -> T takes twice as long, and T's warm-up comes in the middle.

    Args:
        cfg (Config | ConfigDict): The config, with a schedule for each
            network.
        phases (Sequence[dict]): The recipe.
        before (Sequence[dict]): The recipe that it is laid out for now.
            Defaults to none: both networks all the time.

    Returns:
        Config | ConfigDict: ``cfg``.
    """
    old, new = _parts(before), _parts(phases)
    if {*old.values(), *new.values()} <= {ALL}:
        return cfg
    unit, loop = _unit(cfg), cfg['train_cfg']
    stage = round(loop[unit] / _stages(before))
    loop[unit] = round(stage * _stages(phases))
    for name, group in _schedules(cfg).items():
        (begin, end), (to, until) = old.get(name, ALL), new.get(name, ALL)
        for schedule in _flat(group):
            in_epochs = _in_epochs(schedule, unit)
            if in_epochs or unit == 'max_iters':  # what mmengine fills in
                schedule.setdefault('end', round(stage * end))
            _move(schedule, -stage * begin, unit)
            stretch = (until - to) / (end - begin)
            _scale(schedule, SCHEDULE_KEYS, stretch, in_epochs)
            _move(schedule, stage * to, unit)
    later = new.get('task_model', ALL)[0] - old.get('task_model', ALL)[0]
    later = round(stage * later)
    for hook in nodes(cfg.get('custom_hooks')):
        for key in set(HOOK_POINTS) & set(hook):
            hook[key] += later
    if 'dynamic_intervals' in loop:
        loop['dynamic_intervals'] = [
            (at + later, every) for at, every in loop['dynamic_intervals']
        ]
    return cfg


def start_on_pixels(phases: Sequence[dict]) -> List[dict]:
    """The same recipe after a stage on pixels alone, for an SR network that
    has learnt nothing yet; as it is, if it begins with such a stage."""
    first = [phase for phase in phases if not phase.get('begin')]
    kinds = {loss['type'] for phase in first for loss in phase['losses']}
    if kinds == {'sr4ir_mm.PixelLoss'}:
        return list(phases)
    start = 1 / (1 + _stages(phases))

    def later(part: dict, **defaults: float) -> dict:
        part = dict(defaults, **part)
        for key in {'begin', 'end'} & set(part):
            part[key] = start + (1 - start) * part[key]
        return part

    pixels = dict(
        name='pixels',
        trains='sr_net',
        end=start,
        losses=[dict(type='sr4ir_mm.PixelLoss')],
    )
    return [
        pixels,
        *(
            dict(
                later(phase, begin=0), losses=list(map(later, phase['losses']))
            )
            for phase in phases
        ),
    ]


def _unit(cfg: Config) -> str:
    return 'max_epochs' if 'max_epochs' in cfg['train_cfg'] else 'max_iters'


def _in_epochs(schedule: dict, unit: str) -> bool:
    return unit == 'max_epochs' and schedule.get('by_epoch', True)


def _stage(cfg: Config) -> int:
    """For how many epochs (or iterations) the task network is trained."""
    phases = (cfg.get('model') or {}).get('phases') or ()
    return round(cfg['train_cfg'][_unit(cfg)] / _stages(phases))


def _stages(phases: Sequence[dict]) -> float:
    """How often the task network's part of a training fits into it; the SR
    network's, if it is trained alone."""
    spans = _spans(phases)
    begin, end = spans.get('task_model') or spans.get('sr_net') or ALL
    return 1 / (end - begin)


def _parts(phases: Sequence[dict]) -> Dict[str, Span]:
    """When each network is trained, in stages."""
    stages = _stages(phases)
    return {
        name: (_tidy(begin * stages), _tidy(end * stages))
        for name, (begin, end) in _spans(phases).items()
    }


def _spans(phases: Sequence[dict]) -> Dict[str, Span]:
    """When each network is trained, in fractions of the training."""
    found: Dict[str, Span] = {}
    for phase in phases:
        trains = phase['trains']
        for name in [trains] if isinstance(trains, str) else trains:
            begin, end = found.get(name, (1, 0))
            begin = min(begin, phase.get('begin', 0))
            found[name] = begin, max(end, phase.get('end', 1))
    return found


def _schedules(cfg: Config) -> Dict[str, Any]:
    """Those of each network, or of all."""
    schedules = cfg.get('param_scheduler') or {}
    if isinstance(schedules, dict) and 'type' not in schedules:
        return schedules
    return dict(all=schedules)


def _flat(node: Any) -> List[dict]:
    if isinstance(node, dict):
        return [node]
    return [item for child in node for item in _flat(child)]


def nodes(node: Any) -> List[dict]:
    """All dicts in a part of a config."""
    found = [node] if isinstance(node, dict) else []
    children = node.values() if isinstance(node, dict) else node
    if isinstance(node, (dict, list, tuple)):
        for child in children:
            found += nodes(child)
    return found


def _move(schedule: dict, by: float, unit: str) -> None:
    """Let a schedule begin later. Of one in iterations of a training in
    epochs, the runner does so, which knows how many there are."""
    by = _tidy(by)
    if not by:
        return
    if unit == 'max_epochs' and not _in_epochs(schedule, unit):
        later = schedule.pop('after_epochs', 0) + by
        if later:
            schedule['after_epochs'] = later
        return
    schedule['begin'] = _tidy(schedule.get('begin', 0) + by)
    schedule['end'] = _tidy(schedule['end'] + by)


def _scale(
    node: dict, keys: Sequence[str], fraction: float, in_epochs: bool = False
) -> None:
    """Scale what is in a dict, to whole numbers; a schedule in epochs may be
    in parts of them, and is then converted to iterations."""

    def scale(value: Any, minimum: int) -> Any:
        if isinstance(value, (list, tuple)):
            return [scale(item, minimum) for item in value]
        if in_epochs:
            return _tidy(value * fraction)
        return max(minimum, round(value * fraction))

    for key in keys:
        if node.get(key) in (None, -1):  # -1 is never
            continue
        node[key] = scale(node[key], 0 if key.startswith('begin') else 1)
        if any(isinstance(value, float) for value in _leaves(node[key])):
            node['convert_to_iter_based'] = True


def _scale_checkpoints(hook: dict, fraction: float) -> None:
    """In proportion, but not so often that storing takes the time."""
    before = hook.get('interval', -1)
    _scale(hook, ('interval', 'save_begin'), fraction)
    if before > 0 and not hook.get('by_epoch', True):
        least = min(before, _CHECKPOINT_ITERS)
        hook['interval'] = max(hook['interval'], least)


def _leaves(node: Any) -> list:
    if isinstance(node, list):
        return [leaf for child in node for leaf in _leaves(child)]
    return [node]


def _tidy(value: float) -> float:
    """A whole number as such."""
    return round(value) if abs(value - round(value)) < 1e-6 else value
