"""Statistics over a batch that a discriminator sees beside each sample, so that collapse shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from ganframe.config import Component, DiscriminatorTransform, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn


class MinibatchDiscrimination(DiscriminatorTransform):
    """Shows a discriminator how close each sample lies to the others of its batch, in learned projections."""

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 3.2"
    type: Literal["minibatch-discrimination"] = "minibatch-discrimination"
    kernels: PositiveInt = 100
    """Closenesses for each sample (B in the paper)."""
    dimensions: PositiveInt = 5
    """Numbers of a projection in which a closeness is measured (C in the paper)."""

    @property
    def batch_coupled(self) -> bool:
        """Whether one sample's verdict depends on the rest of the batch."""
        return True

    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        """See base class."""
        from ganframe_minibatch_statistics.networks import discrimination  # noqa: PLC0415  configs stay free of torch

        return discrimination(self, network, sample, condition)


class MinibatchStddev(DiscriminatorTransform):
    """Shows a discriminator how much the features of a batch vary, as one number or a few."""

    paper = "Karras et al. 2018, arXiv:1710.10196, section 3; groups as in Karras et al. 2019, arXiv:1812.04948"
    type: Literal["minibatch-stddev"] = "minibatch-stddev"
    group_size: PositiveInt | None = None
    """Samples over which a deviation is taken; the whole batch when left out. Where it does not divide the batch, its
    largest divisor below is taken."""
    channels: PositiveInt = 1
    """Deviations for each sample, each over an equal share of the features' channels."""

    @property
    def batch_coupled(self) -> bool:
        """Whether one sample's verdict depends on the rest of the batch."""
        return True

    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        """See base class."""
        from ganframe_minibatch_statistics.networks import stddev  # noqa: PLC0415  configs stay free of torch

        return stddev(self, network, sample, condition)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both transforms."""
    register(MinibatchDiscrimination)
    register(MinibatchStddev)
