"""The live game: an ordinary one whose generators look ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ganframe.game import Game, ObjectiveValue, Round, mean_over_ranks

Weights = dict[str, dict[str, Tensor]]
"""Parameters and buffers by name, of each discriminator."""


class Unrolled(Game):
    """What a game of another class gains by looking ahead.

    Attributes:
        steps: How many steps of the discriminators are foreseen.
        lr: Their learning rate.
    """

    needs_double_backward = True
    steps: int
    lr: float

    def play(self, game_round: Round, objective: Callable[..., ObjectiveValue]) -> ObjectiveValue:
        """In a generator's turn, use the discriminators as they would be after k steps over this round.

        Gradients flow through those steps, so a generator also learns how they depend on its samples.
        """
        if self.steps == 0 or game_round.turn is None or self.is_discriminator_turn(game_round.turn):
            return super().play(game_round, objective)
        memory = dict(self.memory)
        weights = self._current_weights()
        for _ in range(self.steps):
            for turn in self.turns:
                if self.is_discriminator_turn(turn):
                    ahead = game_round.with_discriminator_weights(weights)
                    total = super().play(ahead, lambda ahead, turn=turn: objective(ahead, turn)).total
                    weights = self._stepped(weights, set(turn.players), total)
        # What is only foreseen has not happened: a pool of past fakes stays as it was.
        self.memory = memory
        return super().play(game_round.with_discriminator_weights(weights), objective)

    def _current_weights(self) -> Weights:
        """Return the discriminators' weights; buffers too, so that foreseen passes leave batch statistics alone."""
        return {
            name: _copied(self.players[name], self.trainable_parameters([name])) for name in sorted(self.discriminators)
        }

    def _stepped(self, weights: Weights, movers: set[str], cost: Tensor) -> Weights:
        places = [
            (judge, name)
            for judge in weights
            if judge in movers
            for name, each in weights[judge].items()
            if each.requires_grad
        ]
        before = [weights[judge][name] for judge, name in places]
        slopes = torch.autograd.grad(cost, before, create_graph=True, materialize_grads=True)
        slopes = [mean_over_ranks(slope) for slope in slopes]
        after = {judge: dict(own) for judge, own in weights.items()}
        for (judge, name), value, slope in zip(places, before, slopes, strict=True):
            after[judge][name] = value - self.lr * slope
        return after


def _copied(judge: nn.Module, trainable: Sequence[Tensor]) -> dict[str, Tensor]:
    moving = {id(each) for each in trainable}
    parameters = {name: each.detach().requires_grad_() for name, each in judge.named_parameters() if id(each) in moving}
    return parameters | {name: each.clone() for name, each in judge.named_buffers()}


def unroll(game: Game, steps: int, lr: float) -> Game:
    """The same game, played by its own rules, whose generators foresee some steps.

    Args:
        game: A game whose players are not seated yet.
        steps: How many steps of each discriminator's turn are foreseen.
        lr: The learning rate of those steps.
    """
    cls = type(f"Unrolled{type(game).__name__}", (Unrolled, type(game)), {})
    unrolled: Unrolled = cls.__new__(cls)
    vars(unrolled).update(vars(game), steps=steps, lr=lr)
    return unrolled
