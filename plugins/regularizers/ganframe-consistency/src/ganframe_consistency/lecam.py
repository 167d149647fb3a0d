"""LeCam regularization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu

from ganframe import Run
from ganframe.config import hookimpl
from ganframe.game import Contest, Round, Side, Turn, mean_over_ranks

SIDES: tuple[Side, Side] = ("real", "fake")


class LeCamPenalty:
    """E relu(C(x) - a_fake)^2 + E relu(a_real - C(G(z)))^2, summed over the contests of the turn.

    a_real and a_fake are exponential moving averages of the mean logits, with those of the present turn and without the
    bias of their start at 0. There are two for each contest; no gradient passes through them.

    Args:
        decay: Share of the averages that a turn keeps.

    Attributes:
        sums: For each contest and side the moving average with its bias.
        shares: For each contest what the weights in its averages add up to: 1 - decay^turns, if the decay stays.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.sums: dict[str, dict[str, Tensor]] = {}
        self.shares: dict[str, float] = {}

    def forward(self, game_round: Round) -> Tensor:
        """The penalty, a scalar >= 0."""
        return sum(
            (self._cost(game_round, each) for each in game_round.contests), torch.zeros((), device=game_round.device)
        )

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn, rounds: Sequence[Round]) -> None:
        """Take in the logits of a turn in which a discriminator moved."""
        if not run.game.is_discriminator_turn(turn):
            return
        for contest in run.game.contests_of(turn):
            said = [each.logits for each in rounds if all((contest.name, side) in each.logits for side in SIDES)]
            if said:
                means = {side: torch.stack([_mean(each[contest.name, side]) for each in said]).mean() for side in SIDES}
                self.sums[contest.name], self.shares[contest.name] = self._with(contest, means)

    def state_dict(self) -> dict[str, Any]:
        """The averages."""
        return {"sums": self.sums, "shares": self.shares}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the averages back."""
        self.sums = {contest: dict(sums) for contest, sums in state["sums"].items()}
        self.shares = dict(state["shares"])

    def _cost(self, game_round: Round, contest: Contest) -> Tensor:
        logits = {side: _wide(game_round.discriminator_output(contest, side).logits) for side in SIDES}
        sums, share = self._with(contest, {side: _mean(each.detach()) for side, each in logits.items()})
        above = relu(logits["real"] - sums["fake"] / share)
        below = relu(sums["real"] / share - logits["fake"])
        return above.square().mean() + below.square().mean()

    def _with(self, contest: Contest, means: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        """The averages of a contest, and what their weights add up to, once the mean logits of a turn are in."""
        past, share = self.sums.get(contest.name, {}), self.shares.get(contest.name, 0.0)
        sums = {
            side: (1 - self.decay) * mean + (self.decay * past[side].to(mean.device) if past else 0)
            for side, mean in means.items()
        }
        return sums, self.decay * share + 1 - self.decay


def _mean(logits: Tensor) -> Tensor:
    return mean_over_ranks(_wide(logits).mean())


def _wide(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
