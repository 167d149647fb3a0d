"""The relativistic pairing loss: what counts is which of a pair looks more real."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ganframe import hookimpl
from ganframe.config import Component, LossConfig

if TYPE_CHECKING:
    from ganframe.protocols import Loss


class RelativisticPairing(LossConfig):
    """The discriminator ranks each real above the fake it is paired with, the generator the other way round."""

    paper = "Jolicoeur-Martineau 2019, arXiv:1807.00734 (RpGAN); as in Huang et al. 2024, arXiv:2501.05441, eq. 2"
    type: Literal["relativistic-pairing"] = "relativistic-pairing"
    aliases = ("rpgan",)
    takes_targets = False
    boundary = None

    def build(self) -> Loss:
        """See base class."""
        from ganframe_relativistic.losses import RelativisticPairingLoss  # noqa: PLC0415  configs stay free of torch

        return RelativisticPairingLoss()


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the loss."""
    register(RelativisticPairing)
