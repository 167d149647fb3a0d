"""The base of losses whose discriminator side is a cost of reals plus a cost of fakes, as in most GANs."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ganframe.game.discriminator_output import DiscriminatorOutput


class SeparableLoss(nn.Module):
    """E real_loss(C(x)) + E fake_loss(C(G(z))) for the discriminator, E generator_loss(C(G(z))) for the generator.

    A target t of a label policy blends the two costs, t real_loss + (1 - t) fake_loss: the expected cost when a share t
    of the labels says real.
    """

    def real_loss(self, logits: Tensor) -> Tensor:
        """Return the cost of each logit of a sample that should be called real, of the shape of `logits`."""
        raise NotImplementedError

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Return the cost of each logit of a sample that should be called fake, of the shape of `logits`."""
        raise NotImplementedError

    def generator_loss(self, logits: Tensor) -> Tensor:
        """Return the cost of each logit of a fake for the generator; `real_loss` unless overridden."""
        return self.real_loss(logits)

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        # Fakes first: the generator's weights are still in the cache from its own step.
        fake_cost = self._mean_cost(fake, self.fake_loss)
        return self._mean_cost(real, self.real_loss) + fake_cost

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the generator minimises."""
        return self.generator_loss(fake.logits).mean()

    def _mean_cost(self, output: DiscriminatorOutput, cost: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean of `cost`; with targets, that of the two costs blended by them."""
        logits, target = output.logits, output.target
        if target is None:
            return cost(logits).mean()
        target = target.reshape(-1, *(1,) * (logits.ndim - 1))
        return (target * self.real_loss(logits) + (1 - target) * self.fake_loss(logits)).mean()
