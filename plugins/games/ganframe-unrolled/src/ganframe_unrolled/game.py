"""The live game: an ordinary game whose generators look ahead."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from ganframe.config import GameConfig
from ganframe.game import Game, ObjectiveValue, PlayerSpec, Round, mean_over_ranks

Weights = dict[str, dict[str, Tensor]]
"""Parameters and buffers by name, of each discriminator."""


class Unrolled(Game):
    """Adds looking ahead to a game: its generators play against the discriminators after some gradient steps.

    With f_D the objective of the discriminators and g, d the parameters of the players (eq. 7 to 9):

        d_0 = d,   d_{i+1} = d_i - eta grad_d f_D(g, d_i)
        a generator minimises f_G(g, d_k)

    Attributes:
        steps: Number of unrolled steps, k.
        lr: Learning rate of the unrolled steps, eta.
        nested: The config of the ordinary game with this object as its live object, then what that game has in
            `nested`.

    References:
        Metz et al. 2017, arXiv:1611.02163, eq. 7 to 9.
    """

    needs_double_backward = True
    steps: int
    lr: float
    nested: Sequence[tuple[GameConfig, Game]]

    @override
    def player_specs(self) -> Mapping[str, PlayerSpec]:
        # The players' configs are settings of `of`.
        return {
            name: dataclasses.replace(spec, path=("of", *spec.path)) for name, spec in super().player_specs().items()
        }

    @override
    def play(self, game_round: Round, objective: Callable[..., ObjectiveValue]) -> ObjectiveValue:
        # Gradients flow through the unrolled steps, so a generator also learns how they depend on its samples.
        if self.steps == 0 or game_round.turn is None or self.is_discriminator_turn(game_round.turn):
            return super().play(game_round, objective)
        memory = dict(self.memory)
        weights = self._current_weights()
        for _ in range(self.steps):
            for turn in self.turns:
                if self.is_discriminator_turn(turn):
                    ahead = game_round.with_discriminator_weights(weights)
                    loss = super().play(ahead, lambda ahead, turn=turn: objective(ahead, turn)).total
                    # No term of a discriminator's turn may be due in this step: a step of its optimizer would change
                    # nothing either.
                    if loss.requires_grad:
                        weights = self._after_step(weights, turn.players, loss)
        # The unrolled steps are not taken: a pool of past fakes stays as it was.
        self.memory = memory
        return super().play(game_round.with_discriminator_weights(weights), objective)

    def _current_weights(self) -> Weights:
        """Return the discriminators' weights, with buffers, so that unrolled passes do not update batch statistics."""
        return {
            name: _copy_weights(self.players[name], self.trainable_parameters([name]))
            for name in sorted(self.discriminators)
        }

    def _after_step(self, weights: Weights, players: Collection[str], loss: Tensor) -> Weights:
        """Return the weights after these players have taken a step of gradient descent."""
        keys = [
            (player, name)
            for player, own in weights.items()
            if player in players
            for name, tensor in own.items()
            if tensor.requires_grad
        ]
        before = [weights[player][name] for player, name in keys]
        gradients = torch.autograd.grad(loss, before, create_graph=True, materialize_grads=True)
        gradients = [mean_over_ranks(gradient) for gradient in gradients]
        after = {player: dict(own) for player, own in weights.items()}
        for (player, name), value, gradient in zip(keys, before, gradients, strict=True):
            after[player][name] = value - self.lr * gradient
        return after


def _copy_weights(discriminator: nn.Module, trainable: Sequence[Tensor]) -> dict[str, Tensor]:
    trainable_ids = {id(parameter) for parameter in trainable}
    parameters = {
        name: parameter.detach().requires_grad_()
        for name, parameter in discriminator.named_parameters()
        if id(parameter) in trainable_ids
    }
    return parameters | {name: buffer.clone() for name, buffer in discriminator.named_buffers()}


def unroll(game: Game, config: GameConfig, steps: int, lr: float) -> Game:
    """Return the same game with generators that look ahead.

    Args:
        game: A game without players yet.
        config: The config of the game.
        steps: Number of unrolled steps of each discriminator turn.
        lr: The learning rate of those steps.
    """
    # A subclass of the game's own class, not a game that holds it: whatever the class overrides stays in force, such as
    # makers, `score`, `contests_of` and hooks.
    cls = type(f"Unrolled{type(game).__name__}", (Unrolled, type(game)), {})
    unrolled: Unrolled = cls.__new__(cls)
    # It is the game of `config` too, so that it follows the schedules there.
    nested = ((config, unrolled), *getattr(game, "nested", ()))
    vars(unrolled).update(vars(game), steps=steps, lr=lr, nested=nested)
    return unrolled
