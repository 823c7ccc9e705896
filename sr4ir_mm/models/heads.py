"""What a task model's heads tell apart."""

from typing import Dict, Iterator, Sequence, Tuple

from torch import nn

# Of these the classes are not the data set's: stuff behind things, words, and
# proposals and edges, which are there or not.
_OTHER_NAMES = ('semantic_head', 'language_model', 'text_')
_OTHER_TYPES = ('RPN', 'STDCHead')


def check_heads(
    task_model: nn.Module, classes: Sequence[str], source: str
) -> None:
    """Raise ValueError unless each head of a task model is for the classes of
    a data set.

    Args:
        task_model (nn.Module): Of a toolbox.
        classes (Sequence[str]): ``metainfo.classes``.
        source (str): Whose they are.
    """
    heads = dict(find_heads(task_model))
    wrong = {
        name: number
        for name, (_, number) in heads.items()
        if number != len(classes)
    }
    if wrong:
        found = ', '.join(
            f'model.task_model.{name}.num_classes={number}'
            for name, number in wrong.items()
        )
        raise ValueError(
            f'{found}, but {source} has {len(classes)} classes: '
            f'{", ".join(classes[:5])}{" ..." if len(classes) > 5 else ""}. '
            f'Set {"each" if len(wrong) > 1 else "it"} to {len(classes)}, or '
            'name the classes in metainfo.classes.'
        )
    for name, (head, number) in heads.items():
        channels = getattr(head, 'out_channels', number)
        losses = [m for m in head.modules() if hasattr(m, 'use_sigmoid')]
        if (
            _reads_logits(head)
            and channels == 1
            and losses
            and not any(loss.use_sigmoid for loss in losses)
        ):
            raise ValueError(
                f'model.task_model.{name} has a single output, and a softmax '
                'over it, whose loss is 0 whatever the image: set '
                'use_sigmoid=True in its loss, or let it have an output for '
                'the background, too.'
            )


def _reads_logits(head: nn.Module) -> bool:
    """Whether its outputs are one for each class: those of detectors have one
    for the background besides."""
    return not hasattr(head, 'bbox_coder') and (
        'mmdet' not in type(head).__module__
    )


def find_heads(
    task_model: nn.Module,
) -> Iterator[Tuple[str, Tuple[nn.Module, int]]]:
    """The classifiers of a task model: name, module, and number of classes.

    Those that tell only objects from background, and those of models for
    things and stuff, whose heads share the classes among them, are none.
    """
    if any('semantic_head' in name for name, _ in task_model.named_children()):
        return
    found: Dict[str, int] = {}
    for name, module in task_model.named_modules():
        inside = any(name.startswith(f'{outer}.') for outer in found)
        if inside or 'head' not in name or _is_other(name, module):
            continue
        number = getattr(module, 'num_classes', None)
        if number is None and name == 'head':  # of mmpretrain, one's own
            layers = [m for m in module.modules() if isinstance(m, nn.Linear)]
            number = layers[-1].out_features if layers else None
        if isinstance(number, int) and number > 0:
            found[name] = number
            yield name, (module, number)


def _is_other(name: str, module: nn.Module) -> bool:
    kind = type(module).__name__
    return (
        getattr(module, 'class_agnostic', False)
        or any(part in name for part in _OTHER_NAMES)
        or any(part in kind for part in _OTHER_TYPES)
    )
