"""Weights of the tasks in one training run: fixed, learned, by loss ratios, or max-min fair."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mafs_training.limits import bounded
import torch
from torch import nn, Tensor

KINDS = ('fairness', 'progressive', 'ratio', 'uncertainty', 'fixed')
_STANDARD_ERRORS = 2.0  # standard errors that a change must exceed
_REGRESSED = 0.02  # share by which a loss may rise before its task bids again
_SATISFIED = 1e6  # utility of a task that has what it can get
_TEMPERATURE = 2.0


@dataclass
class WeightingOptions:
    """
    Weights of the tasks.

    Attributes:
        kind: fairness; progressive, the same but a task that has what it can get leaves the
            bidding; ratio, by the ratio of a loss to what it was; uncertainty or fixed.
        fixed: weight per task for fixed (fusion, segmentation, teacher); missing: 1.
        rate: step size of the exponentiated gradient.
        floor: least weight of a task; at most an equal share.
        smoothing: share of the past in the smoothed losses.
        start_steps: steps that define where a task starts.
        attainable: share of its start below which a task's loss cannot fall, for fairness; the
            fusion loss has no zero, and a blend starts close to its least value.
        window: steps over which progressive and ratio compare a loss with itself.

    """

    kind: str = bounded('fairness', choices=KINDS)
    fixed: dict[str, float] = field(default_factory=dict)
    rate: float = bounded(0.01, above=0)
    floor: float = bounded(0.1, low=0, high=1)
    smoothing: float = bounded(0.98, low=0, below=1)
    start_steps: int = bounded(20, low=1)
    attainable: dict[str, float] = field(default_factory=lambda: {'fusion': 0.75})
    window: int = bounded(100, low=2)


def relative_improvement(loss: Tensor, start: Tensor, attainable: Tensor | float = 0.0) -> Tensor:
    r"""
    Return :math:`u_k = (L_k(0) - L_k(t)) / ((1 - a_k) L_k(0))`.

    Args:
        loss: of each task now.
        start: of each task at its start.
        attainable: share a of the start below which a task's loss cannot fall, 0 <= a < 1.

    Returns:
        0 at the start, 1 at what is attainable.

    """
    return (start - loss) / ((1 - attainable) * start).clamp_min(1e-12)


def project_to_floor(weights: Tensor, floor: float) -> Tensor:
    """
    Nearest point, in the Kullback-Leibler sense, of the simplex whose weights are all >= floor.

    Weights below the floor are raised to it and the others scaled down together, until none is
    below; unlike mixing with the uniform weights this leaves a point that keeps the floor as is.

    Args:
        weights: point of the simplex [K].
        floor: least weight, 0 <= floor <= 1/K.

    Returns:
        Point of the simplex [K].

    """
    low = torch.zeros_like(weights, dtype=torch.bool)
    result = weights
    for _ in range(weights.numel()):
        low = low | (result < floor)
        rest = weights.masked_fill(low, 0.0)
        scale = (1 - floor * low.sum()) / rest.sum().clamp_min(1e-30)
        result = torch.where(low, torch.full_like(weights, floor), rest * scale)
    return result


def exponentiated_gradient_step(
    weights: Tensor, utilities: Tensor, rate: float, floor: float
) -> Tensor:
    r"""
    One step of the player that lays its weight on the least improved task.

    .. math:: w_k' \propto w_k e^{-\eta u_k}, \quad w \leftarrow \Pi_\epsilon(w')

    Mirror descent with the entropy on :math:`\min_{w}\sum_k w_k u_k` over the simplex with floor
    epsilon. The floor keeps every task trained, and bounds the number of steps after which a task
    that falls behind is caught up with: without it the weight would first have to undo its whole
    history.

    Args:
        weights: point of the simplex [K].
        utilities: improvement per task [K].
        rate: step size eta, > 0.
        floor: least weight epsilon, 0 <= floor <= 1/K.

    Returns:
        Point of the simplex [K].

    Source: MAFS, dynamic factor from max-min fairness; its formula is not available to us. Ours
        is the multiplicative weights player of Freund and Schapire (1999) for a zero-sum game;
        the derivation is in docs/method_training.md.

    """
    log_weights = weights.clamp_min(1e-30).log() - rate * utilities
    stepped = (log_weights - log_weights.max()).exp()
    return project_to_floor(stepped / stepped.sum(), floor)


class TaskWeighting(nn.Module, ABC):
    """Combines the losses of named tasks into one; the base of the three ways to do it."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        if not tasks or len(set(tasks)) != len(tasks):
            raise ValueError(f'tasks: expected distinct names, got {list(tasks)}')
        self.tasks = tuple(tasks)

    def combine(self, losses: Mapping[str, Tensor | None]) -> Tensor:
        """
        Weighted sum of the losses.

        Args:
            losses: scalar loss per task; None or a missing key: the task has no sample in this
                batch and is left out.

        Returns:
            Scalar with gradient.

        Raises:
            ValueError: a task that is not known, or no loss at all.

        """
        unknown = set(losses) - set(self.tasks)
        if unknown:
            raise ValueError(f'losses: unknown task {sorted(unknown)}, known are {self.tasks}')
        present = {name: loss for name, loss in losses.items() if loss is not None}
        if not present:
            raise ValueError('losses: no task has a loss in this batch')
        return self._combine(present)

    @abstractmethod
    def _combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Combine the losses that are there."""

    @abstractmethod
    def current(self) -> dict[str, float]:
        """Weight of each task now, for the log."""

    def update(self, losses: Mapping[str, Tensor | None]) -> None:
        """Learn from the (detached) losses of a training step; nothing to do by default."""


class FixedWeighting(TaskWeighting):
    """Constant weights."""

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        given = dict(weights or {})
        unknown = set(given) - set(tasks)
        if unknown:
            raise ValueError(f'weights: unknown task {sorted(unknown)}, known are {self.tasks}')
        if not all(weight >= 0 for weight in given.values()):
            raise ValueError(f'weights: expected numbers from 0, got {given}')
        self.weights = {name: float(given.get(name, 1.0)) for name in self.tasks}

    def _combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()

    def current(self) -> dict[str, float]:
        """See the base class."""
        return dict(self.weights)


class UncertaintyWeighting(TaskWeighting):
    r"""
    Learned weights, :math:`\sum_k e^{-s_k} L_k + s_k / 2`, where s_k is a log variance.

    Source: Kendall et al., Multi-Task Learning Using Uncertainty (2018), eq. 7.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))

    def _combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        terms = []
        for index, name in enumerate(self.tasks):
            if name in losses:
                s = self.log_variance[index]
                terms.append(torch.exp(-s) * losses[name] + 0.5 * s)
        return torch.stack(terms).sum()

    def current(self) -> dict[str, float]:
        """See the base class."""
        return dict(zip(self.tasks, torch.exp(-self.log_variance.detach()).tolist(), strict=True))


class FairnessWeighting(TaskWeighting):
    r"""
    Max-min fair weights: the least improved task gets the most.

    The total is :math:`K \sum_k w_k L_k / L_k(0)`, so that equal weights give each
    normalised loss factor 1. Utilities come from exponentially smoothed losses; the start of a
    task is the mean of its first ``start_steps`` losses, during which weights stay equal.

    Args:
        tasks: names.
        options: step size, floor, smoothing, start and what is attainable.

    Raises:
        ValueError: ``attainable`` is no share.

    """

    start: Tensor
    attainable: Tensor
    smoothed: Tensor
    counts: Tensor
    weights: Tensor

    def __init__(self, tasks: Sequence[str], options: WeightingOptions) -> None:
        super().__init__(tasks)
        count = len(self.tasks)
        shares = {name: a for name, a in options.attainable.items() if name in self.tasks}
        if not all(0 <= a < 1 for a in shares.values()):
            names = ', '.join(self.tasks)
            raise ValueError(f'attainable: expected shares >= 0 and < 1 of {names}, got {shares}')
        self.rate, self.floor = options.rate, min(options.floor, 1 / count)
        self.smoothing, self.start_steps = options.smoothing, options.start_steps
        self.register_buffer(
            'attainable',
            torch.tensor([shares.get(name, 0.0) for name in self.tasks], dtype=torch.float64),
            persistent=False,  # an option, not a state
        )
        # buffers: they travel with the checkpoint, so that a resumed run weighs alike
        self.register_buffer('start', torch.zeros(count, dtype=torch.float64))
        self.register_buffer('smoothed', torch.zeros(count, dtype=torch.float64))
        self.register_buffer('counts', torch.zeros(count, dtype=torch.int64))
        self.register_buffer('weights', torch.full((count,), 1 / count, dtype=torch.float64))

    def _combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        terms = []
        for index, name in enumerate(self.tasks):
            if name not in losses:
                continue
            loss = losses[name]
            # before the first update the loss itself is the best guess of its start
            start = self.start[index] if int(self.counts[index]) else loss.detach().double()
            factor = len(self.tasks) * self.weights[index] / start.clamp_min(1e-12)
            terms.append(factor.to(loss.dtype) * loss)
        return torch.stack(terms).sum()

    def current(self) -> dict[str, float]:
        """See the base class."""
        return dict(zip(self.tasks, self.weights.tolist(), strict=True))

    def utilities(self) -> Tensor:
        """Relative improvement of each task so far [K]; 0 for a task that has not begun."""
        gain = relative_improvement(self.smoothed, self.start, self.attainable)
        return torch.where(self.counts >= self.start_steps, gain, torch.zeros_like(gain))

    @torch.no_grad()
    def update(self, losses: Mapping[str, Tensor | None]) -> None:
        """
        Take the losses of a step into the utilities, then move the weights.

        Args:
            losses: as for `combine`; already averaged over processes if there are several.

        """
        for index, name in enumerate(self.tasks):
            value = losses.get(name)
            if value is None or not bool(torch.isfinite(value)):
                continue
            loss = value.detach().double().to(self.start.device)
            seen = int(self.counts[index])
            if seen < self.start_steps:
                self.start[index] += (loss - self.start[index]) / (seen + 1)
                self.smoothed[index] = self.start[index]
            else:
                self.smoothed[index].lerp_(loss, 1 - self.smoothing)
            self.counts[index] += 1
            self._note(index, loss)
        if bool((self.counts >= self.start_steps).all()):
            self.weights.copy_(
                exponentiated_gradient_step(self.weights, self._bids(), self.rate, self.floor)
            )

    def _note(self, index: int, loss: Tensor) -> None:
        """Take note of a loss of a task; nothing to do here."""

    def _bids(self) -> Tensor:
        """Return what the tasks bid with: their utilities."""
        return self.utilities()


class ProgressiveWeighting(FairnessWeighting):
    r"""
    Max-min fair weights by progressive filling: who has what it can get leaves the bidding.

    Losses are compared in blocks of ``window`` steps. A task that had at least its equal share
    of the weight and did not gain significantly from one block to the next falls to the floor; it
    bids again when a block is significantly worse, by more than a fiftieth, than the one it left
    with.

    Args:
        tasks: names.
        options: as for fairness, and the window.

    Source: water filling for max-min fair allocation, Bertsekas and Gallager, Data Networks
        (1992), section 6.5.2; the test of significance is ours.

    """

    sums: Tensor
    blocks: Tensor
    satisfied: Tensor

    def __init__(self, tasks: Sequence[str], options: WeightingOptions) -> None:
        super().__init__(tasks, options)
        self.window, count = options.window, len(self.tasks)
        # of the running block: number, sum of losses, of their squares, and of the weight
        self.register_buffer('sums', torch.zeros(count, 4, dtype=torch.float64))
        # of the block before: mean and squared standard error; the mean it was satisfied with
        self.register_buffer('blocks', torch.full((count, 3), torch.inf, dtype=torch.float64))
        self.register_buffer('satisfied', torch.zeros(count, dtype=torch.bool))

    def _note(self, index: int, loss: Tensor) -> None:
        if int(self.counts[index]) <= self.start_steps:
            return
        one = torch.ones_like(loss)
        self.sums[index] += torch.stack([one, loss, loss * loss, self.weights[index]])
        number, total, squares, weight = self.sums[index].tolist()
        if number < self.window:
            return
        mean = total / number
        error = max(0.0, squares / number - mean * mean) / number
        before, error_before, level = self.blocks[index].tolist()
        sure = _STANDARD_ERRORS * (error + error_before) ** 0.5
        if bool(self.satisfied[index]):
            if mean > level * (1 + _REGRESSED) + sure:
                self.satisfied[index] = False
        elif before - mean <= sure < torch.inf and weight / number >= 0.99 / len(self.tasks):
            self.satisfied[index], level = True, mean
        self.blocks[index] = torch.tensor([mean, error, level])
        self.sums[index] = 0

    def _bids(self) -> Tensor:
        # Where all are satisfied, all bid alike, and the weights stay.
        return self.utilities().masked_fill(self.satisfied, _SATISFIED)


class RatioWeighting(TaskWeighting):
    r"""
    Weights by how a loss compares with itself, :math:`K \,\mathrm{softmax}(r_k / 2)`.

    r_k is the mean loss of the last ``window`` steps divided by that of the ones before: who
    falls slower gets more. Before two windows are full the weights are 1.

    Args:
        tasks: names.
        options: the window.

    Source: dynamic weight average, Liu et al., End-to-End Multi-Task Learning with Attention
        (2019), eq. 7; with windows of steps instead of epochs.

    """

    sums: Tensor
    means: Tensor
    weights: Tensor

    def __init__(self, tasks: Sequence[str], options: WeightingOptions) -> None:
        super().__init__(tasks)
        self.window, count = options.window, len(self.tasks)
        self.register_buffer('sums', torch.zeros(count, 2, dtype=torch.float64))
        self.register_buffer('means', torch.zeros(count, 2, dtype=torch.float64))
        self.register_buffer('weights', torch.ones(count, dtype=torch.float64))

    def _combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        weights = self.current()
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()

    def current(self) -> dict[str, float]:
        """See the base class."""
        return dict(zip(self.tasks, self.weights.tolist(), strict=True))

    @torch.no_grad()
    def update(self, losses: Mapping[str, Tensor | None]) -> None:
        """See the base class; the weights change where a window is full."""
        for index, name in enumerate(self.tasks):
            value = losses.get(name)
            if value is None or not bool(torch.isfinite(value)):
                continue
            loss = value.detach().double().to(self.sums.device)
            self.sums[index] += torch.stack([torch.ones_like(loss), loss])
            if int(self.sums[index, 0]) >= self.window:
                self.means[index, 0] = self.means[index, 1]
                self.means[index, 1] = self.sums[index, 1] / self.sums[index, 0]
                self.sums[index] = 0
        before, now = self.means.unbind(1)
        if bool((before > 0).all()):
            shares = torch.softmax(now / before / _TEMPERATURE, 0)
            self.weights.copy_(len(self.tasks) * shares)


def create_weighting(options: WeightingOptions, tasks: Sequence[str]) -> TaskWeighting:
    """Build the weighting of the tasks that the options describe."""
    if options.kind == 'fixed':
        return FixedWeighting(tasks, options.fixed)
    if options.kind == 'uncertainty':
        return UncertaintyWeighting(tasks)
    kinds = {'progressive': ProgressiveWeighting, 'ratio': RatioWeighting}
    return kinds.get(options.kind, FairnessWeighting)(tasks, options)
