"""Unpaired image translation: the game of CycleGAN and its ResNet generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import Component, DataSpec, DiscriminatorConfig, GameConfig, GeneratorConfig, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe_cyclegan.game import Cycle


class CycleGame(GameConfig):
    """Two generators translate between domains A and B, there and back; each domain has a discriminator."""

    paper = "Zhu et al. 2017, arXiv:1703.10593, eq. 3"
    type: Literal["cycle"] = "cycle"
    renamed: ClassVar[Mapping[str, str]] = {"pool": "pool_size"}
    generator: GeneratorConfig
    """The network that translates, built once from A to B (`g_ab`) and once from B to A (`g_ba`)."""
    discriminator: DiscriminatorConfig
    """The discriminator, built once for each domain (`d_a`, `d_b`)."""
    pool_size: int = Field(default=50, ge=0)
    """Number of past fakes to keep for each domain. The domain's discriminator sees past fakes in place of half of the
    new ones (section 4, after Shrivastava et al. 2017). With 0 it sees new fakes only."""

    @override
    def build(self, data: DataSpec) -> Cycle:
        from ganframe_cyclegan.game import Cycle

        return Cycle(self, data)


class ResNet(GeneratorConfig):
    """Two halvings of the sides, residual blocks, and two doublings, with instance norm and reflection padding."""

    paper = "Zhu et al. 2017, arXiv:1703.10593, section 7.2, after Johnson et al. 2016, arXiv:1603.08155"
    type: Literal["resnet"] = "resnet"
    starts_from = "sample"
    blocks: PositiveInt = 9
    """Residual blocks; the paper uses 9 for images of 256 x 256 and 6 for 128 x 128."""
    channels: PositiveInt = 64
    """Channels after the first layer; the blocks have four times as many."""

    @override
    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        from ganframe_cyclegan.resnet import Generator

        return Generator(self, output, source)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the game and the generator."""
    register(CycleGame)
    register(ResNet)
