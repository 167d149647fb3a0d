"""Spectral normalisation against singular values, and its state after a resume."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_spectral_norm import SpectralNormDiscriminator, SpectralNormGenerator
from ganframe_spectral_norm.normalise import normalise
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load, load_config, train
from ganframe.config import BadInput, TensorSpec
from ganframe.evaluation.export import export
from ganframe.testing.fakes import FakeDiscriminator, FakeGenerator
from ganframe.testing.runs import train_whole_and_resumed

CONFIG = """
game:
  type: adversarial
  generator: {type: spectral-norm, of: {type: mlp, latent: 2, hidden: [8], output: linear}}
  discriminator: {type: spectral-norm, of: {type: mlp, hidden: [16]}, power_iterations: 2}
losses: [hinge]
regularizers: [{type: r1, weight: 0.1}]
data: {type: ring, samples: 200}
train: {images: 96, batch_size: 8, device: cpu, ema: {half_life_images: 20}}
checkpoint: {every_images: 8}
"""

AVERAGED = """
game:
  type: adversarial
  generator: {type: spectral-norm, of: {type: mlp, latent: 16, hidden: [32, 32], output: linear}}
  discriminator: {type: spectral-norm, of: {type: mlp, hidden: [16]}}
losses: [hinge]
data: {type: ring, samples: 500}
optimizers:
  discriminator: {type: adam, lr: 4.0e-3, betas: [0, 0.9]}
  generator: {type: adam, lr: 1.0e-3, betas: [0, 0.9]}
train: {images: 9600, batch_size: 32, device: cpu, precision: fp32, ema: {half_life_images: 3200}}
"""


def matrix(weight: Tensor, transposed: bool = False) -> Tensor:
    """Return the weight with a row for each output channel."""
    weight = weight.transpose(0, 1) if transposed else weight
    return weight.reshape(len(weight), -1)


def iterated(layer: nn.Module, count: int = 200) -> Tensor:
    normalise(layer, power_iterations=1)
    for _ in range(count):
        weight: Tensor = layer.weight
    return weight.detach()


LAYERS = [
    (lambda: nn.Conv2d(3, 64, 4), False),
    (lambda: nn.Linear(37, 11), False),
    (lambda: nn.Conv1d(5, 6, 7), False),
    (lambda: nn.ConvTranspose2d(8, 5, 4), True),
    (lambda: nn.Embedding(10, 6), False),
]


@pytest.mark.parametrize(("make", "transposed"), LAYERS)
def test_the_largest_singular_value_becomes_1(make: Any, transposed: bool):
    torch.manual_seed(0)
    layer = make()
    before = torch.linalg.svdvals(matrix(layer.weight.detach(), transposed))
    after = torch.linalg.svdvals(matrix(iterated(layer), transposed))
    assert before[0].item() != pytest.approx(1, abs=0.05)
    assert after[0].item() == pytest.approx(1, abs=5e-5)
    torch.testing.assert_close(after, before / before[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (lambda: nn.Conv2d(3, 64, 4), (64, 3 * 4 * 4)),
        (lambda: nn.ConvTranspose2d(8, 5, 4), (5, 8 * 4 * 4)),
        (lambda: nn.Linear(37, 11), (11, 37)),
    ],
)
def test_the_matrix_of_a_layer_has_a_row_for_each_output_channel(make: Any, sizes: tuple[int, int]):
    """The vectors of the power iteration are as long as the matrix is high and wide."""
    assert tuple(vector.numel() for vector in normalise(make(), 1).buffers()) == sizes


def test_the_gradient_is_that_of_the_weight_over_its_singular_value():
    """With converged vectors it is what autograd finds through the largest singular value itself."""
    torch.manual_seed(0)
    layer, direction = nn.Linear(6, 4, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    exact = layer.weight.detach().clone().requires_grad_()
    (exact / torch.linalg.matrix_norm(exact, 2) * direction).sum().backward()
    iterated(layer, 500)
    (layer.weight * direction).sum().backward()
    torch.testing.assert_close(layer.parametrizations.weight.original.grad, exact.grad, rtol=1e-6, atol=1e-8)


def test_every_layer_of_a_player_is_normalised_and_biases_are_not():
    torch.manual_seed(0)
    config = SpectralNormDiscriminator(of=FakeDiscriminator(), power_iterations=100)
    network = config.build(sample=TensorSpec((5,)), condition=TensorSpec((), classes=4))
    layers = [module for module in network.modules() if isinstance(module, (nn.Linear, nn.Embedding))]
    assert len(layers) == 4
    assert all(torch.linalg.svdvals(layer.weight)[0].item() == pytest.approx(1, abs=1e-3) for layer in layers)
    assert not hasattr(network.trunk.parametrizations, "bias")


def test_the_generator_keeps_its_latent():
    network = SpectralNormGenerator(of=FakeGenerator()).build(output=TensorSpec((5,)))
    assert network.latent_shape == (3,)
    assert network(torch.zeros(2, 3)).shape == (2, 5)


def test_forward_passes_iterate_in_training_and_change_no_state_in_evaluation():
    torch.manual_seed(0)
    network = SpectralNormDiscriminator(of=FakeDiscriminator()).build(sample=TensorSpec((5,)))
    sample = torch.randn(3, 5)

    def changed() -> bool:
        before = [buffer.clone() for buffer in network.buffers()]
        network(sample)
        return not all(map(torch.equal, before, network.buffers()))

    network.trunk.parametrizations.weight.original.data.add_(torch.randn(8, 5))
    assert changed()
    network.eval()
    assert not changed()


@pytest.mark.parametrize(("make", "transposed"), LAYERS)
def test_evaluation_finds_the_singular_value_of_a_weight_with_vectors_of_another(make: Any, transposed: bool):
    torch.manual_seed(0)
    layer = normalise(make(), 1).eval()
    nn.init.normal_(layer.parametrizations.weight.original)
    found = torch.linalg.matrix_norm(matrix(layer.weight.detach(), transposed), 2)
    assert found.item() == pytest.approx(1, abs=0.003)


def test_the_gradient_in_evaluation_is_that_through_the_singular_value():
    torch.manual_seed(0)
    layer, direction = normalise(nn.Linear(6, 4, dtype=torch.float64), 1).eval(), torch.randn(4, 6, dtype=torch.float64)
    weight = layer.parametrizations.weight.original
    nn.init.normal_(weight)
    exact = weight.detach().clone().requires_grad_()
    (exact / torch.linalg.matrix_norm(exact, 2) * direction).sum().backward()
    (layer.weight * direction).sum().backward()
    torch.testing.assert_close(weight.grad, exact.grad)


def test_averaged_weights_have_the_singular_value_1(tmp_path: Path):
    """Averages of the rotating vectors would be far too short, and the singular values far above 1."""
    file = tmp_path / "config.yaml"
    file.write_text(AVERAGED)
    trained = load(train(load_config(str(file)), out=tmp_path / "run").path, device="cpu")
    generator = trained.game.players["generator"]
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    trained.sample(10)
    assert all(torch.equal(tensor, generator.state_dict()[name]) for name, tensor in before.items())
    for layer in (module for module in generator.modules() if isinstance(module, nn.Linear)):
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.01)
        norms = [vector.norm().item() for vector in layer.buffers()]
        assert norms == pytest.approx([1, 1], abs=1e-5)


def test_an_exported_generator_samples_as_the_averaged_one(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    trained = load(train(load_config(str(file)), out=tmp_path / "run").path, device="cpu")
    export(trained, "generator", tmp_path / "generator.pt2")
    latent = torch.randn(7, 2)
    found = torch.export.load(tmp_path / "generator.pt2").module()(latent)
    torch.testing.assert_close(found, trained.game.players["generator"](latent))


def test_a_gradient_penalty_differentiates_through_it():
    """In eval mode, where the vectors of the power iteration are constant, first and second derivatives are exact."""
    torch.manual_seed(0)
    network = SpectralNormDiscriminator(of=FakeDiscriminator()).build(sample=TensorSpec((2,))).double().eval()
    names = [name for name, _ in network.named_parameters() if "judge" in name or "trunk" in name]
    values = tuple(network.get_parameter(name).detach().clone().requires_grad_() for name in names)
    sample = torch.randn(3, 2, dtype=torch.float64).requires_grad_()

    def penalty(*parameters: Tensor) -> Tensor:
        output = torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), (sample,))
        (gradient,) = torch.autograd.grad(output.logits.sum(), sample, create_graph=True)
        return gradient.square().sum()

    assert torch.autograd.gradcheck(penalty, values)


def test_autocast_does_not_change_the_weight():
    torch.manual_seed(0)
    layer = normalise(nn.Linear(40, 30), 1).eval()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.weight
    assert torch.equal(found, layer.weight)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_weights(dtype: torch.dtype, size: float):
    for value in (size, -size):
        layer = nn.Linear(4, 3, dtype=dtype)
        nn.init.constant_(layer.weight, value)
        normalise(layer, 1)
        layer.weight.sum().backward()
        assert bool(layer.weight.isfinite().all())
        assert bool(layer.parametrizations.weight.original.grad.isfinite().all())


def test_state_survives_a_resume_bit_for_bit(tmp_path: Path):
    """The vectors of the power iteration, under R1, with averaged players."""
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    whole, resumed = train_whole_and_resumed(load_config(str(file)), tmp_path, stop_after=6)
    for section in ("player.discriminator", "player.generator", "averages"):
        assert any(name.endswith("_u") for name in whole[section])
        assert all(torch.equal(tensor, resumed[section][name]) for name, tensor in whole[section].items())


def test_normalised_layers_do_not_change_and_a_network_without_others_is_refused():
    network = nn.Sequential(normalise(nn.Linear(3, 3), 1), nn.Linear(3, 3))
    normalise(network, 1)
    assert len(network[0].parametrizations.weight) == 1
    twice = SpectralNormDiscriminator(of=SpectralNormDiscriminator(of=FakeDiscriminator()))
    with pytest.raises(BadInput, match="no layer in this network") as problem:
        twice.build(sample=TensorSpec((5,)))
    assert problem.value.path == ("of",)


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_invalid_counts_are_refused(count: Any):
    with pytest.raises(ValidationError):
        SpectralNormDiscriminator(of=FakeDiscriminator(), power_iterations=count)


@pytest.mark.slow
def test_the_preset_covers_every_mode(tmp_path: Path):
    folder = train(load_config("spectral-norm-ring"), out=tmp_path / "run")
    assert '"mode-coverage/modes": 8.0' in folder.metrics.read_text().splitlines()[-1]
