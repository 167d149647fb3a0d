"""Checks of turn conditions, which decide whether an optimizer step is taken, and of balancers, which weigh terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ganframe.config.component_kinds import BalancerConfig, TurnConditionConfig
from ganframe.game.round import Round
from ganframe.testing.fakes import BATCH, CPU, RANDOMNESS, FakeGame, random_batch, with_built_players

STEPS = 8
"""Number of training steps in which a condition is tested."""


def _decisions(config: TurnConditionConfig, steps: Sequence[int], seed: int = 0) -> list[Any]:
    """Return the decisions of a new condition in some steps, each with another batch.

    Args:
        config: The config of the condition.
        steps: The numbers of the steps.
        seed: The seed of torch's global random state, which decisions must not depend on.
    """
    game = with_built_players(FakeGame())
    torch.manual_seed(seed)
    config.check(game)
    condition = config.build()
    decisions: list[Any] = []
    for step in steps:
        batch = random_batch(game.data, seed=step)
        game_round = Round(game, batch, size=BATCH, device=CPU, randomness=RANDOMNESS.at("step", step))
        with torch.no_grad():
            decisions.append(condition.is_met([game_round.in_turn(game.turns[1])], step))
    return decisions


def same_rounds_same_decision(config: TurnConditionConfig) -> None:
    """For the same batches and step, the decision is the same. It is True or False.

    So all ranks decide alike, and a resumed run decides like an uninterrupted one.
    """
    first, second = (_decisions(config, range(STEPS), seed) for seed in (1, 2))
    assert all(isinstance(decision, bool) for decision in first), f"not True or False: {first}; return `bool(...)`"
    assert first == second, "two conditions of one config differ: draw from the randomness of the rounds, and no other"


def decides_without_memory(config: TurnConditionConfig) -> None:
    """The decision does not depend on decisions in earlier steps, because checkpoints do not save conditions."""
    asked_each_time = _decisions(config, range(STEPS))
    asked_once = [_decisions(config, [step])[0] for step in range(STEPS)]
    assert asked_each_time == asked_once, "the decision depends on earlier ones: decide by the rounds and the step"


def _gradients(config: BalancerConfig, size: float, number: int = 0) -> dict[str, Tensor]:
    return {
        name: RANDOMNESS.at("gradients", number).normal(name, (BATCH, 5)) * size * 3**index
        for index, name in enumerate(config.gradient_terms())
    }


def _weights(gradients: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: 1.0 + index for index, name in enumerate(gradients)}


def _check_weights(balanced: Mapping[str, Tensor], gradients: Mapping[str, Tensor], *, positive: bool) -> None:
    unknown = sorted(balanced.keys() - gradients.keys())
    assert not unknown, f"weights of terms that take no part: {', '.join(unknown)}"
    for name, weight in balanced.items():
        assert isinstance(weight, Tensor), f"the weight of {name!r} is a {type(weight).__name__}, not a tensor"
        assert weight.ndim == 0, f"the weight of {name!r} has the shape {tuple(weight.shape)}, and not ()"
        value = float(weight)
        assert torch.isfinite(weight), f"the weight of {name!r} is {value}: add a small number to what you divide by"
        assert value > 0 or (value == 0 and not positive), f"the weight of {name!r} is {value}, and not positive"


def weights_are_finite_and_positive(config: BalancerConfig) -> None:
    """Weights are finite positive scalars for gradients of any norm, and only of terms that take part.

    If all gradients are 0, weights may be 0. A term may be missing, because it does not take part in every turn.
    """
    for size in (1e-6, 1.0, 1e6, 0.0):
        gradients = _gradients(config, size)
        _check_weights(config.build()(gradients, _weights(gradients)), gradients, positive=size > 0)
    for name in gradients:
        fewer = {other: gradient for other, gradient in _gradients(config, 1.0).items() if other != name}
        if fewer:
            _check_weights(config.build()(fewer, _weights(fewer)), fewer, positive=True)


def gradients_untouched(config: BalancerConfig) -> None:
    """The balancer does not change the gradients in place."""
    gradients = _gradients(config, 1.0)
    before = {name: gradient.clone() for name, gradient in gradients.items()}
    config.build()(gradients, _weights(gradients))
    changed = [name for name in before if not torch.equal(before[name], gradients[name])]
    assert not changed, f"the gradients of {', '.join(changed)} were changed in place: make new tensors"


def state_round_trip(config: BalancerConfig) -> None:
    """A balancer that is rebuilt and loads its state dict computes the same next weights as the original."""
    results: list[Mapping[str, Tensor]] = []
    weights: Mapping[str, Tensor] = {}
    for interrupted in (False, True):
        balancer = config.build()
        for number in range(3):
            if interrupted and number == 2:
                state = balancer.state_dict()
                balancer = config.build()
                balancer.load_state_dict(state)
            gradients = _gradients(config, 1.0, number)
            weights = balancer(gradients, _weights(gradients))
        results.append(weights)
    same = all(torch.equal(weight, results[1][name]) for name, weight in results[0].items())
    assert same, "the next weights differ: keep all that they depend on in buffers"


CHECKS = {
    "turn condition": {
        "same rounds, same decision": same_rounds_same_decision,
        "decides without memory": decides_without_memory,
    },
    "balancer": {
        "weights are finite and positive": weights_are_finite_and_positive,
        "gradients untouched": gradients_untouched,
        "state round trip": state_round_trip,
    },
}
