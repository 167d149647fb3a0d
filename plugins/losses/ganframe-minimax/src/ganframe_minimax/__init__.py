"""The losses of the original GAN. Both train the discriminator alike; they differ in the generator's side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ganframe.config import LossConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Loss


class Minimax(LossConfig):
    """The generator minimises E log(1 - D(G(z))): exact, but its gradient vanishes where fakes are recognised."""

    paper = "Goodfellow et al. 2014, arXiv:1406.2661, eq. 1"
    type: Literal["minimax"] = "minimax"

    def build(self) -> Loss:
        """See base class."""
        from ganframe_minimax.losses import MinimaxLoss  # noqa: PLC0415  configs stay free of torch

        return MinimaxLoss()


class NonSaturating(LossConfig):
    """The generator minimises -E log D(G(z)): a strong gradient where fakes are recognised."""

    paper = "Goodfellow et al. 2014, arXiv:1406.2661, section 3"
    type: Literal["non-saturating"] = "non-saturating"
    aliases = ("vanilla", "logistic")

    def build(self) -> Loss:
        """See base class."""
        from ganframe_minimax.losses import NonSaturatingLoss  # noqa: PLC0415  configs stay free of torch

        return NonSaturatingLoss()


@hookimpl
def register_components(register):
    """Register both losses."""
    register(Minimax)
    register(NonSaturating)
