import math
from typing import Any

import pytest
import torch
from ganframe_ebgan import Autoencoder, Energy, PullingAway
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe.config import Experiment, LossConfig, TensorSpec
from ganframe.game import Contest, DiscriminatorOutput, Game, Randomness, Round, Turn, tensor
from ganframe.plugins.discovery import installed
from ganframe.training.assembly import assemble
from ganframe.training.scheduled_settings import ScheduledSettings

double = {"dtype": torch.float64}


def output(*energies: float) -> DiscriminatorOutput:
    return DiscriminatorOutput(-torch.tensor(energies, **double).requires_grad_())


def test_the_loss_by_hand():
    """Margin 2: the fakes' energies 0.5 and 3 lack 1.5 and 0."""
    loss = Energy(margin=2.0).build()
    assert loss.discriminator(output(0.1, 0.3), output(0.5, 3.0)).item() == pytest.approx(0.2 + 0.75)
    assert loss.generator(output(0.1, 0.3), output(0.5, 3.0)).item() == pytest.approx(1.75)


def test_beyond_the_margin_the_discriminator_lets_go_and_the_generator_does_not():
    logits = torch.tensor([-0.5, -3.0], **double, requires_grad=True)
    loss = Energy(margin=2.0).build()
    assert torch.autograd.grad(loss.discriminator(output(0.0), DiscriminatorOutput(logits)), logits)[0].tolist() == [
        0.5,
        0,
    ]
    assert torch.autograd.grad(loss.generator(output(0.0), DiscriminatorOutput(logits)), logits)[0].tolist() == [
        -0.5,
        -0.5,
    ]


def quantiles(mean: float, deviation: float, count: int = 200_000) -> Tensor:
    levels = (torch.arange(count, **double) + 0.5) / count
    return mean + deviation * math.sqrt(2) * torch.erfinv(2 * levels - 1)


def phi(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


@pytest.mark.parametrize(("m", "margin"), [(0.7, 1.0), (2.0, 0.3)])
def test_the_best_energies_cost_the_margin_times_the_overlap(m: float, margin: float):
    """p = N(0, 1), q = N(m, 1): energy 0 where p > q, left of m/2, and the margin elsewhere; 1 - TV = 2 Phi(-m/2)."""

    def cost(edge: float, high: float) -> float:
        sides = (DiscriminatorOutput(-high * (x > edge).double()) for x in (quantiles(0, 1), quantiles(m, 1)))
        return Energy(margin=margin).build().discriminator(*sides).item()

    best = cost(m / 2, margin)
    assert best == pytest.approx(margin * 2 * phi(-m / 2), abs=2e-5)
    for other in (cost(m / 2 + 0.1, margin), cost(m / 2, 0.9 * margin), cost(m / 2, 1.1 * margin), cost(-9.0, margin)):
        assert other > best + 1e-4


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 5))
def test_equal_distributions_cost_the_margin_at_any_energy_up_to_it(share: float, margin: float):
    same = output(share * margin)
    assert Energy(margin=margin).build().discriminator(same, same).item() == pytest.approx(margin)


def test_the_margin_follows_its_schedule():
    config = Energy(margin={"type": "linear", "start": 2.0, "end": 0.0})
    live: Any = config.build()
    schedules = ScheduledSettings([(config, live)])
    found = []
    for images in (0, 50, 100):
        schedules.apply(images, 100)
        found.append(live.discriminator(output(0.0), output(0.0)).item())
    assert found == pytest.approx([2, 1, 0])


@pytest.mark.parametrize("margin", [-0.1, math.inf, {"type": "linear", "start": 1.0, "end": -1.0}])
def test_other_margins_are_refused(margin: Any):
    with pytest.raises(ValidationError):
        Energy(margin=margin)


def test_the_loss_has_no_threshold_and_an_alias():
    assert Energy.decision_threshold is None
    assert installed().registry.find(LossConfig.kind, "ebgan") is Energy


class TwoContests(Game):
    """A generator's turn with two contests over different fakes."""

    inputs = ()
    contests = (
        Contest("discriminator", real="real", fake="fake", name="one"),
        Contest("discriminator", real="real", fake="other", name="two"),
    )
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))


class OneContest(TwoContests):
    contests = (Contest("discriminator", real="real", fake="fake"),)

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"](game_round["real"])


class SampleAsFeatures(nn.Module):
    """A discriminator whose last features are the sample itself; the first are its first column, reversed."""

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(sample.flatten(1).sum(1), features=(sample.flip(0)[:, :1], sample))


def pulled(fake: Tensor, game_type: type[Game] = OneContest, layer: int = -1, **others: Tensor) -> Tensor:
    game = game_type({})
    game.set_players({"discriminator": SampleAsFeatures(), "generator": nn.Identity()})
    batch = {"real": fake, "fake": fake, **others}
    game_round = Round(game, batch, size=len(fake), device=torch.device("cpu"), randomness=Randomness(0))
    return PullingAway(layer=layer).build().forward(game_round.in_turn(game.turns[1]))


def test_identical_fakes_give_one_whatever_their_length():
    assert pulled(torch.tensor([[3.0, -4.0]], **double).expand(5, 2)).item() == pytest.approx(1)
    assert pulled(torch.tensor([[1.0, 2.0], [2.0, 4.0], [-3.0, -6.0]], **double)).item() == pytest.approx(1)


def test_orthogonal_fakes_give_zero():
    assert pulled(3 * torch.eye(6, **double)).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("numbers", [2, 10, 100])
def test_random_fakes_give_one_over_their_dimension(numbers: int):
    draws = torch.randn((1000, numbers), generator=torch.Generator().manual_seed(0), **double)
    assert pulled(draws).item() == pytest.approx(1 / numbers, rel=0.02)


@pytest.mark.parametrize(("first", "second"), [((1.0, 0.0), (1.0, 1.0)), ((2.0, 1.0), (-1.0, 3.0))])
def test_two_fakes_give_their_squared_cosine(first: tuple[float, float], second: tuple[float, float]):
    angle = math.atan2(first[1], first[0]) - math.atan2(second[1], second[0])
    assert pulled(torch.tensor([first, second], **double)).item() == pytest.approx(math.cos(angle) ** 2)


def test_a_crowded_space_has_the_least_mean_of_the_readme():
    """N directions spread evenly over K: N/K of them along each axis."""
    many, numbers = 12, 4
    even = torch.eye(numbers, **double).repeat(many // numbers, 1)
    assert pulled(even).item() == pytest.approx((many - numbers) / (numbers * (many - 1)))


def test_feature_maps_are_flattened_and_other_layers_can_be_chosen():
    maps = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]], **double)
    assert pulled(maps).item() == pytest.approx(1 / 2)
    assert pulled(torch.tensor([[1.0, 0.0], [2.0, 5.0]], **double), layer=0).item() == pytest.approx(1)


def test_contests_add_up():
    value = pulled(torch.eye(2, **double), TwoContests, other=torch.ones(2, 2, **double))
    assert value.item() == pytest.approx(0 + 1)


def test_a_batch_of_one_and_a_code_of_zeros_have_a_finite_gradient():
    for fake in (torch.ones(1, 3, **double), torch.zeros(4, 3, **double)):
        fake.requires_grad_()
        value = pulled(fake)
        value.backward()
        assert value.item() == 0
        assert bool(fake.grad.isfinite().all())


def test_derivatives_of_the_pulling_away_term():
    draws = torch.randn((4, 3), generator=torch.Generator().manual_seed(0), **double).requires_grad_()
    assert torch.autograd.gradcheck(pulled, draws)
    assert torch.autograd.gradgradcheck(pulled, draws)


def test_features_far_out_in_low_precision():
    for dtype, size in ((torch.float32, 1e4), (torch.bfloat16, 1e3)):
        fake = (torch.eye(3, dtype=dtype) * size + size).requires_grad_()
        value = pulled(fake)
        value.backward()
        assert value.item() == pytest.approx((5 / 6) ** 2, rel=0.01)
        assert bool(fake.grad.isfinite().all())


def autoencoder(shape: Any, **settings: Any) -> nn.Module:
    torch.manual_seed(0)
    return Autoencoder(**settings).build(sample=shape)


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (3, 5, 7)])
def test_energy_is_the_mean_squared_error_of_the_reconstruction(shape: tuple[int, ...]):
    network = autoencoder(TensorSpec(shape), hidden=(16, 8), code=3)
    sample = Randomness(0).normal("sample", (4, *shape))
    found = network(sample)
    (code,) = found.features
    assert code.shape == (4, 3)
    error = (network.decode(code) - sample.flatten(1)).square().sum(1) / math.prod(shape)
    torch.testing.assert_close(found.logits, -error)
    assert bool((found.logits < 0).all())


def test_parameters_of_the_autoencoder():
    """2 x (784 x 256 + 256 x 32) weights, and biases for 256, 32, 256 and 784 units."""
    network = autoencoder(TensorSpec((1, 28, 28)))
    assert (
        sum(parameter.numel() for parameter in network.parameters())
        == 2 * (784 * 256 + 256 * 32) + 256 + 32 + 256 + 784
    )


def test_a_sample_of_several_tensors_is_reconstructed_as_one():
    network = autoencoder((TensorSpec((1, 2, 2)), TensorSpec((3,))), hidden=(), code=2)
    image, numbers = Randomness(0).normal("image", (5, 1, 2, 2)), Randomness(0).normal("numbers", (5, 3))
    alone = autoencoder(TensorSpec((7,)), hidden=(), code=2)
    joined = torch.cat([image.flatten(1), numbers], dim=1)
    torch.testing.assert_close(network((image, numbers)).logits, alone(joined).logits)


def test_a_code_as_wide_as_the_data_can_be_the_identity():
    """Without hidden layers, 1 for both matrices leaves no error."""
    network = autoencoder(TensorSpec((3,)), hidden=(), code=3)
    with torch.no_grad():
        for half in (network.encode, network.decode):
            half[0].weight.copy_(torch.eye(3))
            half[0].bias.zero_()
    assert network(torch.randn(4, 3)).logits.tolist() == [0, 0, 0, 0]


def test_the_parts_join_an_experiment():
    experiment = Experiment.model_validate(
        {
            "game": {"type": "adversarial", "generator": "mlp", "discriminator": "autoencoder"},
            "losses": ["energy"],
            "regularizers": ["pulling-away"],
            "data": "digits",
            "train": {"images": 64, "device": "cpu"},
        }
    )
    assembly = assemble(experiment)
    assert assembly.objective.decision_threshold(assembly.game.contests[0]) is None
