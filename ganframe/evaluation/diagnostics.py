"""Diagnostics of a run: the problems that its log shows, with advice."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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


FLAT_LOSSES = {2 * math.log(2): "2 ln 2", 2.0: "2", 0.5: "1/2"}
"""The discriminator's loss where it says the same of every sample: non-saturating and minimax, hinge, least squares."""

FLAT_WITHIN = 0.02
"""A loss is flat when each line of the log differs from such a value by less than this share of it."""

FLAT_LINES = 20
"""The smallest number of lines from which a loss is called flat."""


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
    """Return the problems that the last quarter of a log shows, and discriminators that never learned.

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
    findings += _flat_discriminators(log)
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


def _flat_discriminators(log: Sequence[Mapping[str, float]]) -> Iterator[Finding]:
    """Yield a finding for each loss of a discriminator's turn that stays where it is for a constant discriminator."""
    names = dict.fromkeys(name for line in log for name in line)
    turns = {name.partition("/")[0] for name in names if " accuracy on " in name}
    losses = [name for name in names if not re.search("gradient norm$| accuracy on |/weight of ", name)]
    for name in losses:
        values = [line[name] for line in log if name in line]
        if name.partition("/")[0] not in turns or len(values) < FLAT_LINES:
            continue
        for flat, text in FLAT_LOSSES.items():
            if all(abs(value - flat) < FLAT_WITHIN * flat for value in values):
                yield Finding(
                    f"Discriminator that learns nothing ({name}: {text} from the first line of the log to the last)",
                    "It says the same of every sample. A gradient penalty that is too strong does this: the right "
                    "weight grows with the number of pixels, so for small images take a tenth of it, and again "
                    "(r1: 10 for 256 x 256, 0.1 and less for 28 x 28). Without a penalty, raise its learning rate.",
                )
