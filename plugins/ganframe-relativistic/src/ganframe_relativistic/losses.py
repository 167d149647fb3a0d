"""The loss on differences of raw outputs C, with -log sigmoid(t) = softplus(-t)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import softplus

from ganframe.protocols import Verdict


class RelativisticPairingLoss(nn.Module):
    """Discriminator: E softplus(C(G(z)) - C(x)). Generator: E softplus(C(x) - C(G(z))).

    The i-th real of a batch is paired with its i-th fake, and patch with patch.
    """

    def discriminator(self, real: Verdict, fake: Verdict) -> Tensor:
        """The scalar that the discriminator minimises."""
        return softplus(fake.logits - real.logits).mean()

    def generator(self, real: Verdict, fake: Verdict) -> Tensor:
        """The scalar that the generator minimises."""
        return softplus(real.logits - fake.logits).mean()
