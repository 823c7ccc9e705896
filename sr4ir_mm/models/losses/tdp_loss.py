from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from sr4ir_mm.registry import MODELS

from ..phase import Loss
from .pixel_loss import check_weight, get_criterion


@MODELS.register_module()
class TDPLoss(Loss):
    """Task-driven perceptual loss (SR4IR, section 3.1, eq. 2).

    Mean distance between the task model's features of the SR and of the HR
    image. The task model is in eval mode: running BatchNorm statistics, which
    stay as they are, and no dropout. It runs no further than the taps need.

    Args:
        taps (Sequence[int | str]): Where to read the features: either indices
            of the feature maps that the task model's ``extract_feat`` returns
            (those of the backbone for classifiers), or names of its modules,
            such as ``decode_head.fusion_conv``. Defaults to the last map.
        weights (Sequence[float], optional): One for each tap. Defaults to 1.
        targets (dict[str, float]): The views whose features those of the SR
            image should match, with a weight each: ``hr`` and ``anchor``, of
            one pass of the SR image. Defaults to ``dict(hr=1.0)``.
        criterion (str): ``l1`` or ``l2``, averaged over all elements.
            Defaults to ``l1``.
        balance (float, optional): Weight the loss anew in each iteration, so
            that the norm of its gradient at the SR image is this many times
            that of an L1 pixel loss: features of trained networks may
            otherwise pull thousands of times as hard (docs/en/results.md).
            Defaults to None: the weights as they are, as in the paper.
        **kwargs: See :class:`Loss`. The paper lets it set in at ``begin=0.1``.
    """

    name = 'tdp'

    def __init__(
        self,
        taps: Sequence[Union[int, str]] = (-1,),
        weights: Optional[Sequence[float]] = None,
        targets: Dict[str, float] = dict(hr=1.0),
        criterion: str = 'l1',
        balance: Optional[float] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.taps, self.weights = check_taps(taps, weights, kind)
        if not targets or not set(targets) <= {'hr', 'anchor'}:
            raise ValueError(
                f'{kind}.targets={targets!r}: expected weights of hr, anchor '
                'or both.'
            )
        self.targets = {
            view: check_weight(weight, f'{kind}.targets[{view!r}]')
            for view, weight in targets.items()
        }
        self.criterion = get_criterion(criterion)
        self.balance = balance
        self.is_mean = balance is None

    def forward(self, model, views) -> Dict[str, Tensor]:
        """``loss_tdp``, of view ``anchor`` ``loss_tdp_anchor``, and, if it is
        balanced, ``tdp_weight``; see :class:`Loss`."""
        # first: their passing maps are gone when the graph of SR is there
        targets = {
            view: self.target_features(model, views, view)
            for view in self.targets
        }
        is_half = next(iter(targets.values()))[0].dtype == torch.float16
        if self.balance is not None and is_half:
            raise ValueError(
                f'{type(self).__name__}.balance={self.balance}: gradients of '
                'float16 features are 0 before the loss is scaled: train in '
                "bfloat16 (optim_wrapper type 'sr4ir_mm.BF16OptimWrapper') or "
                'without mixed precision.'
            )
        network = self.network(model)
        is_frozen = not any(p.requires_grad for p in network.parameters())
        if torch.is_grad_enabled() and is_frozen and not is_half:
            losses = self._differentiated(model, views, targets)
        else:
            losses = self._compare(model, views, targets)
        # a dry run has no gradients
        if self.balance is None or not torch.is_grad_enabled():
            return losses
        total = sum(losses.values())
        weight = self.balance * _relative_pull(total, views['sr'])
        losses = {key: weight * loss for key, loss in losses.items()}
        return {**losses, f'{self.name}_weight': weight}

    def network(self, model) -> nn.Module:
        """The task model that it looks through."""
        return model.task_model

    def target_features(self, model, views, view: str) -> List[Tensor]:
        """Its features of what SR should match."""
        return model.features(views, view, self.taps)

    def _compare(self, model, views, targets) -> Dict[str, Tensor]:
        sr = model.features(views, 'sr', self.taps, self.network(model))
        return {
            f'loss_{self.name}' + '_anchor' * (view == 'anchor'): weight
            * distance(sr, targets[view], self.weights, self.criterion)
            for view, weight in self.targets.items()
        }

    def _differentiated(self, model, views, targets) -> Dict[str, Tensor]:
        """The same, with the gradient at what the network sees: of several
        losses that look through networks, one graph is alive at a time."""
        with views.cut('sr') as (inputs, leaf):
            losses = self._compare(model, views, targets)
            sum(losses.values()).backward()
        losses = {name: loss.detach() for name, loss in losses.items()}
        first = next(iter(losses))
        losses[first] = _Differentiated.apply(inputs, losses[first], leaf.grad)
        return losses


class _Differentiated(torch.autograd.Function):
    """A value whose gradient at the inputs is known already."""

    @staticmethod
    def forward(ctx, inputs, value, gradient):
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx, factor):
        (gradient,) = ctx.saved_tensors
        return factor * gradient, None, None


def check_taps(
    taps: Sequence[Union[int, str]],
    weights: Optional[Sequence[float]],
    kind: str,
) -> Tuple[Sequence[Union[int, str]], List[float]]:
    """Where a loss of this kind reads features, and their weights (1 each if
    there are none), or ValueError."""
    if (
        isinstance(taps, (int, str))
        or len({isinstance(tap, str) for tap in taps}) != 1
    ):
        raise ValueError(
            f'{kind}.taps={taps!r}: expected a list, of indices of '
            'feature maps or of names of modules.'
        )
    weights = [1.0] * len(taps) if weights is None else weights
    if len(weights) != len(taps):
        raise ValueError(
            f'{kind}: {len(weights)} weights for {len(taps)} taps.'
        )
    return taps, [check_weight(w, f'{kind}.weights') for w in weights]


def distance(
    features: Sequence[Tensor],
    targets: Sequence[Tensor],
    weights: Sequence[float],
    criterion,
) -> Tensor:
    """Weighted sum of the distances at all taps."""
    return sum(
        weight * criterion(*pair)
        for weight, *pair in zip(weights, features, targets)
    )


def _relative_pull(loss: Tensor, image: Tensor) -> Tensor:
    """Norm of an L1 loss's gradient at an image, by that of ``loss``.

    Args:
        loss (Tensor): A scalar that depends on the image.
        image (Tensor): RGB in [0, 1], (N, 3, H, W).
    """
    (gradient,) = torch.autograd.grad(loss, image, retain_graph=True)
    norm = gradient.float().norm()
    # each element of the other's gradient is 1 / n
    return image.numel() ** -0.5 / norm.clamp(min=1e-12)
