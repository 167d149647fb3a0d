"""A loss as a term of the objective: which contests it scores, in which optimizer steps, and with which targets."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.config.terms import LossConfig
from ganframe.errors import BadInput, ConfigPath, within
from ganframe.game.contest import Contest, Side
from ganframe.game.discriminator_output import DiscriminatorOutput, split_heads
from ganframe.game.game import Game
from ganframe.game.gathered_round import gather_round
from ganframe.game.protocols import LabelPolicy, Loss
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


class LossTerm:
    """An adversarial loss as a term of the objective, summed over the contests that it scores.

    Args:
        name: The name of the term in logs.
        path: The path of `config` in the config of the run, such as `("losses", 0)`.
        config: The config of the loss.

    Attributes:
        needs: The tensors, outputs and gradients that the loss, and terms nested in it, need.
        live: The loss that `config` builds.
        policies: The label policies that `config` builds, in the order in which they change the targets.
    """

    def __init__(self, name: str, path: ConfigPath, config: LossConfig) -> None:
        self.name, self.path, self.config = name, path, config
        self.needs = find_needs(config)
        with within(*path):
            self.live: Loss = build_live(config, methods={"discriminator": 2, "generator": 2})
        self.policies: list[LabelPolicy] = []
        for index, policy in enumerate(config.label_policies):
            with within(*path, "label_policies", index):
                self.policies.append(build_live(policy, methods={"forward": 3}))

    def check(self, game: Game) -> None:
        """Refuse a game that lacks what the loss needs.

        Raises:
            BadInput: When the game lacks a turn, a contest or a discriminator output that the loss needs, or when the
                config has label policies but the loss uses no targets. The error names the setting.
        """
        check_turns(game, self.config, self.path)
        check_contests(game, self.config, self.path)
        if not game.contests:
            raise BadInput(f"{self.name!r} scores contests, but the game has none", path=self.path)
        if self.policies and not self.needs.takes_targets:
            message = f"{self.name!r} compares reals with fakes and takes no targets, so no label policy fits it"
            raise BadInput(message, path=(*self.path, "label_policies"))
        check_tensors(game, self.name, self.needs, self.path)
        check_own(game, self.config, self.path)
        check_methods(game, self.joins, self.name, self.needs, self.path)
        for contest in read_contests(self.config, game.contests):
            check_discriminator(game, contest.discriminator, self.config, self.needs, self.path)

    def joins(self, game: Game, turn: Turn) -> bool:
        """Return whether the loss takes part in a turn (optimizer step), by its settings `turns` and `contests`."""
        chosen = self.config.turns is None or turn.name in self.config.turns
        return chosen and bool(read_contests(self.config, game.contests_of(turn)))

    def scores(self, contest: Contest) -> bool:
        """Return whether the loss scores this contest, in any turn."""
        return bool(read_contests(self.config, [contest]))

    def value(self, game_round: Round, turn: Turn) -> Tensor:
        """Compute the loss in a turn, summed over its contests: a scalar, not yet multiplied by the weight."""
        game_round = gather_round(game_round) if self.needs.batch_coupled else game_round
        scores: list[Tensor] = []
        for contest in read_contests(self.config, game_round.contests):
            real, fake = (self._output(game_round, turn, contest, side) for side in ("real", "fake"))
            heads = len(game_round.game.heads(contest.discriminator))
            for real_head, fake_head in zip(split_heads(real, heads), split_heads(fake, heads), strict=True):
                score = game_round.game.score(self.live, turn, real_head, fake_head)
                check_scalar(score, self.live, turn)
                scores.append(score if contest.weight == 1 else contest.weight * score)
        return scores[0] if len(scores) == 1 else torch.stack(scores).sum()

    def _output(self, game_round: Round, turn: Turn, contest: Contest, side: Side) -> DiscriminatorOutput:
        """Return the discriminator output for one side; in a discriminator's turn, with targets from label policies."""
        if not self.policies or not game_round.game.is_discriminator_turn(turn):
            return game_round.deferred_output(contest, side)
        shard, randomness = game_round.randomness.shard, game_round.randomness.unsharded()
        target = torch.full((game_round.size * shard.world_size,), float(side == "real"), device=game_round.device)
        for number, policy in enumerate(self.policies):
            purpose = f"{self.name} label policy {number} {contest.name} {side}"
            target = policy.forward(target, side == "real", randomness.generator(purpose, game_round.device))
        return game_round.discriminator_output(contest, side).with_target(shard.of(target))
