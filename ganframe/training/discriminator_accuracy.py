"""How often discriminators are right, measured on the rounds of their own turns."""

from __future__ import annotations

from torch import Tensor

from ganframe.game.objective import Objective
from ganframe.game.round import Round


def discriminator_accuracy(game_round: Round, objective: Objective) -> dict[str, Tensor]:
    """Return how often each discriminator is right on reals and on fakes, and the gap of its mean logits.

    A discriminator with several heads has these figures for each head. Figures of a contest are left out unless its
    discriminator was run on both sides.

    Args:
        game_round: The round, after the objective was computed.
        objective: The objective, whose losses say above which logit a sample counts as real.
    """
    found: dict[str, Tensor] = {}
    for contest in game_round.contests:
        threshold = objective.decision_threshold(contest)
        heads = game_round.game.heads(contest.discriminator)
        for name in [f"{contest.name} {head}" for head in heads] or [contest.name]:
            real, fake = game_round.logits.get((name, "real")), game_round.logits.get((name, "fake"))
            if real is None or fake is None:
                continue
            if threshold is not None:
                found[f"{name} accuracy on real"] = (real > threshold).float().mean()
                found[f"{name} accuracy on fake"] = (fake < threshold).float().mean()
            found[f"{name} logit gap"] = real.mean() - fake.mean()
    return found
