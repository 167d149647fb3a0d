import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ganframe_wasserstein import WGANGP, Wasserstein
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ganframe.game import Contest, DiscriminatorOutput, Game, Randomness, Round, Turn

LOSS, PENALTY = Wasserstein().build(), WGANGP().build()
double = {"dtype": torch.float64}


class OneContest(Game):
    inputs = ()
    contests = (Contest("critic", real="real", fake="fake", real_condition="seen", fake_condition="seen"),)
    turns = (Turn("critic", ("critic",)),)


class Critic(nn.Module):
    """C(sample, condition) as a function, with its parameters."""

    def __init__(self, function: Callable[..., Tensor], *parameters: Tensor) -> None:
        super().__init__()
        self.function = function
        self.values = nn.ParameterList(parameters)

    def forward(self, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.function(sample, condition, *self.values))


def linear(slope: list[float]) -> Critic:
    return Critic(lambda x, _, w: x.flatten(1) @ w, torch.tensor(slope, **double))


def round_of(critic: nn.Module, real: Any, fake: Any, condition: Tensor | None = None, seed: int = 0) -> Round:
    size = len(real[0] if isinstance(real, tuple) else real)
    batch = {"real": real, "fake": fake, "seen": condition}
    game = OneContest({})
    game.set_players({"critic": critic})
    game_round = Round(game, batch, size=size, device=torch.device("cpu"), randomness=Randomness(seed))
    return game_round.in_turn(game.turns[0])


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **double)


def penalty(critic: nn.Module, real: Any, fake: Any, condition: Tensor | None = None) -> float:
    return PENALTY.forward(round_of(critic, real, fake, condition)).item()


def test_the_loss_is_the_difference_of_means():
    real, fake = (DiscriminatorOutput(torch.tensor(logits, requires_grad=True)) for logits in ([3.0, 5.0], [1.0, -2.0]))
    value = LOSS.discriminator(real, fake)
    value.backward()
    assert value.item() == -0.5 - 4
    assert real.logits.grad.tolist() == [-0.5, -0.5]
    assert fake.logits.grad.tolist() == [0.5, 0.5]
    assert LOSS.generator(real, fake).item() == 0.5


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_a_linear_critic_is_penalised_by_its_slope_alone(slope: list[float]):
    found = penalty(linear(slope), draws(4, 3), draws(4, 3, seed=1))
    assert found == pytest.approx((math.hypot(*slope) - 1) ** 2, abs=1e-12)


def test_zero_at_unit_norm():
    assert penalty(linear([0.6, 0.0, -0.8]), draws(4, 3), draws(4, 3, seed=1)) == pytest.approx(0, abs=1e-28)


def test_a_critic_without_any_slope_has_a_finite_gradient():
    critic = linear([0.0, 0.0])
    value = PENALTY.forward(round_of(critic, draws(4, 2), draws(4, 2)))
    value.backward()
    assert value.item() == 1
    assert bool(critic.values[0].grad.isfinite().all())


def test_the_gradient_reaches_the_critic():
    critic = linear([3.0, 4.0])
    PENALTY.forward(round_of(critic, draws(4, 2), draws(4, 2))).backward()
    torch.testing.assert_close(critic.values[0].grad, torch.tensor([2 * 4 * 0.6, 2 * 4 * 0.8], **double))


def test_the_gradient_reaches_the_samples_that_have_a_graph():
    """To finite differences; a game that looks ahead differentiates the penalty by the fakes."""
    weight = draws(2, 2, seed=2)
    critic = Critic(lambda x, _: torch.tanh(x @ weight).square().sum(1))
    sides = tuple(draws(3, 2, seed=seed).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda *sides: PENALTY.forward(round_of(critic, *sides)), sides)


def test_the_norm_is_over_all_axes_but_the_batch():
    critic = Critic(lambda x, _: 0.5 * x.flatten(1).sum(1))
    image = draws(2, 3, 4, 5)
    assert penalty(critic, image, image) == pytest.approx((0.5 * math.sqrt(60) - 1) ** 2)


def test_the_norm_is_over_all_tensors_of_a_sample():
    critic = Critic(lambda x, _: 3 * x[0].flatten(1).sum(1) + 4 * x[1].flatten(1).sum(1))
    sample = (draws(2, 1), draws(2, 1, seed=1))
    assert penalty(critic, sample, sample) == pytest.approx((5 - 1) ** 2)


def test_patches_count_by_their_mean():
    critic = Critic(lambda x, _: 2 * x[:, None, :, None] * torch.ones(1, 1, 1, 3, **double))
    one = draws(2, 1)
    assert penalty(critic, one, one) == pytest.approx((2 - 1) ** 2)


def test_interpolates_have_the_condition_of_the_real_side():
    critic = Critic(lambda x, condition: (x * condition).sum(1))
    seen = torch.tensor([[3.0, 4.0], [0.0, 1.0]], **double)
    assert penalty(critic, draws(2, 2), draws(2, 2, seed=1), seen) == pytest.approx((4**2 + 0) / 2)


def test_interpolates_are_uniform_on_the_segment():
    """C = x^2 / 2 has the gradient x: on [0, t] the penalty is E(e t - 1)^2 = t^2 / 3 - t + 1."""
    critic, t = Critic(lambda x, _: x.square().sum(1) / 2), 3.0
    real, fake = torch.full((100_000, 1), t, **double), torch.zeros(100_000, 1, **double)
    assert penalty(critic, real, fake) == pytest.approx(t**2 / 3 - t + 1, rel=0.02)


def test_every_example_has_a_draw_of_its_own_and_rounds_differ():
    points: list[Tensor] = []
    critic = Critic(lambda x, _: points.append(x.detach()) or x.square().sum(1))
    for seed in (0, 0, 1):
        PENALTY.forward(round_of(critic, torch.ones(50, 1), torch.zeros(50, 1), seed=seed))
    first, again, other = points[2::3]
    assert len(first.unique()) == 50
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_usual_weight():
    assert WGANGP().weight == 10


def trained(critic: nn.Module, real: Tensor, fake: Tensor, weight: float, steps: int, lr: float) -> float:
    """The critic's estimate of W1 after training on all of both sets."""
    optimizer = torch.optim.Adam(critic.parameters(), lr=lr, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        shuffled = fake[torch.randperm(len(fake), generator=torch.Generator().manual_seed(step))]
        game_round = round_of(critic, real, shuffled, seed=step)
        contest = game_round.contests[0]
        value = LOSS.discriminator(
            game_round.discriminator_output(contest, "real"), game_round.discriminator_output(contest, "fake")
        )
        optimizer.zero_grad()
        (value + weight * PENALTY.forward(game_round)).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return (critic(real).logits.mean() - critic(fake).logits.mean()).item()


@pytest.mark.parametrize("theta", [0.5, 2.0])
def test_point_masses_are_their_distance_apart(theta: float):
    """W1 = theta; the penalty lets the slope exceed 1 by theta / (2 weight), as the README says."""
    weight = 10.0
    real, fake = torch.full((4, 1), theta, **double), torch.zeros(4, 1, **double)
    estimate = trained(linear([0.1]), real, fake, weight, steps=400, lr=0.05)
    assert estimate == pytest.approx(theta + theta**2 / (2 * weight), rel=1e-4)


def test_a_critic_measures_how_far_two_gaussians_lie_apart():
    """W1(N(0, I), N(m, I)) = ||m||, and that of two sets which differ by a shift is exactly the shift.

    In the plane, because on the line a critic that starts with the wrong sign is caught at the slope -1 by the penalty.
    """
    m = torch.tensor([0.5, 0.3])
    points = draws(512, 2).float()
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(2, 32), nn.Softplus(), nn.Linear(32, 32), nn.Softplus(), nn.Linear(32, 1))
    critic = Critic(lambda x, _: layers(x).squeeze(1))
    critic.layers = layers
    estimate = trained(critic, points + m, points, weight=10.0, steps=400, lr=5e-3)
    between = (points + m * torch.linspace(0, 1, 512)[:, None]).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).logits.sum(), between)
    assert estimate == pytest.approx(m.norm().item(), rel=0.05)
    assert slope.norm(dim=1).mean().item() == pytest.approx(1, abs=0.05)
