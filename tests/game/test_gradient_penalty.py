"""Gradient penalties, sums over contests and latents, with slopes worked out by hand."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from ganframe.config.networks import GeneratorConfig
from ganframe.config.tensor_specs import TensorSpec
from ganframe.errors import BadInput
from ganframe.game.contest import Contest
from ganframe.game.contest_regularizer import ContestRegularizer
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.gradient_penalty import GradientPenalty
from ganframe.game.latents import draw_latents
from ganframe.game.player_spec import PlayerSpec
from ganframe.randomness import Randomness

CPU = torch.device("cpu")


class Judge(nn.Module):
    """Returns two patches for each sample: `weight * x * x` and three times that, times the condition if there is one.

    Of a sample with two parts it reads the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:
        self.parts = len(sample) if isinstance(sample, tuple) else 1
        first = sample[0] if isinstance(sample, tuple) else sample
        logits = self.weight * first.square().sum(1) * (1 if condition is None else condition)
        return DiscriminatorOutput(torch.stack([logits, 3 * logits], 1).view(len(logits), 1, 1, 2))


class Opened:
    """As much of a round as a penalty reads."""

    def __init__(self, sides: dict[tuple[str, str], DiscriminatorOutput], *contests: Contest) -> None:
        self.sides, self.contests, self.size, self.device = sides, contests, 2, CPU
        self.randomness = Randomness(0)
        self.game: Any = None
        self.judge = Judge()

    def deferred_output(self, contest: Contest, side: str) -> DiscriminatorOutput:
        return self.sides[contest.name, side]

    def discriminate(self, discriminator: str, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:
        assert discriminator == "judge"
        return self.judge(sample, condition)


class OnReals(GradientPenalty):
    """The squared norm of the gradient at the real samples."""

    def points(self, real: DiscriminatorOutput, fake: Any, game_round: Any, contest: Contest) -> tuple[Tensor, ...]:
        return tuple(part.detach().clone() for part in real.parts)

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        self.parts = len(gradients)
        return torch.stack([gradient.square().sum(1) for gradient in gradients]).sum(0)


CONTEST = Contest("judge", real="real", fake="fake")
REAL, FAKE = torch.tensor([[1.0], [2.0]]), torch.tensor([[5.0], [6.0]])


def side(sample: Any, condition: list[float] | None = None) -> DiscriminatorOutput:
    return DiscriminatorOutput(
        torch.zeros(2), sample=sample, condition=None if condition is None else torch.tensor(condition)
    )


def penalised(real: DiscriminatorOutput, fake: DiscriminatorOutput) -> tuple[OnReals, Opened, Tensor]:
    opened: Any = Opened({("judge", "real"): real, ("judge", "fake"): fake}, CONTEST)
    penalty = OnReals()
    return penalty, opened, penalty(opened)


def test_a_penalty_is_the_mean_over_samples_of_a_function_of_the_slope_of_their_mean_logit() -> None:
    _, opened, value = penalised(side(REAL), side(FAKE))
    # The mean of w x x and 3 w x x has the slope 4 w x.
    assert value.item() == ((4 * 2 * 1) ** 2 + (4 * 2 * 2) ** 2) / 2
    (slope,) = torch.autograd.grad(value, opened.judge.weight)
    assert slope.item() == 2 * value.item() / 2  # it goes with the square of w


def test_points_have_the_condition_of_the_real_side() -> None:
    _, _, value = penalised(side(REAL, [1.0, 0.5]), side(FAKE, [7.0, 7.0]))
    assert value.item() == (8.0**2 + 8.0**2) / 2


def test_each_part_of_a_sample_has_a_gradient_though_it_is_not_read() -> None:
    penalty, opened, value = penalised(side((REAL, REAL)), side((FAKE, FAKE)))
    assert penalty.parts == opened.judge.parts == 2
    assert value.item() == (8.0**2 + 16.0**2) / 2


class Named(ContestRegularizer):
    """As much as its contest says."""

    def penalty(self, game_round: Any, contest: Contest) -> Tensor:
        return torch.tensor(contest.weight)


def test_penalties_are_summed_over_the_contests_of_the_turn() -> None:
    contests = [Contest("judge", real="real", fake="fake", weight=weight) for weight in (1.0, 2.0, 4.0)]
    opened: Any = Opened({}, *contests[:2])
    opened.game = Opened({}, *contests)
    assert Named()(opened).item() == 3
    opened.contests, opened.device = (), torch.device("meta")
    assert Named()(opened).device.type == "meta"


class Zeros:
    """Draws zeros, on any device."""

    def normal(self, purpose: str, shape: tuple[int, ...], device: torch.device = CPU) -> Tensor:
        return torch.zeros(shape, device=device)

    uniform = normal


class WithNoise(GeneratorConfig):
    type: Literal["with-noise"] = "with-noise"

    def latent_specs(self) -> dict[str, TensorSpec]:
        return {"latent": TensorSpec((3,)), "noise": TensorSpec((5,))}


class Silent(GeneratorConfig):
    type: Literal["silent"] = "silent"


def test_latents_are_of_the_shape_of_their_generator() -> None:
    opened: Any = Opened({})
    opened.game = Opened({})
    opened.game.players = {name: nn.Identity() for name in ("generator", "second", "third")}
    for name, shape in (("generator", (3,)), ("second", (2, 4))):
        opened.game.players[name].latent_shape = shape
    assert torch.equal(draw_latents(opened), Randomness(0).normal("latent", (2, 3)))
    assert torch.equal(draw_latents(opened, "second"), Randomness(0).normal("latent", (2, 2, 4)))
    uniform = draw_latents(opened, "second", "uniform")
    assert torch.equal(uniform, Randomness(0).uniform("latent", (2, 2, 4)) * 2 - 1)
    sample = TensorSpec((2,))
    opened.game.player_specs = lambda: {
        "second": PlayerSpec(WithNoise(), (), sample),
        "third": PlayerSpec(Silent(), (), sample),
    }
    assert torch.equal(draw_latents(opened, "second", name="noise"), Randomness(0).normal("noise", (2, 5)))
    with pytest.raises(BadInput, match="'third' starts from a latent, but has no `latent_shape`"):
        draw_latents(opened, "third")
    opened.device, opened.randomness = torch.device("meta"), Zeros()
    assert {draw_latents(opened, prior=prior).device.type for prior in ("normal", "uniform")} == {"meta"}
