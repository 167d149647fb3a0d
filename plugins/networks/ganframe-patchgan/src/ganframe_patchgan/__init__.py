"""PatchGAN: a discriminator with a logit for every patch of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt
from typing_extensions import override

from ganframe.config import Component, DiscriminatorConfig, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn


class PatchGAN(DiscriminatorConfig):
    """Convolutions from an image to a logit for each patch; several images are joined along the channels."""

    paper = "Isola et al. 2017, arXiv:1611.07004, sections 3.2.2 and 6.1.2"
    type: Literal["patchgan"] = "patchgan"
    batch_coupled = True
    provides = frozenset({"features"})
    receptive_field: Literal[1, 16, 34, 70, 142, 286] = 70
    """Side of the square of pixels that one logit depends on, given by the 0 to 5 layers that halve the image. With 1,
    every pixel has its own logit (PixelGAN)."""
    channels: PositiveInt = 64
    """Channels after the first layer; later ones have up to eight times as many."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Normalisation after every convolution but the first and last: batch norm as in pix2pix, instance norm without
    learned scale as in CycleGAN, or none, which gradient penalties need."""

    @override
    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        from ganframe_patchgan.network import Discriminator

        return Discriminator(self, sample)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the discriminator."""
    register(PatchGAN)
