"""Diagnostics of a run from its log: findings with advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

SATURATED_ACCURACY = 0.99
"""Mean accuracy on both sides above which a discriminator is saturated."""

FOOLED_ACCURACY = 0.2
"""Mean accuracy on either side below which a discriminator is fooled."""

VANISHED_NORM = 1e-6
"""Mean gradient norm below which a turn's gradients have vanished."""


@dataclass(frozen=True)
class Finding:
    """A problem that the log of a run shows.

    Attributes:
        title: The problem.
        advice: The usual cause, and what to try.
    """

    title: str
    advice: str


def diagnose(log: Sequence[Mapping[str, float]]) -> list[Finding]:
    """Return the problems that the last quarter of the scalars of a run shows."""
    recent = log[-max(len(log) // 4, 1) :]
    if not recent:
        return []
    # Not every line has every scalar: accuracies are measured every few steps.
    names = {name: None for line in recent for name in line}
    means = {name: fmean(line[name] for line in recent if name in line) for name in names}
    findings: list[Finding] = []
    for name, real in means.items():
        discriminator, found, _ = name.partition(" accuracy on real")
        fake = means.get(f"{discriminator} accuracy on fake")
        if not found or fake is None:
            continue
        accuracies = f"{discriminator.split('/')[-1]}: right on {real:.0%} of reals and {fake:.0%} of fakes at the end"
        if min(real, fake) > SATURATED_ACCURACY:
            findings.append(
                Finding(
                    f"Saturated discriminator ({accuracies})",
                    "It tells every fake, so the generator learns little. Add a gradient penalty (r1), label noise or "
                    "an augmentation, or give the discriminator fewer channels or a lower learning rate.",
                )
            )
        elif min(real, fake) < FOOLED_ACCURACY:
            findings.append(
                Finding(
                    f"Discriminator that lost its way ({accuracies})",
                    "It is wrong most of the time on one side. Raise its learning rate or capacity, or take more "
                    "discriminator steps.",
                )
            )
    for name, norm in means.items():
        if name.endswith("/gradient norm") and norm < VANISHED_NORM:
            findings.append(
                Finding(
                    f"Vanishing gradients (turn {name.split('/')[0]}: norm {norm:.1e})",
                    "The players of this turn hardly move. With the minimax loss, take non-saturating instead.",
                )
            )
    return findings
