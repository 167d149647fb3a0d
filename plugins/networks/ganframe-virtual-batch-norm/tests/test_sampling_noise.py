"""Noise in the later layers: its distribution, the layers it acts on, and its strength in the state."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_virtual_batch_norm import SamplingNoise
from ganframe_virtual_batch_norm.noise import Noisy
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load, load_config, train
from ganframe.config import BadInput, TensorSpec
from ganframe.testing.fakes import FakeGenerator


class Layers(nn.Module):
    """Three layers that return their input."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.latent_shape = (size,)
        self.layers = nn.Sequential(*(nn.Linear(size, size, bias=False) for _ in range(3)))
        for layer in self.layers:
            nn.init.eye_(layer.weight)

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


def generated(dropout: float, sigma: float, layers: int, size: int = 100) -> Tensor:
    torch.manual_seed(0)
    return Noisy(Layers(size), layers, dropout, sigma).eval()(torch.ones(200, size))


@pytest.mark.parametrize(("dropout", "layers"), [(0.5, 1), (0.2, 2)])
def test_dropout_by_binomial_counts_in_evaluation(dropout: float, layers: int):
    found = generated(dropout, 0.0, layers)
    kept = (1 - dropout) ** layers
    assert found.unique().tolist() == pytest.approx([0, 1 / kept])
    assert (found > 0).float().mean().item() == pytest.approx(kept, abs=0.01)
    assert found.mean().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("sigma", "layers"), [(0.3, 1), (2.0, 3)])
def test_noise_adds_its_variance_at_each_layer(sigma: float, layers: int):
    found = generated(0.0, sigma, layers)
    assert found.mean().item() == pytest.approx(1, abs=0.05)
    assert found.var().item() == pytest.approx(layers * sigma**2, rel=0.03)


def test_without_either_the_generator_does_not_change():
    assert torch.equal(generated(0.0, 0.0, 3), torch.ones(200, 100))


def test_only_the_last_layers_get_noise():
    network, seen = Layers(4), {}
    Noisy(network, 1, 0.0, 1.0)
    for index, layer in enumerate(network.layers):
        layer.register_forward_hook(lambda _, inputs, __, index=index: seen.__setitem__(index, inputs[0]))
    network(torch.ones(3, 4))
    assert torch.equal(seen[1], torch.ones(3, 4))
    assert not torch.equal(seen[2], torch.ones(3, 4))


def test_draws_follow_the_global_seed():
    assert torch.equal(generated(0.3, 0.2, 2), generated(0.3, 0.2, 2))
    network = Noisy(Layers(10), 1, 0.5, 0.0)
    assert not torch.equal(network(torch.ones(5, 10)), network(torch.ones(5, 10)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtype_is_kept_and_the_gradient_passes(dtype: torch.dtype):
    latent = torch.full((2, 10), 1e3, dtype=dtype, requires_grad=True)
    found = Noisy(Layers(10), 2, 0.5, 1.0).to(dtype)(latent)
    found.sum().backward()
    assert found.dtype == dtype
    assert bool(latent.grad.isfinite().all())
    assert bool(latent.grad.any())


def test_the_gradient_agrees_with_finite_differences():
    network = Noisy(Layers(3), 2, 0.5, 1.0).double()

    def value(latent: Tensor) -> Tensor:
        torch.manual_seed(0)
        return network(latent).square()

    latent = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(value, latent)


@pytest.mark.parametrize("settings", [(), ("train.ema={half_life_images: 16}",)])
def test_the_strength_follows_a_schedule_and_is_saved(settings: tuple[str, ...], tmp_path: Path):
    """The dropout falls from 0.8 over 64 images; a generator that was trained for 32 samples with the half."""
    file = tmp_path / "config.yaml"
    file.write_text("""
game:
  type: adversarial
  generator:
    type: sampling-noise
    of: {type: mlp, latent: 4, hidden: [8], output: linear}
    dropout: {type: linear, start: 0.8, end: 0, duration_images: 64}
    sigma: 0.1
  discriminator: {type: mlp, hidden: [8]}
losses: [non-saturating]
data: {type: ring, samples: 100}
train: {images: 32, batch_size: 8, device: cpu}
""")
    trained = load(train(load_config(str(file), *settings), out=tmp_path / "run").path, device="cpu")
    generator = trained.game.players["generator"]
    assert generator.dropout == pytest.approx(0.4)
    assert generator.sigma == pytest.approx(0.1)


def test_more_layers_than_the_generator_has_are_refused():
    with pytest.raises(BadInput, match="has 1 linear or convolution layers, fewer than 2") as problem:
        SamplingNoise(of=FakeGenerator()).build(output=TensorSpec((5,)))
    assert problem.value.path == ("layers",)


@pytest.mark.parametrize("settings", [{"dropout": 1.0}, {"dropout": -0.1}, {"sigma": -1}, {"layers": 0}])
def test_invalid_settings_are_refused(settings: Any):
    with pytest.raises(ValidationError):
        SamplingNoise(of=FakeGenerator(), **settings)
