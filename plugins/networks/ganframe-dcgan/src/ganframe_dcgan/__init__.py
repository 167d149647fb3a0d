"""DCGAN: an all-convolutional generator and discriminator with batch norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt
from typing_extensions import override

from ganframe.config import Component, DiscriminatorConfig, GeneratorConfig, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn


class DCGANGenerator(GeneratorConfig):
    """Transposed convolutions from a latent to an image, with batch norm and ReLU."""

    paper = "Radford et al. 2016, arXiv:1511.06434"
    type: Literal["dcgan"] = "dcgan"
    conditional = True
    latent: PositiveInt = 100
    """Numbers in a latent (dimension of Z)."""
    channels: PositiveInt = 64
    """Channels before the last layer; each layer further in has twice as many."""
    upsample: Literal["transposed", "resize"] = "transposed"
    """How a layer doubles the resolution: a transposed convolution, or a nearest-neighbour resize and a convolution,
    which avoids checkerboard artefacts (Odena et al. 2016)."""

    @override
    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        from ganframe_dcgan.networks import Generator

        return Generator(self, output, condition)


class DCGANDiscriminator(DiscriminatorConfig):
    """Strided convolutions from an image to a logit, with batch norm and leaky ReLU."""

    paper = "Radford et al. 2016, arXiv:1511.06434; conditional by projection: Miyato and Koyama 2018, arXiv:1802.05637"
    type: Literal["dcgan"] = "dcgan"
    conditional = True
    batch_coupled = True
    provides = frozenset({"features"})
    channels: PositiveInt = 64
    """Channels after the first layer; each layer further in has twice as many."""

    @override
    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        from ganframe_dcgan.networks import Discriminator

        return Discriminator(self, sample, condition)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both networks."""
    register(DCGANGenerator)
    register(DCGANDiscriminator)
