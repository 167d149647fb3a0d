"""The backward pass of an optimizer step: of the sum of its terms, which a balancer may first weigh by gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from ganframe.config.component_kinds import BalancerConfig
from ganframe.distributed.collectives import gather, mean_over_ranks
from ganframe.distributed.shard import this_shard
from ganframe.errors import BadInput
from ganframe.game.game import Game
from ganframe.game.objective import ObjectiveValue


class Backward(Protocol):
    """A function that adds the gradient of the objective to the parameters."""

    def __call__(self, values: Iterable[ObjectiveValue], passes: int) -> list[ObjectiveValue]:
        """Run a backward pass over each accumulated batch; the gradient is that of the mean over the batches.

        Args:
            values: The objective over each batch, computed when the iterator reaches it.
            passes: The number of batches.

        Returns:
            The objectives.
        """
        ...


def backward_of_sum(values: Iterable[ObjectiveValue], passes: int) -> list[ObjectiveValue]:
    """Run the backward pass of each objective as soon as it is computed, so that one graph is alive at a time."""
    done: list[ObjectiveValue] = []
    for value in values:
        value.backward(passes)
        done.append(value)
    return done


class BalancedBackward:
    """A backward pass that first weighs the terms by their gradients.

    The gradients are taken over all accumulated batches and all ranks, so the graphs of all batches are kept until the
    weights are known.

    Args:
        balancer: The rule that computes the weights.
        config: Its config.
        game: The game, with its players.
    """

    def __init__(self, balancer: nn.Module, config: BalancerConfig, game: Game) -> None:
        self._balancer = balancer
        self._config = config
        self._parameter = None if config.at in game.names else find_parameter(game, config.at)

    def __call__(self, values: Iterable[ObjectiveValue], passes: int) -> list[ObjectiveValue]:
        """Weigh the terms, then run a backward pass over each accumulated batch; see `Backward`."""
        done = list(values)
        names = self._config.gradient_terms()
        read = [name for name in done[0].weights if name in names]
        gradients = {name: self._gradient(name, done) for name in read}
        with torch.no_grad():
            balanced: Mapping[str, Tensor] = self._balancer(gradients, {name: done[0].weights[name] for name in read})
        for value in done:
            value.weights |= balanced
            value.total = torch.stack([value.weights[name] * term for name, term in value.terms.items()]).sum()
            value.backward(passes)
        return done

    def _gradient(self, name: str, values: list[ObjectiveValue]) -> Tensor:
        """Return the gradient of the mean of a term over all accumulated batches and ranks."""
        found: list[Tensor] = []
        for value in values:
            target = value.game_round[self._config.at] if self._parameter is None else self._parameter
            (gradient,) = torch.autograd.grad(
                value.terms[name] / len(values), target, retain_graph=True, materialize_grads=True
            )
            found.append(gradient)
        if self._parameter is None:
            return gather(torch.cat(found)) / this_shard().world_size
        return mean_over_ranks(torch.stack(found).sum(0))


def find_parameter(game: Game, place: str) -> nn.Parameter:
    """Return the parameter that the setting `at` of a balancer names.

    Args:
        game: The game, with its players.
        place: A player and a parameter, such as `generator.layer.weight`, or a player alone, for the parameter
            `last_layer` of its network.

    Raises:
        BadInput: When the player or parameter does not exist, or the parameter does not train.
    """
    player, _, name = place.partition(".")
    if player not in game.players:
        known = ", ".join([*game.names, *game.players])
        raise BadInput(f"the game has no tensor or player {player!r}", path=("at",), remedy=f"It has: {known}.")
    network = game.players[player]
    parameters = dict(network.named_parameters(remove_duplicate=False))
    if name in parameters:
        if not parameters[name].requires_grad:
            raise BadInput(f"{place!r} does not train, so terms have no gradient there", path=("at",))
        return parameters[name]
    last_layer = getattr(network, "last_layer", None)
    if not name and isinstance(last_layer, nn.Parameter):
        return last_layer
    message = f"the player {player!r} has no parameter {name!r}" if name else f"the player {player!r} has no last_layer"
    remedy = f"Name one of its parameters, such as {player}.{list(parameters)[-1]}."
    raise BadInput(message, path=("at",), remedy=remedy)


def check_balancer(config: BalancerConfig, game: Game, term_names: Iterable[str]) -> None:
    """Refuse a balancer that names a tensor, a parameter or a term which the turn does not have.

    Raises:
        BadInput: When the turn lacks one of them. The error has the path of the setting, relative to `config`.
    """
    known = list(term_names)
    for name in config.gradient_terms():
        if name not in known:
            message = f"the turn has no term {name!r}; it has: {', '.join(known)}"
            raise BadInput(message, path=())
    if config.at not in game.names:
        find_parameter(game, config.at)
    config.check(game)
