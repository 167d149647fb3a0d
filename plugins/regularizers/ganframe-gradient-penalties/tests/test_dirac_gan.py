"""The Dirac-GAN of Mescheder et al. 2018: reals at 0, the fake at theta, C(x) = psi x, from theta = psi = 1.

The losses, the objective, the optimizer, the penalty and the training loop are those that configs use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from ganframe import Run, RunFolder
from ganframe.config import (
    DatasetConfig,
    DataSpec,
    DiscriminatorConfig,
    Experiment,
    GameConfig,
    GeneratorConfig,
    SampleSpec,
    TensorSpec,
    Train,
)
from ganframe.data import BatchLoader, Dataset, TensorData
from ganframe.game import Contest, DiscriminatorOutput, Game, Loss, PlayerSpec, Randomness, Round, Turn, tensor
from ganframe.training.assembly import assemble
from ganframe.training.plugin_hooks import RunHooks
from ganframe.training.step import Trainer

STEPS, H = 5000, 0.1
NUMBER = TensorSpec((1,))


class Parameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(1, 1, dtype=torch.float64))


class Point(Parameter):
    def forward(self) -> Tensor:
        return self.value


class Slope(Parameter):
    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput((self.value * sample).flatten())


class PointConfig(GeneratorConfig):
    type: Literal["dirac"] = "dirac"

    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        return Point()


class SlopeConfig(DiscriminatorConfig):
    type: Literal["dirac"] = "dirac"

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        return Slope()


class Alternating(Game):
    inputs = ("real",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))
    output, pictures = "fake", ()

    def player_specs(self) -> Mapping[str, PlayerSpec]:
        return {
            "generator": PlayerSpec(PointConfig(), ("generator",), NUMBER),
            "discriminator": PlayerSpec(SlopeConfig(), ("discriminator",), NUMBER),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"]()


class Simultaneous(Alternating):
    turns = (Turn("both", ("generator", "discriminator")),)

    def score(self, loss: Loss, turn: Turn, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The loss of each side, in which the other player stands still."""
        psi: Tensor = self.players["discriminator"].value
        discriminators = DiscriminatorOutput((psi * fake.sample.detach()).flatten())
        generators = DiscriminatorOutput((psi.detach() * fake.sample).flatten())
        return loss.discriminator(real, discriminators) + loss.generator(real, generators)


class Dirac(GameConfig):
    type: Literal["dirac"] = "dirac"
    simultaneous: bool = False

    def build(self, data: DataSpec) -> Game:
        return (Simultaneous if self.simultaneous else Alternating)(data)


class Zero(DatasetConfig):
    type: Literal["dirac"] = "dirac"

    def spec(self) -> DataSpec:
        return {"real": NUMBER}

    def build(self) -> Dataset:
        return TensorData({"real": torch.zeros(1, 1, dtype=torch.float64)})


def radius_after_training(game: Dirac, folder: Path, steps: int = STEPS, **settings: Any) -> float:
    """The distance of (theta, psi) from the equilibrium at (0, 0), which is 1.41 at first."""
    sgd = {"type": "sgd", "lr": H}
    turns = ("both",) if game.simultaneous else ("generator", "discriminator")
    experiment = Experiment(
        game=game,
        losses=("minimax",),
        data=Zero(),
        optimizers=dict.fromkeys(turns, sgd),
        train=Train(images=steps, batch_size=1, device="cpu"),
        **settings,
    )
    assembly = assemble(experiment)
    run = Run(experiment, RunFolder(folder), assembly, assembly.optimizers(), None, RunHooks())
    trainer = Trainer(run, BatchLoader(experiment.data.build(), 1, Randomness(0), torch.device("cpu")))
    while not trainer.done():
        trainer.step()
    return math.hypot(*(player.value.item() for player in assembly.game.players.values()))


def by_hand(simultaneous: bool, gamma: float, steps: int = STEPS) -> float:
    """The same iteration on two numbers."""
    theta = psi = 1.0
    for _ in range(steps):
        moved = psi - H * (theta / (1 + math.exp(-theta * psi)) + gamma * psi)
        seen = psi if simultaneous else moved
        theta += H * seen / (1 + math.exp(-theta * seen))
        psi = moved
    return math.hypot(theta, psi)


@pytest.mark.parametrize(("simultaneous", "radius"), [(True, 3.49), (False, 1.40)])
def test_gradient_descent_does_not_converge(simultaneous: bool, radius: float, tmp_path: Path):
    found = radius_after_training(Dirac(simultaneous=simultaneous), tmp_path)
    assert found == pytest.approx(radius, abs=0.005)
    assert found == pytest.approx(by_hand(simultaneous, 0), rel=1e-9)


def test_r1_converges(tmp_path: Path):
    found = radius_after_training(Dirac(), tmp_path, regularizers=({"type": "r1", "weight": 1},))
    assert 0 < found < 1e-80
    assert found == pytest.approx(by_hand(False, 1), rel=1e-6)


def test_a_weaker_r1_converges_more_slowly(tmp_path: Path):
    found = radius_after_training(Dirac(), tmp_path, 500, regularizers=({"type": "r1", "weight": 0.1},))
    assert 1e-3 < found < 1
    assert found == pytest.approx(by_hand(False, 0.1, 500), rel=1e-6)
