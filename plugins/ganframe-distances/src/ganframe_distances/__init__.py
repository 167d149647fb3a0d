"""Mean absolute distances between named tensors: pix2pix's L1, and CycleGAN's cycle and identity terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ganframe import hookimpl
from ganframe.config import Component, RegularizerConfig, Scheduled

if TYPE_CHECKING:
    from ganframe.protocols import Regularizer

Pairs = Annotated[tuple[tuple[str, str], ...], Field(min_length=1)]


def _names(pairs: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for pair in pairs for name in pair))


def _build(pairs: tuple[tuple[str, str], ...]) -> Regularizer:
    from ganframe_distances.distances import MeanAbsoluteErrors  # noqa: PLC0415  configs stay free of torch

    return MeanAbsoluteErrors(pairs)


class L1(RegularizerConfig):
    """Mean absolute difference of two tensors."""

    paper = "Isola et al. 2017, arXiv:1611.07004, eq. 3; there with the weight 100"
    type: Literal["l1"] = "l1"
    zero_when = "tensors are equal"
    prediction: str = "fake"
    """Name of the tensor that is made."""
    target: str = "target"
    """Name of the tensor that it should equal."""

    def tensors(self) -> tuple[str, ...]:
        """See base class."""
        return _names(((self.prediction, self.target),))

    def build(self) -> Regularizer:
        """See base class."""
        return _build(((self.prediction, self.target),))


class Cycle(RegularizerConfig):
    """Mean absolute difference of what went to the other domain and back, and the original; summed over domains."""

    paper = "Zhu et al. 2017, arXiv:1703.10593, eq. 2"
    type: Literal["cycle"] = "cycle"
    zero_when = "tensors are equal"
    weight: Scheduled = 10.0
    """Factor of the sum (lambda in eq. 3); a number or a schedule."""
    pairs: Pairs = (("reconstructed_a", "real_a"), ("reconstructed_b", "real_b"))
    """Names of the tensors that should equal each other, a pair for each domain."""

    def tensors(self) -> tuple[str, ...]:
        """See base class."""
        return _names(self.pairs)

    def build(self) -> Regularizer:
        """See base class."""
        return _build(self.pairs)


class Identity(RegularizerConfig):
    """Mean absolute change by a generator of what is in its output domain already; summed over domains."""

    paper = "Zhu et al. 2017, arXiv:1703.10593, section 5.2; after Taigman et al. 2017, arXiv:1611.02200"
    type: Literal["identity"] = "identity"
    zero_when = "tensors are equal"
    weight: Scheduled = 5.0
    """Factor of the sum (0.5 lambda in section 5.2, with lambda = 10); a number or a schedule."""
    pairs: Pairs = (("identity_a", "real_a"), ("identity_b", "real_b"))
    """Names of the tensors that should equal each other, a pair for each domain."""

    def tensors(self) -> tuple[str, ...]:
        """See base class."""
        return _names(self.pairs)

    def build(self) -> Regularizer:
        """See base class."""
        return _build(self.pairs)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the distances."""
    register(L1)
    register(Cycle)
    register(Identity)
