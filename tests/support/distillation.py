"""A game with a teacher: a generator against a discriminator, and a frozen network that shows what to make.

    torchrun --nproc-per-node 2 tests/support/distillation.py SETTINGS.json RUN

trains the experiment of these settings in float64, without batch normalisation, whose statistics are a rank's own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganframe import Experiment, train
from ganframe.config.component_kinds import DatasetConfig, GameConfig
from ganframe.config.experiment import Checkpoint, Ema, Train
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.terms import RegularizerConfig
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
from ganframe.testing.runs import FakeLoss

POINT = TensorSpec((2,))
EXAMPLES, BATCH = 40, 8


def _norm(size: int, norm: bool) -> nn.Module:
    return nn.BatchNorm1d(size) if norm else nn.Identity()


class Maker(nn.Module):
    latent_shape = (2,)

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2, 4), _norm(4, norm), nn.Tanh())
        self.head = nn.Linear(4, 2)

    def forward(self, latent: Tensor) -> Tensor:
        return self.head(self.trunk(latent))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"trunk": list(self.trunk.parameters()), "head": list(self.head.parameters())}


class Judge(nn.Module):
    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(size, 4), _norm(4, norm), nn.LeakyReLU(0.2)) for size in (2, 4)
        )
        self.head = nn.Linear(4, 1)

    def forward(self, sample: Tensor) -> DiscriminatorOutput:
        for block in self.blocks:
            sample = block(sample)
        return DiscriminatorOutput(self.head(sample).flatten())


class MakerConfig(GeneratorConfig):
    """Two layers from a latent to a point."""

    type: Literal["distillation-maker"] = "distillation-maker"
    norm: bool = True
    """Whether batches are normalised."""

    def build(self, **_fit: Any) -> nn.Module:
        return Maker(self.norm)


class JudgeConfig(DiscriminatorConfig):
    """Three layers from a point to a logit."""

    type: Literal["distillation-judge"] = "distillation-judge"
    norm: bool = True
    """Whether batches are normalised."""

    def build(self, **_fit: Any) -> nn.Module:
        return Judge(self.norm)


class Distillation(Game):
    inputs = ("real",)
    output = "fake"
    pictures = ()
    contests = (Contest("discriminator", real="real", fake="fake"),)

    def __init__(self, config: DistillationConfig, data: DataSpec) -> None:
        self.config = config
        more = [name for name, joins in (("teacher", config.trains_teacher), ("helper", config.helper)) if joins]
        trained = ("generator", *more)
        self.turns = (Turn("discriminator", ("discriminator",)), Turn("generator", trained))
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        make, judge = MakerConfig(norm=self.config.norm), JudgeConfig(norm=self.config.norm)
        helper = {"helper": PlayerSpec(make, ("helper",), POINT)} if self.config.helper else {}
        return {
            "generator": PlayerSpec(make, ("generator",), POINT),
            **helper,
            "discriminator": PlayerSpec(judge, ("discriminator",), POINT),
            "teacher": PlayerSpec(make, ("teacher",), POINT, frozen=True),
        }

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        """Draw from N(0, 1)."""
        return game_round.randomness.normal("latent", (game_round.size, 2)).to(torch.get_default_dtype())

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """Return G(z), and H(z) added to it where there is a helper."""
        fake = self.players["generator"](game_round["latent"])
        return fake + self.players["helper"](game_round["latent"]) if self.config.helper else fake

    @tensor
    def taught(self, game_round: Round) -> Tensor:
        """Return T(z)."""
        return self.players["teacher"](game_round["latent"])

    @tensor
    def echo(self, game_round: Round) -> Tensor:
        """Return T(G(z))."""
        return self.players["teacher"](game_round["fake"])


class DistillationConfig(GameConfig):
    """A generator that a discriminator and a teacher judge."""

    type: Literal["distillation"] = "distillation"
    norm: bool = True
    """Whether networks normalise batches."""
    helper: bool = False
    """Whether a second generator trains beside the first."""
    trains_teacher: bool = False
    """Whether a turn names the teacher."""

    def build(self, data: DataSpec) -> Game:
        return Distillation(self, data)


class Imitate(RegularizerConfig):
    """The mean square of what the generator makes other than the teacher, and of what the teacher makes of that."""

    type: Literal["imitate"] = "imitate"

    def tensors(self) -> tuple[str, ...]:
        return ("fake", "taught", "echo")

    def build(self) -> Any:
        class Term:
            def forward(self, game_round: Round) -> Tensor:
                return (game_round["fake"] - game_round["taught"]).square().mean() + game_round["echo"].square().mean()

        return Term()


class _AnyType:
    """A data set in the default type."""

    def __init__(self, data: TensorData) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        return {name: each.to(torch.get_default_dtype()) for name, each in self.data.fetch(indices, randomness).items()}


class Points(DatasetConfig):
    """Forty points."""

    type: Literal["distillation-points"] = "distillation-points"

    def spec(self) -> DataSpec:
        return {"real": POINT}

    def build(self) -> Any:
        return _AnyType(TensorData({"real": Randomness(3).normal("points", (EXAMPLES, 2)) + 1}))


def register() -> None:
    """Register the components, as those of a package; a resumed run reads their types from its config."""
    registry = installed().registry
    for cls in (MakerConfig, JudgeConfig, DistillationConfig, Imitate, Points, FakeLoss):
        if (cls.kind, cls.type_name()) not in registry.classes:
            registry.add(cls, "ganframe")


def experiment(*, steps: int = 4, ema: bool = True, fsdp: bool = False, norm: bool = True, **parts: Any) -> Experiment:
    """An experiment of the game, with a checkpoint after each step."""
    register()
    given: dict[str, Any] = {
        "game": DistillationConfig(norm=norm),
        "losses": (FakeLoss(),),
        "regularizers": (Imitate(),),
        "data": Points(),
        "loggers": (),
        "checkpoint": Checkpoint(every_images=BATCH, keep=100),
    }
    settings = Train(
        total_images=steps * BATCH,
        batch_size=BATCH,
        device="cpu",
        fsdp=fsdp,
        ema=Ema(half_life_images=20) if ema else None,
    )
    return Experiment.model_validate({**given, "train": settings, **parts})


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    train(experiment(norm=False, **json.loads(Path(sys.argv[1]).read_text())), out=sys.argv[2])
