"""Losses whose discriminator side is one cost for reals plus one for fakes: most of them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ganframe.game.discriminator_output import Verdict


class SeparableLoss(nn.Module):
    """E as_real(C(x)) + E as_fake(C(G(z))) for the discriminator, E fooling(C(G(z))) for the generator.

    A target t of a label policy blends the two costs, t as_real + (1 - t) as_fake: the expected cost when a share t
    of the labels says real.
    """

    def as_real(self, logits: Tensor) -> Tensor:
        """Cost of each logit when the sample should be called real."""
        raise NotImplementedError

    def as_fake(self, logits: Tensor) -> Tensor:
        """Cost of each logit when the sample should be called fake."""
        raise NotImplementedError

    def fooling(self, logits: Tensor) -> Tensor:
        """Cost of each fake's logit for the generator; that of a real unless a loss says otherwise."""
        return self.as_real(logits)

    def discriminator(self, real: Verdict, fake: Verdict) -> Tensor:
        """The scalar that the discriminator minimises."""
        # Fakes first: the generator's weights are still in the cache from its own step.
        cost_of_fakes = self._cost(fake, self.as_fake)
        return self._cost(real, self.as_real) + cost_of_fakes

    def generator(self, real: Verdict, fake: Verdict) -> Tensor:
        """The scalar that the generator minimises."""
        return self.fooling(fake.logits).mean()

    def _cost(self, verdict: Verdict, hard: Callable[[Tensor], Tensor]) -> Tensor:
        logits, target = verdict.logits, verdict.target
        if target is None:
            return hard(logits).mean()
        target = target.reshape(-1, *(1,) * (logits.ndim - 1))
        return (target * self.as_real(logits) + (1 - target) * self.as_fake(logits)).mean()
