"""The zero-centred gradient penalties R1, on reals, and R2, on fakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ganframe import hookimpl
from ganframe.config import Component, RegularizerConfig, Scheduled

if TYPE_CHECKING:
    from ganframe.protocols import Regularizer


class R1(RegularizerConfig):
    """Keeps the discriminator flat on reals: 1/2 E||grad C(x)||^2."""

    paper = "Mescheder et al. 2018, arXiv:1801.04406, eq. 9"
    type: Literal["r1"] = "r1"
    side = "discriminator"
    zero_when = "the judge is flat"
    input_gradients = frozenset({"real"})
    weight: Scheduled = 1.0
    """The paper's gamma: the factor 1/2 is part of the penalty; a number or a schedule."""

    def build(self) -> Regularizer:
        """See base class."""
        from ganframe_gradient_penalties.penalties import FlatOn  # noqa: PLC0415  configs stay free of torch

        return FlatOn("real")


class R2(RegularizerConfig):
    """Keeps the discriminator flat on fakes: 1/2 E||grad C(G(z))||^2."""

    paper = "Mescheder et al. 2018, arXiv:1801.04406, eq. 10"
    type: Literal["r2"] = "r2"
    side = "discriminator"
    zero_when = "the judge is flat"
    input_gradients = frozenset({"fake"})
    weight: Scheduled = 1.0
    """The paper's gamma: the factor 1/2 is part of the penalty; a number or a schedule."""

    def build(self) -> Regularizer:
        """See base class."""
        from ganframe_gradient_penalties.penalties import FlatOn  # noqa: PLC0415  configs stay free of torch

        return FlatOn("fake")


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both penalties."""
    register(R1)
    register(R2)
