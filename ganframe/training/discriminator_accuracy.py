"""The accuracy of discriminators on real samples and on fakes."""

from __future__ import annotations

from torch import Tensor

from ganframe.game.objective import Objective
from ganframe.game.round import Round


def discriminator_accuracy(game_round: Round, objective: Objective) -> dict[str, Tensor]:
    """Return the accuracy of each discriminator on reals and on fakes, and its mean logit of reals minus that of fakes.

    A discriminator with several heads has these scalars for each head. Those of a contest are left out if its
    discriminator was not run on both sides; accuracies are left out if the loss has no decision threshold.

    Args:
        game_round: The batch, after the objective was computed.
        objective: The objective, whose losses have the thresholds above which a logit counts as real.
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
