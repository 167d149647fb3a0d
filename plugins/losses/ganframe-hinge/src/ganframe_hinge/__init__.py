"""The hinge loss: the discriminator ignores samples that are right by a margin of 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from ganframe.config import Component, LossConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Loss


class Hinge(LossConfig):
    """Reals are pushed above 1, fakes below -1; the generator raises C of its fakes."""

    paper = "Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eq. 16 and 17"
    type: Literal["hinge"] = "hinge"

    @override
    def build(self) -> Loss:
        from ganframe_hinge.losses import HingeLoss

        return HingeLoss()


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the loss."""
    register(Hinge)
