"""R1 and R2: the gradient at the samples themselves."""

from __future__ import annotations

import torch
from ganframe_kernels.gradient_norm import gradient_norm
from torch import Tensor, nn

from ganframe.game import DiscriminatorOutput, Round, Side


class ZeroCenteredPenalty(nn.Module):
    """1/2 E||grad C(x)||^2 at the samples x of one side, summed over the contests of the turn.

    The penalty reads the output that the loss reads, so it takes no forward pass of its own. The norm is over
    everything but the batch axis, of all parts of a sample. If a sample has several logits, such as one per patch, C is
    their sum. An output that several contests share counts once.

    Args:
        side: Whose samples: `real` is R1, `fake` is R2.

    References:
        Mescheder et al. 2018, arXiv:1801.04406, eq. 9 and 10.
    """

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.side: Side = side

    def forward(self, game_round: Round) -> Tensor:
        """Return the penalty, a scalar >= 0."""
        outputs = (game_round.discriminator_output(contest, self.side) for contest in game_round.contests)
        distinct = {id(output): output for output in outputs}
        return sum(map(_penalty, distinct.values()), torch.zeros((), device=game_round.device))


def _penalty(output: DiscriminatorOutput) -> Tensor:
    inputs = [part for part in output.parts if part.requires_grad]
    gradients = torch.autograd.grad(
        output.logits.sum(), inputs, create_graph=True, allow_unused=True, materialize_grads=True
    )
    return gradient_norm(gradients, squared=True).mean() / 2
