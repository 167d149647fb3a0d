"""The hinge loss: the discriminator stops caring about samples that it judges right by a margin of 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ganframe.config import Component, LossConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Loss


class Hinge(LossConfig):
    """Reals are pushed above 1, fakes below -1; the generator raises C of its fakes."""

    paper = "Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eq. 16 and 17"
    type: Literal["hinge"] = "hinge"

    def build(self) -> Loss:
        """See base class."""
        from ganframe_hinge.losses import HingeLoss  # noqa: PLC0415  configs stay free of torch

        return HingeLoss()


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the loss."""
    register(Hinge)
