"""LeCam regularization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu
from typing_extensions import override

from ganframe import Run, hookimpl
from ganframe.game import Contest, ContestRegularizer, Round, Side, Turn, mean_over_ranks

SIDES: tuple[Side, Side] = ("real", "fake")


class LeCamPenalty(ContestRegularizer):
    """E relu(C(x) - a_fake)^2 + E relu(a_real - C(G(z)))^2, summed over the contests of the turn.

    The anchors a_real and a_fake are exponential moving averages of the mean logits. They include the logits of the
    current turn, and are corrected for their start at 0. Each contest has two anchors, and no gradient passes through
    them.

    Args:
        decay: Share of the averages that a turn keeps.

    Attributes:
        sums: For each contest and side, the moving average before it is corrected.
        shares: For each contest the sum of the weights in its averages: 1 - decay^turns for a fixed decay.

    References:
        Tseng et al. 2021, arXiv:2104.03310, and its authors' code, which has the relu.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.sums: dict[str, dict[str, Tensor]] = {}
        self.shares: dict[str, float] = {}

    @override
    def penalty(self, game_round: Round, contest: Contest) -> Tensor:
        logits = {side: _at_least_float32(game_round.discriminator_output(contest, side).logits) for side in SIDES}
        sums, share = self._updated(contest, {side: _mean(values.detach()) for side, values in logits.items()})
        above = relu(logits["real"] - sums["fake"] / share)
        below = relu(sums["real"] / share - logits["fake"])
        return above.square().mean() + below.square().mean()

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn, rounds: Sequence[Round]) -> None:
        """Update the averages with the logits of a turn in which a discriminator trained."""
        if not run.game.is_discriminator_turn(turn):
            return
        for contest in run.game.contests_of(turn):
            scored = [
                game_round.logits
                for game_round in rounds
                if all((contest.name, side) in game_round.logits for side in SIDES)
            ]
            if scored:
                means = {
                    side: torch.stack([_mean(logits[contest.name, side]) for logits in scored]).mean() for side in SIDES
                }
                self.sums[contest.name], self.shares[contest.name] = self._updated(contest, means)

    @override
    def state_dict(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return {"sums": self.sums, "shares": self.shares}

    @override
    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for contest, sums in state["sums"].items():
            for side, value in sums.items():
                if value.shape or value.dtype not in (torch.float32, torch.float64):
                    found = f"{str(value.dtype).removeprefix('torch.')} of the shape {tuple(value.shape)}"
                    raise ValueError(f"the mean of {contest} ({side}) is {found}, and not one float32 or float64")
        self.sums = {contest: dict(sums) for contest, sums in state["sums"].items()}
        self.shares = dict(state["shares"])

    def _updated(self, contest: Contest, means: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        """Return the averages of a contest, and the sum of their weights, with the mean logits of a turn included."""
        past, share = self.sums.get(contest.name, {}), self.shares.get(contest.name, 0.0)
        sums = {
            side: (1 - self.decay) * mean + (self.decay * past[side].to(mean.device) if past else 0)
            for side, mean in means.items()
        }
        return sums, self.decay * share + 1 - self.decay


def _mean(logits: Tensor) -> Tensor:
    return mean_over_ranks(_at_least_float32(logits).mean())


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
