"""Diagnostics of a run: the problems that its log shows, with advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

SATURATED_ACCURACY = 0.99
"""A discriminator is saturated when its mean accuracies on reals and on fakes are both above this."""

FOOLED_ACCURACY = 0.2
"""A discriminator is fooled when its mean accuracy on reals or that on fakes is below this."""

VANISHED_NORM = 1e-6
"""The gradients of a turn have vanished when their mean norm is below this."""

BOUND_SHARE = 0.5
"""A weight that a balancer finds is at a bound when more than this share of the logged steps have the same weight."""


@dataclass(frozen=True)
class Finding:
    """A problem that the log of a run shows.

    Attributes:
        title: The problem, with the numbers that show it.
        advice: The usual cause, and what to try.
    """

    title: str
    advice: str


def diagnose(log: Sequence[Mapping[str, float]]) -> list[Finding]:
    """Return the problems that the last quarter of a log shows.

    Args:
        log: The lines of the log of training scalars, in the order of steps; each has values by name.
    """
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
    for name in names:
        turn, found, term = name.partition("/weight of ")
        if not found:
            continue
        weight, share = _most_common([line[name] for line in recent if name in line])
        if share > BOUND_SHARE:
            findings.append(
                Finding(
                    f"Weight at a bound (turn {turn}: {term} has weight {weight:g} in {share:.0%} of the last steps)",
                    "Weights that follow from gradients are not equal by chance, so the balancer is at its `max`: the "
                    "term has almost no gradient where the balancer looks. Name another place in `at`, let the term "
                    "begin later with `from_images`, or change `max`.",
                )
            )
    return findings


def _most_common(values: Sequence[float]) -> tuple[float, float]:
    """Return the value that most others equal, and the share of them that do so, in [0, 1]."""
    ((value, count),) = Counter(values).most_common(1)
    return value, (count - 1) / max(len(values) - 1, 1)
