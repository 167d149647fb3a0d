"""Relativistic losses: they score how much more real reals look than fakes, in pairs or on average."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from ganframe.config import Component, LossConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Loss

Cost = Literal["logistic", "least-squares", "hinge"]


class RelativisticPairing(LossConfig):
    """The discriminator ranks each real above the fake that it is paired with; the generator does the reverse."""

    paper = "Jolicoeur-Martineau 2019, arXiv:1807.00734 (RpGAN); as in Huang et al. 2024, arXiv:2501.05441, eq. 2"
    type: Literal["relativistic-pairing"] = "relativistic-pairing"
    aliases = ("rpgan",)
    takes_targets = False
    decision_threshold = None

    @override
    def build(self) -> Loss:
        from ganframe_relativistic.losses import RelativisticPairingLoss

        return RelativisticPairingLoss()


class RelativisticAverage(LossConfig):
    """The discriminator ranks each real above the average fake and each fake below the average real."""

    paper = "Jolicoeur-Martineau 2019, arXiv:1807.00734 (RaSGAN, RaLSGAN, RaHingeGAN)"
    type: Literal["relativistic-average"] = "relativistic-average"
    batch_coupled = True
    aliases = ("ragan",)
    takes_targets = False
    decision_threshold = None
    cost: Cost = "logistic"
    """Cost h(t) of a difference t of raw outputs that should be large: softplus(-t), (t - 1)^2 or max(0, 1 - t)."""

    @override
    def build(self) -> Loss:
        from ganframe_relativistic.losses import RelativisticAverageLoss

        return RelativisticAverageLoss(self.cost)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both losses."""
    register(RelativisticPairing)
    register(RelativisticAverage)
