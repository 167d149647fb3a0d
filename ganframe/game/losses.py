"""Losses whose discriminator side is one cost for reals plus one for fakes: most of them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ganframe.game.discriminator_output import DiscriminatorOutput


class SeparableLoss(nn.Module):
    """E real_loss(C(x)) + E fake_loss(C(G(z))) for the discriminator, E fooling(C(G(z))) for the generator.

    A target t of a label policy blends the two costs, t real_loss + (1 - t) fake_loss: the expected cost when a share t
    of the labels says real.
    """

    def real_loss(self, logits: Tensor) -> Tensor:
        """Cost of each logit when the sample should be called real."""
        raise NotImplementedError

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Cost of each logit when the sample should be called fake."""
        raise NotImplementedError

    def generator_loss(self, logits: Tensor) -> Tensor:
        """Cost of each fake's logit for the generator; that of a real unless a loss says otherwise."""
        return self.real_loss(logits)

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the discriminator minimises."""
        # Fakes first: the generator's weights are still in the cache from its own step.
        cost_of_fakes = self._cost(fake, self.fake_loss)
        return self._cost(real, self.real_loss) + cost_of_fakes

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the generator minimises."""
        return self.generator_loss(fake.logits).mean()

    def _cost(self, output: DiscriminatorOutput, hard: Callable[[Tensor], Tensor]) -> Tensor:
        logits, target = output.logits, output.target
        if target is None:
            return hard(logits).mean()
        target = target.reshape(-1, *(1,) * (logits.ndim - 1))
        return (target * self.real_loss(logits) + (1 - target) * self.fake_loss(logits)).mean()
