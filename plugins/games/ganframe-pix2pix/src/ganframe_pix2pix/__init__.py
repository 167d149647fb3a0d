"""Paired image translation: the game of pix2pix and its U-Net generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import Component, DataSpec, DiscriminatorConfig, GameConfig, GeneratorConfig, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe_pix2pix.game import Paired


class PairedGame(GameConfig):
    """A generator turns a source into its target; a discriminator sees source and target together."""

    paper = "Isola et al. 2017, arXiv:1611.07004, eq. 1"
    type: Literal["paired"] = "paired"
    generator: GeneratorConfig
    """The network that translates; it has to start from a sample."""
    discriminator: DiscriminatorConfig
    """The network that tells real pairs of source and target from generated ones."""

    @override
    def build(self, data: DataSpec) -> Paired:
        from ganframe_pix2pix.game import Paired

        return Paired(self, data)


class UNet(GeneratorConfig):
    """An encoder and a decoder, with skip connections between layers of the same resolution."""

    paper = "Isola et al. 2017, arXiv:1611.07004, sections 3.2.1 and 6.1.1"
    type: Literal["unet"] = "unet"
    starts_from = "sample"
    channels: PositiveInt = 64
    """Channels after the first layer; layers further in have up to eight times as many."""
    depth: int | None = Field(default=None, ge=2)
    """How often the encoder halves the image: 8 is the paper's network for 256 x 256. An odd side is rounded down, and
    doubled to its odd length again. When left out, until the shorter side is 1, at most 8 times."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Normalisation after every convolution but the first, the innermost and the last. The paper uses batch norm, which
    over a batch of one is instance norm."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout probability in the three innermost layers of the decoder, in training and in sampling: the only noise of
    the network."""

    @override
    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        from ganframe_pix2pix.unet import Generator

        return Generator(self, output, source)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the game and the generator."""
    register(PairedGame)
    register(UNet)
