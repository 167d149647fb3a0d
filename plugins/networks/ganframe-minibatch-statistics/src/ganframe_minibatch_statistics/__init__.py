"""Statistics over a batch that a discriminator sees with each sample, so that it can detect mode collapse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt
from typing_extensions import override

from ganframe.config import Component, DiscriminatorTransform, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn


class MinibatchDiscrimination(DiscriminatorTransform):
    """Shows a discriminator how close each sample is to the others of its batch, in learned projections."""

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 3.2"
    type: Literal["minibatch-discrimination"] = "minibatch-discrimination"
    kernels: PositiveInt = 100
    """Number of closeness values for each sample (B in the paper)."""
    dimensions: PositiveInt = 5
    """Dimension of each projection in which closeness is measured (C in the paper)."""

    @property
    @override
    def batch_coupled(self) -> bool:
        return True

    @override
    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        from ganframe_minibatch_statistics.networks import discrimination

        return discrimination(self, network, sample, condition)


class MinibatchStddev(DiscriminatorTransform):
    """Shows a discriminator how much the features of a batch vary, as one or a few numbers."""

    paper = "Karras et al. 2018, arXiv:1710.10196, section 3; groups as in Karras et al. 2019, arXiv:1812.04948"
    type: Literal["minibatch-stddev"] = "minibatch-stddev"
    group_size: PositiveInt | None = None
    """Number of samples in a group; the whole batch when left out. If this number does not divide the batch size, the
    largest smaller divisor of the batch size is used."""
    channels: PositiveInt = 1
    """Number of deviations for each sample, each over an equal share of the features' channels."""

    @property
    @override
    def batch_coupled(self) -> bool:
        return True

    @override
    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        from ganframe_minibatch_statistics.networks import stddev

        return stddev(self, network, sample, condition)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both transforms."""
    register(MinibatchDiscrimination)
    register(MinibatchStddev)
