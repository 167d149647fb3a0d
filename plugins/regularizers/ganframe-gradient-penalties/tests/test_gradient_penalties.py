import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ganframe_gradient_penalties import R1, R2
from torch import Tensor, nn

from ganframe.game import Contest, DiscriminatorOutput, Game, Randomness, Round, Turn, tensor

double = {"dtype": torch.float64}
SQUARE = torch.tensor([[2.0, 1.0], [0.0, 3.0]], **double)


class OneContest(Game):
    inputs = ()
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))


class FunctionDiscriminator(nn.Module):
    """C as a function of the sample, with a parameter."""

    def __init__(self, function: Callable[..., Tensor], parameter: Tensor | None = None) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(1, **double) if parameter is None else parameter)
        self.calls = 0

    def forward(self, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:
        self.calls += 1
        return DiscriminatorOutput(self.function(sample, self.weight))


def quadratic() -> FunctionDiscriminator:
    """C = x^T A x / 2 for a symmetric A, with the gradient A x."""
    return FunctionDiscriminator(lambda x, a: ((x @ a) * x).sum(1) / 2, SQUARE + SQUARE.T)


def round_of(discriminator: nn.Module, game_type: type[Game] = OneContest, augment: Any = None, **batch: Any) -> Round:
    first = next(iter(batch.values()))
    game = game_type({})
    game.set_players({"discriminator": discriminator, "generator": nn.Linear(1, 1)})
    size = len(first[0] if isinstance(first, tuple) else first)
    game_round = Round(game, batch, size=size, device=torch.device("cpu"), randomness=Randomness(0), augment=augment)
    return game_round.in_turn(game.turns[0], grad_wrt_sides=R1.grad_wrt_sides | R2.grad_wrt_sides)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **double)


def both(game_round: Round) -> tuple[float, float]:
    return tuple(config.build().forward(game_round).item() for config in (R1(), R2()))


def test_a_linear_discriminator_pays_half_its_squared_slope_on_both_sides():
    discriminator = FunctionDiscriminator(lambda x, w: x @ w, torch.tensor([3.0, 4.0], **double))
    assert both(round_of(discriminator, real=draws(5, 2), fake=draws(5, 2, seed=1))) == pytest.approx((12.5, 12.5))


def test_a_quadratic_discriminator_pays_by_where_the_samples_of_the_side_lie():
    real, fake = draws(5, 2), draws(5, 2, seed=1)
    symmetric = SQUARE + SQUARE.T
    expected = [(sample @ symmetric).square().sum(1).mean().item() / 2 for sample in (real, fake)]
    assert both(round_of(quadratic(), real=real, fake=fake)) == pytest.approx(expected)
    assert expected[0] != pytest.approx(expected[1])


def test_standard_normal_reals_under_half_the_squared_norm():
    """C = ||x||^2 / 2 has the gradient x, so R1 = E||x||^2 / 2 = D / 2."""
    discriminator = FunctionDiscriminator(lambda x, w: (w * x.square()).sum(1) / 2)
    real = draws(100_000, 6)
    assert both(round_of(discriminator, real=real, fake=real)) == pytest.approx((3, 3), rel=0.01)


@pytest.mark.parametrize("config", [R1(), R2()])
def test_the_gradient_reaches_the_discriminator(config: R1 | R2):
    discriminator = FunctionDiscriminator(lambda x, w: x @ w, torch.tensor([3.0, 4.0], **double))
    config.build().forward(round_of(discriminator, real=draws(5, 2), fake=draws(5, 2))).backward()
    torch.testing.assert_close(discriminator.weight.grad, torch.tensor([3.0, 4.0], **double))


def test_the_norm_is_over_all_axes_and_all_tensors_of_a_sample():
    discriminator = FunctionDiscriminator(lambda x, w: w * (2 * x[0].flatten(1).sum(1) + 3 * x[1].flatten(1).sum(1)))
    sample = (draws(2, 3, 4, 5), draws(2, 7, seed=1))
    expected = (4 * 60 + 9 * 7) / 2
    assert both(round_of(discriminator, real=sample, fake=sample)) == pytest.approx((expected, expected))


def test_patches_are_summed():
    discriminator = FunctionDiscriminator(lambda x, w: (w * x)[:, None, :, None] * torch.ones(1, 1, 1, 3, **double))
    one = draws(2, 1)
    assert both(round_of(discriminator, real=one, fake=one)) == pytest.approx((4.5, 4.5))


def test_a_flat_discriminator_pays_nothing():
    discriminator = FunctionDiscriminator(lambda x, w: w.expand(len(x)))
    assert both(round_of(discriminator, real=draws(3, 2), fake=draws(3, 2))) == (0, 0)


def test_the_penalty_reads_the_outputs_of_the_loss():
    discriminator = quadratic()
    game_round = round_of(discriminator, real=draws(3, 2), fake=draws(3, 2))
    for side in ("real", "fake"):
        game_round.discriminator_output(game_round.contests[0], side)
    both(game_round)
    assert discriminator.calls == 2


def test_augmentations_are_differentiated_through():
    discriminator = FunctionDiscriminator(lambda x, w: x @ w, torch.tensor([3.0, 4.0], **double))
    game_round = round_of(discriminator, augment=lambda _, sample, __: 2 * sample, real=draws(3, 2), fake=draws(3, 2))
    assert both(game_round) == pytest.approx((50, 50))


class SharedReal(Game):
    """The same real in two contests, and a replayed fake in the discriminator's turn."""

    inputs = ()
    contests = (
        Contest("discriminator", real="real", fake="fake", name="one"),
        Contest("discriminator", real="real", fake="other", replay="old", name="two"),
    )
    turns = (Turn("discriminator", ("discriminator",)),)


def test_contests_add_up_and_a_shared_sample_counts_once():
    discriminator = FunctionDiscriminator(lambda x, w: (w * x.square()).sum(1) / 2)
    values = {"real": 1.0, "fake": 2.0, "other": 3.0, "old": 4.0}
    batch = {name: torch.full((2, 1), value, **double) for name, value in values.items()}
    assert both(round_of(discriminator, SharedReal, **batch)) == pytest.approx((1 / 2, (4 + 16) / 2))


class WithGenerator(OneContest):
    """The fake is made by a generator."""

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"](game_round["real"])


def test_in_a_shared_round_the_generator_is_left_alone():
    game = WithGenerator({})
    discriminator = FunctionDiscriminator(lambda x, w: (w * x.square()).sum(1) / 2)
    game.set_players({"discriminator": discriminator, "generator": nn.Linear(2, 2, **double)})
    device, randomness = torch.device("cpu"), Randomness(0)
    game_round = Round(game, {"real": draws(3, 2)}, size=3, device=device, randomness=randomness, shared=True)
    with game.only_trainable(["discriminator"]):
        game_round = game_round.in_turn(game.turns[0], grad_wrt_sides=frozenset({"fake"}))
        R2().build().forward(game_round).backward()
    assert discriminator.weight.grad is not None
    assert all(parameter.grad is None for parameter in game.players["generator"].parameters())


def test_gradcheck_of_the_penalty_in_the_weights():
    """The double backward is right, to finite differences."""
    real = draws(3, 2)

    def value(weight: Tensor) -> Tensor:
        discriminator = FunctionDiscriminator(lambda x, _: torch.tanh(x @ weight).square().sum(1))
        return R1().build().forward(round_of(discriminator, real=real, fake=real))

    assert torch.autograd.gradcheck(value, draws(2, 2, seed=1).requires_grad_())


def test_weight_is_gamma():
    """With gamma = 2 and a slope of 5, gamma / 2 E||grad||^2 = 25."""
    discriminator = FunctionDiscriminator(lambda x, w: x @ w, torch.tensor([3.0, 4.0], **double))
    config = R1(weight=2.0)
    value = config.build().forward(round_of(discriminator, real=draws(3, 2), fake=draws(3, 2))).item()
    assert math.isclose(config.weight * value, 2 / 2 * 25)
