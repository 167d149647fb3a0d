"""How a run went, from its log: plain findings with advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

SATURATED = 0.99
"""Mean accuracy on both sides above which a discriminator has won."""


FOOLED = 0.2
"""Mean accuracy on either side below which a discriminator is lost."""


VANISHED = 1e-6
"""Mean gradient norm below which a turn's players no longer move."""


@dataclass(frozen=True)
class Finding:
    """Something worth knowing about a run.

    Attributes:
        title: What was seen.
        advice: What it usually means, and what to try.
    """

    title: str
    advice: str


def diagnose(log: Sequence[Mapping[str, float]]) -> list[Finding]:
    """Findings from the last quarter of the scalars of a run."""
    recent = log[-max(len(log) // 4, 1) :]
    if not recent:
        return []
    # Not every line has every number: how often a discriminator is right is looked at now and then.
    names = {name: None for line in recent for name in line}
    means = {name: fmean(line[name] for line in recent if name in line) for name in names}
    findings: list[Finding] = []
    for name, real in means.items():
        judge, found, _ = name.partition(" accuracy on real")
        fake = means.get(f"{judge} accuracy on fake")
        if not found or fake is None:
            continue
        what = f"{judge.split('/')[-1]}: right on {real:.0%} of reals and {fake:.0%} of fakes at the end"
        if min(real, fake) > SATURATED:
            findings.append(
                Finding(
                    f"Saturated discriminator ({what})",
                    "It tells every fake, so the generator learns little. Add a gradient penalty (r1), label noise or "
                    "an augmentation, or give the discriminator fewer channels or a lower learning rate.",
                )
            )
        elif min(real, fake) < FOOLED:
            findings.append(
                Finding(
                    f"Discriminator that lost its way ({what})",
                    "It is wrong most of the time on one side. Raise its learning rate or capacity, or take more "
                    "discriminator steps.",
                )
            )
    for name, norm in means.items():
        if name.endswith("/gradient norm") and norm < VANISHED:
            findings.append(
                Finding(
                    f"Vanishing gradients (turn {name.split('/')[0]}: norm {norm:.1e})",
                    "The players of this turn hardly move. With the minimax loss, take non-saturating instead.",
                )
            )
    return findings
