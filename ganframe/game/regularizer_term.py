"""A regularizer as a term of the objective: in which optimizer steps it takes part, and what it needs from the game."""

from __future__ import annotations

from torch import Tensor

from ganframe.config.terms import RegularizerConfig
from ganframe.errors import BadInput, ConfigPath, within
from ganframe.game.game import Game
from ganframe.game.gathered_round import gather_round
from ganframe.game.protocols import Regularizer
from ganframe.game.round import Round
from ganframe.game.term_checks import (
    check_contests,
    check_discriminator,
    check_methods,
    check_own,
    check_scalar,
    check_tensors,
    check_turns,
    read_contests,
)
from ganframe.game.term_needs import find_needs
from ganframe.game.turn import Turn
from ganframe.plugins.author_code import build_live


class RegularizerTerm:
    """A regularizer as a term of the objective.

    Args:
        name: The name of the term in logs.
        path: The path of `config` in the config of the run, such as `("regularizers", 0)`.
        config: The config of the regularizer.

    Attributes:
        needs: The tensors, outputs and gradients that the regularizer, and terms nested in it, need.
        live: The regularizer that `config` builds.
    """

    def __init__(self, name: str, path: ConfigPath, config: RegularizerConfig) -> None:
        self.name, self.path, self.config = name, path, config
        self.needs = find_needs(config)
        with within(*path):
            self.live: Regularizer = build_live(config, methods={"forward": 1})

    def check(self, game: Game) -> None:
        """Refuse a game that lacks what the regularizer needs.

        Raises:
            BadInput: When the game lacks a turn, a tensor, a contest, a discriminator output or a method of a network
                that the regularizer needs. The error names the setting.
        """
        check_tensors(game, self.name, self.needs, self.path)
        check_own(game, self.config, self.path)
        check_turns(game, self.config, self.path)
        check_contests(game, self.config, self.path)
        check_methods(game, self.joins, self.name, self.needs, self.path)
        needs_contest = self.needs.differentiates_discriminator or self.needs.requires_outputs
        if needs_contest and not game.contests:
            raise BadInput(f"{self.name!r} reads a contest, but the game has none", path=self.path)
        discriminators = {contest.discriminator for contest in read_contests(self.config, game.contests)}
        for name in sorted(discriminators) if needs_contest else ():
            check_discriminator(game, name, self.config, self.needs, self.path)

    def joins(self, game: Game, turn: Turn) -> bool:
        """Return whether the regularizer takes part in a turn (optimizer step)."""
        if self.config.contests is not None and not read_contests(self.config, game.contests_of(turn)):
            return False
        if self.config.turns is not None:
            return turn.name in self.config.turns
        side = "discriminator" if game.is_discriminator_turn(turn) else "generator"
        return self.config.side in (side, "both")

    def value(self, game_round: Round, turn: Turn) -> Tensor:
        """Compute the regularizer: a scalar, not yet multiplied by the weight."""
        game_round = gather_round(game_round) if self.needs.batch_coupled else game_round
        if self.config.contests is not None:
            game_round = game_round.limited_to(self.config.contests)
        value = self.live.forward(game_round)
        check_scalar(value, self.live, turn)
        return value
