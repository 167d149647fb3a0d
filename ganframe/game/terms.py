"""Terms: a loss or regularizer with its place in a game."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch
from torch import Tensor

from ganframe.config.terms import LossConfig, RegularizerConfig, TermConfig
from ganframe.errors import BadInput, ConfigPath, within
from ganframe.game.contest import Contest, Side
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.gathered_round import gathered
from ganframe.game.protocols import LabelPolicy, Loss, Regularizer
from ganframe.game.round import Round
from ganframe.game.turn import Turn


class LossTerm:
    """An adversarial loss over the contests that it scores."""

    def __init__(self, name: str, path: ConfigPath, config: LossConfig) -> None:
        self.name, self.path, self.config = name, path, config
        with within(*path):
            self.live: Loss = config.build()
        self.policies: list[LabelPolicy] = [policy.build() for policy in config.labels]

    def check(self, game: Game) -> None:
        """Refuse a loss that the game cannot give what it reads."""
        _check_turns(game, self.config, self.path)
        known = [contest.name for contest in game.contests]
        for name in self.config.contests or ():
            if name not in known:
                message = f"the game has no contest {name!r}; it has: {', '.join(known) or 'none'}"
                raise BadInput(message, path=(*self.path, "contests"))
        if not known:
            raise BadInput(f"{self.name!r} scores contests, but the game has none", path=self.path)
        if self.policies and not self.config.takes_targets:
            message = f"{self.name!r} compares reals with fakes and takes no targets, so no label policy fits it"
            raise BadInput(message, path=(*self.path, "labels"))
        with within(*self.path):
            self.config.check(game)
        for contest in self._scored(game.contests):
            _check_judge(game, contest.discriminator, self.config, self.path)

    def joins(self, game: Game, turn: Turn) -> bool:
        """Whether the loss scores a contest of this turn."""
        chosen = self.config.turns is None or turn.name in self.config.turns
        return chosen and bool(self._scored(game.contests_of(turn)))

    def value(self, game_round: Round, turn: Turn) -> Tensor:
        """The loss over its contests in this turn."""
        game_round = gathered(game_round) if self.config.batch_coupled else game_round
        scores: list[Tensor] = []
        for contest in self._scored(game_round.contests):
            score = game_round.game.score(self.live, turn, *self._sides(game_round, turn, contest))
            scores.append(score if contest.weight == 1 else contest.weight * score)
        return _total(scores)

    def scores(self, contest: Contest) -> bool:
        """Whether the loss scores a contest."""
        return bool(self._scored([contest]))

    def _scored(self, contests: Iterable[Contest]) -> list[Contest]:
        chosen = self.config.contests
        return [contest for contest in contests if chosen is None or contest.name in chosen]

    def _sides(self, game_round: Round, turn: Turn, contest: Contest) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        if not self.policies or not game_round.game.is_discriminator_turn(turn):
            return game_round.deferred_output(contest, "real"), game_round.deferred_output(contest, "fake")
        return self._with_target(game_round, contest, "real"), self._with_target(game_round, contest, "fake")

    def _with_target(self, game_round: Round, contest: Contest, side: Side) -> DiscriminatorOutput:
        shard, draws = game_round.randomness.shard, game_round.randomness.whole()
        target = torch.full((game_round.size * shard.world_size,), float(side == "real"), device=game_round.device)
        for number, policy in enumerate(self.policies):
            purpose = f"{self.name} label policy {number} {contest.name} {side}"
            target = policy.forward(target, side == "real", draws.generator(purpose, game_round.device))
        return dataclasses.replace(game_round.discriminator_output(contest, side), target=shard.of(target))


class RegularizerTerm:
    """Any other term."""

    def __init__(self, name: str, path: ConfigPath, config: RegularizerConfig) -> None:
        self.name, self.path, self.config = name, path, config
        with within(*path):
            self.live: Regularizer = config.build()

    def check(self, game: Game) -> None:
        """Refuse a regularizer that asks for what the game lacks."""
        for name in (*self.config.tensors(), *self.config.requires_grad_tensors()):
            if name not in game.names:
                message = f"{self.name!r} reads the tensor {name!r}, which the game does not have"
                raise BadInput(message, path=self.path, remedy=f"It has: {', '.join(game.names)}.")
        with within(*self.path):
            self.config.check(game)
        _check_turns(game, self.config, self.path)
        for name in sorted(self._movers(game)) if self.config.requires_methods else ():
            network = game.player_specs()[name].config
            lacks = sorted(self.config.requires_methods - network.provides_outputs)
            if lacks:
                message = (
                    f"{self.name!r} calls {', '.join(lacks)}, which {network.type_name()!r} ({name}) does not have"
                )
                raise BadInput(message, path=self.path)
        needs_contest = self.config.grad_wrt_sides or self.config.needs_double_backward or self.config.requires_outputs
        if needs_contest and not game.contests:
            raise BadInput(f"{self.name!r} reads a contest, but the game has none", path=self.path)
        for judge in sorted(game.discriminators) if needs_contest else ():
            _check_judge(game, judge, self.config, self.path)

    def joins(self, game: Game, turn: Turn) -> bool:
        """Whether the term belongs to this turn."""
        if self.config.turns is not None:
            return turn.name in self.config.turns
        side = "discriminator" if game.is_discriminator_turn(turn) else "generator"
        return self.config.side in (side, "both")

    def _movers(self, game: Game) -> set[str]:
        """The generators that move in the turns of the term."""
        return {name for turn in game.turns if self.joins(game, turn) for name in turn.players} - game.discriminators

    def value(self, game_round: Round, turn: Turn) -> Tensor:
        """The penalty."""
        return self.live.forward(gathered(game_round) if self.config.batch_coupled else game_round)


Term = LossTerm | RegularizerTerm


def _check_turns(game: Game, config: TermConfig, path: ConfigPath) -> None:
    turns = [turn.name for turn in game.turns]
    for name in config.turns or ():
        if name not in turns:
            message = f"the game has no turn {name!r}; it has: {', '.join(turns)}"
            raise BadInput(message, path=(*path, "turns"))


def _check_judge(game: Game, judge: str, config: LossConfig | RegularizerConfig, path: ConfigPath) -> None:
    network = game.player_specs()[judge].config
    lacks = sorted(config.requires_outputs - getattr(network, "gives", frozenset()))
    if lacks:
        message = f"{config.type_name()!r} reads {', '.join(lacks)}, which {network.type_name()!r} does not give"
        raise BadInput(message, path=path)
    twice = isinstance(config, RegularizerConfig) and (config.grad_wrt_sides or config.needs_double_backward)
    if twice and not getattr(network, "supports_double_backward", True):
        message = f"{config.type_name()!r} differentiates twice, which {network.type_name()!r} does not support"
        raise BadInput(message, path=path)


def _total(values: Iterable[Tensor]) -> Tensor:
    values = list(values)
    if len(values) == 1:
        return values[0]
    return torch.stack(values).sum() if values else torch.zeros(())
