"""Task weighting: the game behind max-min fairness, its limits, and what equal weights do."""

from __future__ import annotations

import math
import re
from typing import ClassVar

from mafs_model.errors import ConfigError
from mafs_training.fairness import (
    create_weighting,
    exponentiated_gradient_step,
    FairnessWeighting,
    FixedWeighting,
    ProgressiveWeighting,
    project_to_floor,
    RatioWeighting,
    relative_improvement,
    UncertaintyWeighting,
    WeightingOptions,
)
from mafs_training.limits import check_limits
import pytest
import torch


def fairest(losses, starts):
    """Index of the candidate [N] with the largest least relative improvement; losses [K,N]."""
    gains = [
        relative_improvement(loss, loss.new_tensor(start))
        for loss, start in zip(losses, starts, strict=True)
    ]
    return int(torch.stack(gains).amin(0).argmax())


class TestStep:
    def test_by_hand(self):
        weights = exponentiated_gradient_step(
            torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]), rate=math.log(3.0), floor=0.0
        )
        assert weights.tolist() == pytest.approx([0.25, 0.75])

    def test_floor_and_simplex(self):
        weights = torch.full((3,), 1 / 3, dtype=torch.float64)
        for _ in range(500):
            weights = exponentiated_gradient_step(
                weights, torch.tensor([1.0, 0.0, 0.9]).double(), 0.5, 0.05
            )
            assert weights.min() >= 0.05 - 1e-12
        assert weights.sum().item() == pytest.approx(1.0)
        assert weights.tolist() == pytest.approx([0.05, 0.9, 0.05])

    def test_floor_leaves_other_points_alone(self):
        weights = torch.tensor([0.2, 0.5, 0.3]).double()
        assert torch.allclose(project_to_floor(weights, 0.1), weights)
        # 0.02 is raised to 0.1, the rest keeps its proportion 3 to 1
        assert project_to_floor(
            torch.tensor([0.02, 0.735, 0.245]).double(), 0.1
        ).tolist() == pytest.approx([0.1, 0.675, 0.225])
        # scaling pushes the second below the floor as well
        assert project_to_floor(
            torch.tensor([0.0, 0.11, 0.89]).double(), 0.1
        ).tolist() == pytest.approx([0.1, 0.1, 0.8])

    def test_floor_recovers_quickly(self):
        """After a long lead the order flips; the floor brings the weight back in a few steps."""
        weights = torch.tensor([0.5, 0.5]).double()
        for _ in range(2000):
            weights = exponentiated_gradient_step(
                weights, torch.tensor([1.0, 0.0]).double(), 0.5, 0.02
            )
        steps = 0
        while weights[0] < 0.5:
            weights = exponentiated_gradient_step(
                weights, torch.tensor([0.0, 1.0]).double(), 0.5, 0.02
            )
            steps += 1
        assert steps <= 12

    def test_utility(self):
        gain = relative_improvement(torch.tensor([5.0, 0.0, 20.0]), torch.tensor(10.0))
        assert gain.tolist() == pytest.approx([0.5, 1.0, -1.0])


class TwoTasks:
    """
    Two quadratic tasks that share a parameter in the plane and cannot both be solved.

    Task 1 is loud (scale 100) and starts far from its optimum, task 2 is quiet and starts nearer
    to its own: what helps task 1 soon costs task 2 more than it had.
    """

    centres = torch.tensor([[2.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    scales = torch.tensor([100.0, 1.0], dtype=torch.float64)
    begin = torch.tensor([-0.4, 1.5], dtype=torch.float64)

    def losses(self, point):
        return self.scales * (point - self.centres).square().sum(-1)

    def train(self, combine, update, rate, steps=1600):
        point = self.begin.clone().requires_grad_()
        path = []
        for _ in range(steps):
            loss = self.losses(point)
            named = {'one': loss[0], 'two': loss[1]}
            total = combine(named)
            (gradient,) = torch.autograd.grad(total, point)
            with torch.no_grad():
                point -= rate * gradient
            update({name: value.detach() for name, value in named.items()})
            path.append(point.detach().clone())
        return torch.stack(path[steps // 2 :]).mean(0)

    def utilities(self, point):
        return relative_improvement(self.losses(point), self.losses(self.begin))

    def best(self):
        """Largest least utility by brute force over the segment between the optima."""
        share = torch.linspace(0, 1, 20001, dtype=torch.float64).unsqueeze(1)
        points = share * self.centres[0] + (1 - share) * self.centres[1]
        losses = torch.stack([self.losses(point) for point in points[::10]]).T
        starts = self.losses(self.begin).tolist()
        return self.utilities(points[::10][fairest(losses, starts)]).min().item()


class TestToy:
    def test_equal_weights_starve_one_and_fair_weights_reach_the_optimum(self):
        toy = TwoTasks()
        best = toy.best()

        equal = FixedWeighting(('one', 'two'))
        starved = toy.utilities(toy.train(equal.combine, equal.update, rate=0.004))
        assert starved[0] > 0.95
        assert starved[1] < 0  # worse than where it began: starved

        fair = FairnessWeighting(
            ('one', 'two'), WeightingOptions(rate=0.05, floor=0.01, smoothing=0.5, start_steps=1)
        )
        reached = toy.utilities(toy.train(fair.combine, fair.update, rate=0.05))
        assert reached.min().item() == pytest.approx(best, abs=0.02)
        assert best > 0.2

    def test_normalising_alone_is_not_enough(self):
        """Equal weights on normalised losses do better than raw ones, yet miss the optimum."""
        toy = TwoTasks()
        starts = toy.losses(toy.begin)
        normal = FixedWeighting(
            ('one', 'two'), {'one': 1 / starts[0].item(), 'two': 1 / starts[1].item()}
        )
        reached = toy.utilities(toy.train(normal.combine, normal.update, rate=2.0))
        assert reached.min().item() < toy.best() - 0.01

    def test_saddle_point_condition(self):
        """At the fair point utilities are equal, so no shift of weight can raise the minimum."""
        toy = TwoTasks()
        fair = FairnessWeighting(
            ('one', 'two'), WeightingOptions(rate=0.05, floor=0.01, smoothing=0.5, start_steps=1)
        )
        one, two = toy.utilities(toy.train(fair.combine, fair.update, rate=0.05)).tolist()
        assert one == pytest.approx(two, abs=0.03)


class NoisyTasks:
    """
    Three tasks of a parameter each, with noise on losses and gradients.

    'near' can fall by 2 % and does so at once; the two others fall slowly, to nothing.
    """

    CURVATURE: ClassVar = {'near': 0.02, 'slow': 0.01, 'slower': 0.005}
    LEAST: ClassVar = {'near': 0.98, 'slow': 0.0, 'slower': 0.0}

    def train(self, kind: str, seed: int, steps: int = 700) -> tuple[dict, dict]:
        """Return the share of what each task can gain that it has gained, and the weights."""
        generator = torch.Generator().manual_seed(seed)
        options = WeightingOptions(kind, attainable={}, floor=0.1, window=50)
        weighting = create_weighting(options, tuple(self.LEAST))
        points = {name: torch.zeros((), requires_grad=True) for name in self.LEAST}
        for _ in range(steps):
            noise = 0.01 * torch.randn(3, generator=generator)
            losses = {
                name: least + (1 - least) * (1 - point) ** 2 + noise[index]
                for index, (name, least) in enumerate(self.LEAST.items())
                for point in [points[name]]
            }
            weighting.combine(losses).backward()
            weighting.update({name: loss.detach() for name, loss in losses.items()})
            with torch.no_grad():
                for index, (name, point) in enumerate(points.items()):
                    step = self.CURVATURE[name] / (1 - self.LEAST[name])
                    point -= 0.3 * step * (point.grad + noise[index])
                    point.grad = None
        gained = {name: 1 - (1 - point.item()) ** 2 for name, point in points.items()}
        return gained, weighting.current()


class TestProgressiveFilling:
    @pytest.mark.parametrize('seed', [0, 1, 2])
    def test_who_has_what_it_can_get_leaves_the_weight_to_others(self, seed):
        toy = NoisyTasks()
        fair, fair_weights = toy.train('fairness', seed)
        filled, weights = toy.train('progressive', seed)
        assert fair_weights['near'] > 0.7, 'what it is to mend'
        assert weights['near'] == pytest.approx(0.1, abs=1e-6)
        assert filled['near'] > 0.9
        assert filled['slower'] > fair['slower'] + 0.05

    def feed(self, module, values):
        for value in values:
            module.update({'a': torch.tensor(value), 'b': torch.tensor(1.0)})

    def test_who_loses_what_it_had_bids_again(self):
        module = ProgressiveWeighting(
            ('a', 'b'), WeightingOptions('progressive', start_steps=1, window=10, rate=0.1)
        )
        steady = [0.5 + 0.01 * (n % 2) for n in range(40)]
        self.feed(module, [1.0, *steady])
        assert module.satisfied.tolist()[0]
        state = {name: value.clone() for name, value in module.state_dict().items()}
        self.feed(module, steady)
        assert module.satisfied.tolist()[0]
        self.feed(module, [0.8 + 0.01 * (n % 2) for n in range(10)])
        assert not module.satisfied.tolist()[0]
        again = ProgressiveWeighting(
            ('a', 'b'), WeightingOptions('progressive', start_steps=1, window=10, rate=0.1)
        )
        again.load_state_dict(state)
        assert again.satisfied.tolist()[0]

    def test_who_still_gains_stays(self):
        module = ProgressiveWeighting(
            ('a', 'b'), WeightingOptions('progressive', start_steps=1, window=10)
        )
        self.feed(module, [1.0 - 0.005 * n for n in range(100)])
        assert module.satisfied.tolist() == [False, True]


class TestRatio:
    def test_by_hand(self):
        module = RatioWeighting(('a', 'b'), WeightingOptions('ratio', window=2))
        for a, b in ((4.0, 1.0), (4.0, 1.0), (2.0, 1.0)):
            module.update({'a': torch.tensor(a), 'b': torch.tensor(b)})
            assert module.current() == {'a': 1.0, 'b': 1.0}
        module.update({'a': torch.tensor(2.0), 'b': torch.tensor(float('nan'))})
        module.update({'a': None, 'b': torch.tensor(1.0)})
        share = math.exp(0.25) / (math.exp(0.25) + math.exp(0.5))  # ratios 0.5 and 1
        assert module.current()['a'] == pytest.approx(2 * share)
        total = module.combine({'a': torch.tensor(3.0), 'b': None})
        assert total.item() == pytest.approx(6 * share)


class TestFairnessModule:
    def test_equal_factors_at_the_start(self):
        module = FairnessWeighting(('a', 'b'), WeightingOptions(start_steps=2))
        total = module.combine({'a': torch.tensor(50.0), 'b': torch.tensor(0.1)})
        assert total.item() == pytest.approx(2.0)

    def test_start_is_the_mean_of_the_first_steps(self):
        module = FairnessWeighting(('a', 'b'), WeightingOptions(start_steps=2))
        for a, b in ((4.0, 1.0), (2.0, 3.0)):
            module.update({'a': torch.tensor(a), 'b': torch.tensor(b)})
        assert module.start.tolist() == pytest.approx([3.0, 2.0])
        assert module.utilities().tolist() == pytest.approx([0.0, 0.0])

    def test_missing_task_is_left_alone(self):
        module = FairnessWeighting(('a', 'b'), WeightingOptions(start_steps=1))
        module.update({'a': torch.tensor(1.0), 'b': torch.tensor(1.0)})
        before = module.smoothed.clone()
        module.update({'a': torch.tensor(0.5), 'b': None})
        assert module.smoothed[1] == before[1]
        assert module.smoothed[0] < before[0]
        assert module.weights[1] > module.weights[0]

    @pytest.mark.parametrize(('attainable', 'favoured'), [({}, 'near'), ({'near': 0.9}, 'far')])
    def test_a_task_near_its_least_value_is_not_neglected(self, attainable, favoured):
        """'near' has won 80 % of the tenth that it can win, 'far' half of everything."""
        module = FairnessWeighting(
            ('near', 'far'), WeightingOptions(start_steps=1, smoothing=0.0, attainable=attainable)
        )
        module.update({'near': torch.tensor(1.0), 'far': torch.tensor(1.0)})
        for _ in range(20):
            module.update({'near': torch.tensor(0.92), 'far': torch.tensor(0.5)})
        weights = module.current()
        assert max(weights, key=weights.__getitem__) == favoured
        expected = (0.08 / 0.1 if attainable else 0.08, 0.5)
        assert module.utilities().tolist() == pytest.approx(expected)

    def test_state_travels_with_the_checkpoint(self):
        first, second = (
            FairnessWeighting(('a', 'b'), WeightingOptions(start_steps=1)) for _ in range(2)
        )
        for value in (1.0, 0.8, 0.5):
            first.update({'a': torch.tensor(value), 'b': torch.tensor(1.0)})
        second.load_state_dict(first.state_dict())
        for module in (first, second):
            module.update({'a': torch.tensor(0.4), 'b': torch.tensor(0.9)})
        assert first.current() == second.current()

    def test_non_finite_loss_does_not_poison(self):
        module = FairnessWeighting(('a',), WeightingOptions(floor=0.0, start_steps=1))
        module.update({'a': torch.tensor(1.0)})
        module.update({'a': torch.tensor(float('nan'))})
        assert torch.isfinite(module.smoothed).all()

    @pytest.mark.parametrize(
        ('kwargs', 'message'),
        [
            ({'floor': 1.5}, 'weighting.floor is 1.5, expected 0 to 1'),
            ({'rate': 0}, 'weighting.rate is 0, expected more than 0'),
            ({'smoothing': 1.0}, 'smoothing is 1.0, expected at least 0 and less than 1'),
            ({'start_steps': 0}, 'weighting.start_steps is 0, expected at least 1'),
            ({'kind': 'magic'}, "weighting.kind is 'magic', expected one of fairness, "),
            ({'attainable': {'a': 1.0}}, 'attainable: expected shares >= 0 and < 1 of a, b'),
        ],
    )
    def test_ranges(self, kwargs, message):
        options = WeightingOptions(**kwargs)
        with pytest.raises((ConfigError, ValueError), match=re.escape(message)):  # noqa: PT012
            check_limits('weighting', options)
            create_weighting(options, ('a', 'b'))

    def test_the_floor_is_at_most_an_equal_share(self):
        assert FairnessWeighting(('a', 'b', 'c'), WeightingOptions(floor=0.5)).floor == 1 / 3


class TestOthers:
    def test_uncertainty_settles_at_twice_the_loss(self):
        # d/ds (e^-s L + s/2) = 0 at e^-s = 1 / (2 L)
        module = UncertaintyWeighting(('a', 'b'))
        optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
        for _ in range(600):
            optimiser.zero_grad()
            module.combine({'a': torch.tensor(2.0), 'b': torch.tensor(0.25)}).backward()
            optimiser.step()
        weights = module.current()
        assert weights['a'] == pytest.approx(0.25, rel=0.02)
        assert weights['b'] == pytest.approx(2.0, rel=0.02)

    def test_create(self):
        assert isinstance(create_weighting(WeightingOptions('fixed'), ('a',)), FixedWeighting)
        assert isinstance(
            create_weighting(WeightingOptions('uncertainty'), ('a',)), UncertaintyWeighting
        )
        assert isinstance(create_weighting(WeightingOptions(), ('a', 'b')), FairnessWeighting)

    def test_unknown_and_empty(self):
        module = FixedWeighting(('a',), {'a': 2.0})
        assert module.combine({'a': torch.tensor(3.0)}).item() == 6.0
        with pytest.raises(ValueError, match='unknown task'):
            module.combine({'x': torch.tensor(1.0)})
        with pytest.raises(ValueError, match='no task has a loss'):
            module.combine({'a': None})
        with pytest.raises(ValueError, match='unknown task'):
            FixedWeighting(('a',), {'b': 1.0})
