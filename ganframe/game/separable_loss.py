"""Base class of losses whose discriminator minimises a cost of reals plus a cost of fakes, as in most GANs."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ganframe.game.discriminator_output import DiscriminatorOutput


class SeparableLoss(nn.Module):
    """A loss whose discriminator part is a mean cost of real samples plus a mean cost of fakes.

    The discriminator C minimises E real_loss(C(x)) + E fake_loss(C(G(z))). The generator G minimises
    E generator_loss(C(G(z))). If label policies give a sample the target t, its cost is
    t real_loss + (1 - t) fake_loss: the expected cost when the sample is labelled real with probability t.
    """

    def real_loss(self, logits: Tensor) -> Tensor:
        """Return the discriminator's cost of each logit if the sample is real; same shape as `logits`."""
        raise NotImplementedError

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Return the discriminator's cost of each logit if the sample is fake; same shape as `logits`."""
        raise NotImplementedError

    def generator_loss(self, logits: Tensor) -> Tensor:
        """Return the generator's cost of each logit of fakes, same shape as `logits`; by default `real_loss`."""
        return self.real_loss(logits)

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        # Fakes first: they may still have to be made, and the generator's weights are in the cache from its last step.
        fake_cost = self._mean_cost(fake, self.fake_loss)
        return self._mean_cost(real, self.real_loss) + fake_cost

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the generator minimises."""
        return self.generator_loss(fake.logits).mean()

    def _mean_cost(self, output: DiscriminatorOutput, cost: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean of `cost`; if the output has targets, that of the real and fake cost, weighted by these."""
        logits, target = output.logits, output.target
        if target is None:
            return cost(logits).mean()
        target = target.reshape(-1, *(1,) * (logits.ndim - 1))
        return (target * self.real_loss(logits) + (1 - target) * self.fake_loss(logits)).mean()
