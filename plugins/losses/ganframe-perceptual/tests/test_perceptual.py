"""The distance of activations, and who gets its gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import pytest
import torch
from ganframe_perceptual import VGG, Perceptual, RandomConvolutions
from ganframe_perceptual.distance import ActivationDistance
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe.config import BadInput, EncoderConfig
from ganframe.testing.fakes import FakeGame, make_round, random_batch, with_built_players

DOUBLE = {"dtype": torch.float64}


class Multiples(nn.Module):
    """An encoder whose activations are the sample times 1, and the means of its rows times 10."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(10.0, **DOUBLE), requires_grad=False)

    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        return sample, self.factor * sample.mean(-1)


def term(encoder: nn.Module, **settings: Any) -> ActivationDistance:
    return ActivationDistance(Perceptual(encoder=RandomConvolutions(), **settings), encoder)


def value(live: ActivationDistance, fake: Tensor, target: Tensor) -> Tensor:
    return live(cast(Any, {"fake": fake, "target": target}))


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), **DOUBLE) * 2 - 1


FAKE = torch.tensor([[[[1.0, 2.0], [0.0, -1.0]]]], **DOUBLE)
TARGET = torch.tensor([[[[0.0, 0.0], [0.5, -0.5]]]], **DOUBLE)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Differences 1, 2, -0.5, -0.5, and of ten times the rows' means 15 and -5.
        ({}, (1 + 4 + 0.25 + 0.25) / 4 + (225 + 25) / 2),
        ({"distance": "absolute"}, 4 / 4 + (15 + 5) / 2),
        ({"layer_weights": (2, 0.1)}, 2 * 5.5 / 4 + 0.1 * 125),
        ({"layer_weights": (0, 1), "distance": "absolute"}, 10),
    ],
)
def test_the_distance_by_hand(settings: dict[str, Any], expected: float):
    assert value(term(Multiples(), **settings), FAKE, TARGET).item() == pytest.approx(expected)


def test_it_is_a_mean_over_the_batch():
    both = value(term(Multiples()), torch.cat([FAKE, TARGET]), torch.cat([TARGET, TARGET]))
    assert both.item() == pytest.approx(value(term(Multiples()), FAKE, TARGET).item() / 2)


def test_it_reads_the_tensors_that_it_is_told():
    config = Perceptual(encoder=RandomConvolutions(), prediction="fake_b", target="real_b")
    assert config.tensors() == ("fake_b", "real_b")
    assert Perceptual(encoder=RandomConvolutions()).tensors() == ("fake", "target")


@pytest.mark.parametrize("distance", ["squared", "absolute"])
def test_gradients_agree_with_finite_differences(distance: Any):
    encoder = RandomConvolutions(channels=(4, 6)).build().double()
    live = term(encoder, distance=distance)
    inputs = tuple(images(1, 3, 5, 6, seed=seed).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: value(live, a, b), inputs)


def test_the_gradient_goes_to_the_prediction_and_never_to_the_encoder():
    game = with_built_players(FakeGame(("fake", "target")))
    live = Perceptual(encoder=RandomConvolutions()).build()
    batch = random_batch(game.data)
    batch["fake"].requires_grad_()
    live.forward(make_round(game, batch, game.turns[1])).backward()
    assert bool(batch["fake"].grad.any())
    assert batch["target"].grad is None
    assert all(p.grad is None and not p.requires_grad for p in cast(nn.Module, live).parameters())


def test_a_step_down_the_gradient_brings_the_activations_closer():
    live = Perceptual(encoder=RandomConvolutions()).build()
    fake, target = images(2, 3, 16, 16).float().requires_grad_(), images(2, 3, 16, 16, seed=1).float()
    first = value(cast(Any, live), fake, target)
    first.backward()
    assert value(cast(Any, live), (fake - 5 * fake.grad).detach(), target) < first


def test_the_encoder_is_not_part_of_the_state_but_moves_along():
    live = cast(nn.Module, Perceptual(encoder=RandomConvolutions()).build())
    assert dict(live.state_dict()) == {}
    assert len(list(live.parameters())) == 3
    live.to(torch.float64)
    assert all(parameter.dtype == torch.float64 for parameter in live.parameters())


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_large_values_stay_finite(dtype: torch.dtype, size: float):
    live = cast(Any, Perceptual(encoder=RandomConvolutions()).build()).to(dtype)
    fake = (images(2, 3, 16, 16).sign() * size).to(dtype).requires_grad_()
    found = value(live, fake, images(2, 3, 16, 16, seed=1).to(dtype))
    found.backward()
    assert bool(found.isfinite())
    assert bool(fake.grad.isfinite().all())


def test_tensors_of_other_shapes_are_refused():
    with pytest.raises(BadInput, match=r"'fake' and 'target' cannot be compared: their shapes are \(1, 1, 2, 2\) and"):
        value(term(Multiples()), FAKE, images(1, 3, 2, 2))


def test_weights_for_other_layers_are_refused():
    with pytest.raises(BadInput, match="3 layer weights for the 2 activations"):
        value(term(Multiples(), layer_weights=(1, 1, 1)), FAKE, TARGET)


def test_the_place_of_a_broken_encoder_is_named(tmp_path: Path):
    with pytest.raises(BadInput, match=r"encoder\.file: there is no file"):
        Perceptual(encoder=VGG(file=tmp_path / "none.safetensors")).build()


class NoGradients(RandomConvolutions):
    """An encoder through which no gradients flow."""

    type: Literal["no-gradients"] = "no-gradients"
    differentiable = False


def test_an_encoder_without_gradients_is_refused():
    with pytest.raises(BadInput, match=r"encoder: no loss can use the encoder 'no-gradients'.*\n  Use it in metrics"):
        Perceptual(encoder=NoGradients()).build()


def test_the_same_seed_gives_the_same_network_whatever_was_drawn_before():
    sample = images(2, 3, 8, 8).float()
    torch.manual_seed(0)
    first = RandomConvolutions(seed=3).build()(sample)
    torch.manual_seed(1)
    again, other = RandomConvolutions(seed=3).build()(sample), RandomConvolutions(seed=4).build()(sample)
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


def test_random_convolutions_halve_the_sides_and_keep_the_size_of_activations():
    """Of N(0, 1), 27 weights of N(0, 2 / 27) make N(0, 2), of whose square the ReLU leaves half: 1, but for edges."""
    torch.manual_seed(0)
    found = RandomConvolutions(channels=(64, 64)).build()(torch.randn(8, 3, 33, 20))
    assert [tuple(activation.shape[1:]) for activation in found] == [(64, 33, 20), (64, 17, 10)]
    assert found[0].square().mean().item() == pytest.approx(1, rel=0.3)


def test_random_convolutions_by_hand():
    """One pixel: only the middle of each kernel is seen."""
    network: Any = RandomConvolutions(channels=(4,)).build()
    pixel = torch.tensor([0.3, -0.5, 0.8]).reshape(1, 3, 1, 1)
    expected = (network.layers[0].weight[:, :, 1, 1] @ pixel.flatten()).clamp(min=0)
    torch.testing.assert_close(network(pixel)[0].flatten(), expected)


def test_grey_images_are_seen_as_three_equal_channels():
    encoder = RandomConvolutions().build()
    grey = images(2, 1, 8, 8).float()
    assert all(map(torch.equal, encoder(grey), encoder(grey.repeat(1, 3, 1, 1))))


@pytest.mark.parametrize("shape", [(2, 8), (2, 4, 8, 8)])
def test_samples_that_are_not_colour_images_are_refused(shape: tuple[int, ...]):
    with pytest.raises(BadInput, match="sees images with 1 or 3 channels"):
        RandomConvolutions().build()(torch.zeros(shape))


def test_invalid_settings_are_refused():
    for config, settings in (
        (Perceptual, {}),
        (Perceptual, {"encoder": RandomConvolutions(), "layer_weights": (-1,)}),
        (Perceptual, {"encoder": RandomConvolutions(), "distance": "cosine"}),
        (RandomConvolutions, {"channels": ()}),
        (RandomConvolutions, {"channels": (0,)}),
    ):
        with pytest.raises(ValidationError):
            cast("type[EncoderConfig]", config)(**settings)
