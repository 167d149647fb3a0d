"""Consistency regularization by hand."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from ganframe_consistency import Consistency
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load_config, train
from ganframe.config import AugmentationConfig, BadInput, hookimpl
from ganframe.game import Contest, DiscriminatorOutput, Game, Randomness, Round, Turn
from ganframe.training.assembly import assemble

double = {"dtype": torch.float64}


class Shift(AugmentationConfig):
    """Adds a number to each part of a sample, and uniform noise of a given size."""

    type: Literal["shift"] = "shift"
    by: float = 1.0
    noise: float = 0.0

    def build(self) -> nn.Module:
        return _Shift(self.by, self.noise)


class _Shift(nn.Module):
    def __init__(self, by: float, noise: float) -> None:
        super().__init__()
        self.by, self.noise = by, noise

    def forward(self, sample: Any, generator: torch.Generator) -> Any:
        if isinstance(sample, tuple):
            return tuple(self(part, generator) for part in sample)
        return sample + self.by + self.noise * torch.rand(sample.shape, generator=generator, dtype=sample.dtype)


class OneContest(Game):
    inputs = ()
    contests = (Contest("discriminator", real="real", fake="fake", real_condition="seen"),)
    turns = (Turn("discriminator", ("discriminator",)),)


class FunctionDiscriminator(nn.Module):
    def __init__(self, function: Any, *parameters: Tensor) -> None:
        super().__init__()
        self.function, self.values = function, nn.ParameterList(parameters)
        self.calls = 0

    def forward(self, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:
        self.calls += 1
        return DiscriminatorOutput(self.function(sample, condition, *self.values))


def round_of(
    discriminator: nn.Module, real: Any, seen: Tensor | None = None, seed: int = 0, augment: Any = None
) -> Round:
    game = OneContest({})
    game.set_players({"discriminator": discriminator})
    size = len(real[0] if isinstance(real, tuple) else real)
    batch = {"real": real, "fake": real, "seen": seen}
    game_round = Round(game, batch, size=size, device=torch.device("cpu"), randomness=Randomness(seed), augment=augment)
    return game_round.in_turn(game.turns[0])


def penalty(discriminator: nn.Module, real: Any, by: float = 1.0, noise: float = 0.0, **more: Any) -> Tensor:
    return Consistency(augmentation=Shift(by=by, noise=noise)).build().forward(round_of(discriminator, real, **more))


SQUARE = FunctionDiscriminator(lambda x, _: x.square().sum(1))


@pytest.mark.parametrize(("points", "by"), [((1.0, -2.0), 1.0), ((0.5, 3.0), -0.25)])
def test_a_quadratic_discriminator_under_a_shift(points: tuple[float, ...], by: float):
    """C = x^2 changes by 2 x s + s^2."""
    real = torch.tensor(points, **double)[:, None]
    expected = sum((2 * x * by + by**2) ** 2 for x in points) / len(points)
    assert penalty(SQUARE, real, by).item() == pytest.approx(expected)


def test_no_change_costs_nothing():
    assert penalty(SQUARE, torch.randn(4, 2), by=0.0).item() == 0


def test_all_logits_of_a_sample_count():
    patches = FunctionDiscriminator(lambda x, _: x[:, :, None, None] * torch.ones(1, 1, 2, 3, **double))
    assert penalty(patches, torch.randn(4, 1, **double), by=2.0).item() == pytest.approx(6 * 4)


def test_the_condition_is_passed_on_and_every_part_is_augmented():
    discriminator = FunctionDiscriminator(lambda x, seen: (x[0].sum(1) + 3 * x[1].sum(1)) * seen)
    real = (torch.randn(2, 1, **double), torch.randn(2, 1, **double))
    found = penalty(discriminator, real, by=1.0, seen=torch.tensor([1.0, 2.0], **double))
    assert found.item() == pytest.approx((4**2 + 8**2) / 2)


def test_the_output_for_the_real_is_the_one_that_the_loss_reads():
    discriminator = FunctionDiscriminator(lambda x, _: x.sum(1))
    game_round = round_of(discriminator, torch.randn(3, 2))
    game_round.discriminator_output(game_round.contests[0], "real")
    Consistency(augmentation=Shift()).build().forward(game_round)
    assert discriminator.calls == 2


def test_augmentations_of_the_run_come_on_top():
    discriminator = FunctionDiscriminator(lambda x, _: x.sum(1))
    assert penalty(discriminator, torch.zeros(3, 1), by=2.0, augment=lambda _, x, __: 10 * x).item() == pytest.approx(
        400
    )


def test_draws_are_those_of_the_round():
    real = torch.randn(5, 2)
    first, again, other = (penalty(SQUARE, real, noise=1.0, seed=seed).item() for seed in (0, 0, 1))
    assert first == again != other


def test_gradcheck_in_the_weights():
    real = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), **double)

    def value(weight: Tensor) -> Tensor:
        return penalty(FunctionDiscriminator(lambda x, _: torch.tanh(x @ weight).sum(1)), real)

    assert torch.autograd.gradcheck(value, torch.randn(2, 2, **double).requires_grad_())


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_logits(dtype: torch.dtype, size: float):
    for slope in (size, -size):
        discriminator = FunctionDiscriminator(lambda x, _, w: (x * w).sum(1), torch.tensor(slope, dtype=dtype))
        found = penalty(discriminator, torch.ones(2, 1, dtype=dtype))
        found.backward()
        assert bool(found.isfinite())
        assert bool(discriminator.values[0].grad.isfinite())


def test_a_nested_schedule_is_refused():
    schedule = {"type": "linear", "start": 0.1, "end": 0}
    with pytest.raises(ValidationError, match="cannot follow a schedule, but sigma does"):
        Consistency(augmentation={"type": "instance-noise", "sigma": schedule})


class Following(Shift):
    """A shift that takes part in the hooks of a run."""

    type: Literal["following"] = "following"

    def build(self) -> nn.Module:
        return _Following(self.by, self.noise)


class _Following(_Shift):
    @hookimpl
    def on_turn_end(self) -> None:
        self.by += 1


def test_a_nested_augmentation_that_follows_the_run_is_refused():
    with pytest.raises(BadInput, match="'following' adapts to the run") as problem:
        Consistency(augmentation=Following()).check(OneContest({}))
    assert problem.value.path == ("augmentation",)
    Consistency(augmentation=Shift()).check(OneContest({}))


ADAPTIVE = """
game:
  type: adversarial
  generator: {type: dcgan, channels: 2, latent: 4}
  discriminator: {type: dcgan, channels: 2}
losses: [non-saturating]
regularizers: [{type: consistency, augmentation: {type: ada}}]
data: {type: digits, examples: 20}
train: {images: 64, device: cpu}
"""


def test_ada_is_accepted_only_with_a_fixed_p(tmp_path: Path):
    """Nested, it would stay at its first p, which is 0: the penalty would always be 0."""
    file = tmp_path / "config.yaml"
    file.write_text(ADAPTIVE)
    with pytest.raises(BadInput, match="adapts to the run") as problem:
        assemble(load_config(str(file)))
    assert problem.value.path == ("regularizers", 0, "augmentation")
    assert "`adapt: false` and a `p`" in problem.value.remedy
    settings = ("regularizers.0.augmentation.adapt=false", "regularizers.0.augmentation.p=1")
    experiment = load_config(str(file), *settings)
    assemble(experiment)
    term = experiment.regularizers[0].build()
    pixels = FunctionDiscriminator(lambda x, _: x.flatten(1).square().sum(1))
    assert term.forward(round_of(pixels, torch.rand(4, 1, 8, 8))).item() > 0


def test_an_augmentation_is_required():
    with pytest.raises(ValidationError, match="augmentation"):
        Consistency()


@pytest.mark.slow
def test_the_preset_covers_every_mode(tmp_path: Path):
    folder = train(load_config("lecam-ring"), out=tmp_path / "run")
    assert '"mode-coverage/modes": 8.0' in folder.metrics.read_text().splitlines()[-1]
