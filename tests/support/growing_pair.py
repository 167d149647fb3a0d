"""A pair of networks that grows from 2 x 2 to 8 x 8 pixels, over random images."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from ganframe.config.component_kinds import DatasetConfig, GameConfig
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.data.tensor_data import TensorData
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.plugins.discovery import installed
from ganframe.randomness import Randomness

SIDE = 8


class GrowingGenerator(nn.Module):
    """Doubles the side of its image at each stage; the newest layer fades in over the upsampled image before it."""

    latent_shape = (3,)

    def __init__(self) -> None:
        super().__init__()
        self.fade = 1.0
        self.first: nn.Linear | None = None
        self.blocks = nn.ModuleList()

    def grow(self, downscale: int) -> None:
        if self.first is None:
            self.side = SIDE // downscale
            self.first = nn.Linear(3, self.side**2)
        else:
            self.blocks.append(nn.Conv2d(1, 1, 3, padding=1))

    def forward(self, latent: Tensor) -> Tensor:
        assert self.first is not None
        image = self.first(latent).unflatten(1, (1, self.side, self.side))
        for number, block in enumerate(self.blocks, start=1):
            before = interpolate(image, scale_factor=2, mode="nearest")
            fade = self.fade if number == len(self.blocks) else 1.0
            image = torch.lerp(before, block(before), fade)
        return image


class GrowingDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fade = 1.0
        self.blocks = nn.ModuleList()
        self.score = nn.Linear(1, 1)

    def grow(self, downscale: int) -> None:
        self.blocks.append(nn.Conv2d(1, 1, 3, padding=1))

    def forward(self, sample: Tensor) -> DiscriminatorOutput:
        hidden = sample
        for number, block in enumerate(reversed(self.blocks)):
            fade = self.fade if number == 0 else 1.0
            hidden = avg_pool2d((1 - fade) * hidden + fade * block(hidden).tanh(), 2)
        return DiscriminatorOutput(self.score(hidden.mean((1, 2, 3))[:, None]).flatten())


class GrowingGeneratorConfig(GeneratorConfig):
    """Grows."""

    type: Literal["growing"] = "growing"

    def build(self, **given: Any) -> nn.Module:
        return GrowingGenerator()


class GrowingDiscriminatorConfig(DiscriminatorConfig):
    """Grows."""

    type: Literal["growing"] = "growing"

    def build(self, **given: Any) -> nn.Module:
        return GrowingDiscriminator()


class PairConfig(GameConfig):
    """The pair."""

    type: Literal["pair"] = "pair"
    generator: GeneratorConfig = GrowingGeneratorConfig()
    """Makes images."""
    discriminator: DiscriminatorConfig = GrowingDiscriminatorConfig()
    """Scores them."""

    def build(self, data: DataSpec) -> Game:
        return Pair(self, data)


class Pair(Game):
    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def __init__(self, config: PairConfig, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        real = self.data["real"]
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), real),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), real),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"](game_round.randomness.normal("latent", (game_round.size, 3)))


class Images(DatasetConfig):
    """Random images, with the index of each."""

    type: Literal["random-images"] = "random-images"
    side: int = SIDE

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((1, self.side, self.side)), "index": TensorSpec((1,))}

    def build(self) -> TensorData:
        images = Randomness(5).normal("images", (64, 1, self.side, self.side))
        return TensorData({"real": images, "index": torch.arange(64.0)[:, None]})


def register() -> None:
    """Register the components, as those of a package."""
    registry = installed().registry
    for cls in (GrowingGeneratorConfig, GrowingDiscriminatorConfig, PairConfig, Images):
        if (cls.kind, cls.type_name()) not in registry.classes:
            registry.add(cls, "ganframe")
