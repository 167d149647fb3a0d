"""Virtual batch norm: its statistics by hand, and samples that depend on their own latent only."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from ganframe_virtual_batch_norm import VirtualBatchNorm
from ganframe_virtual_batch_norm.reference import VirtualNorm
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load as load_run
from ganframe import load_config, train
from ganframe.config import BadInput, GeneratorConfig, TensorSpec
from ganframe.testing.fakes import FakeGenerator

double = {"dtype": torch.float64}


class Normed(GeneratorConfig):
    """A linear layer and batch norm, plain or in two dimensions."""

    type: Literal["normed"] = "normed"
    conditional = True
    image: bool = False

    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        return _Normed(self.image, output.shape)


class _Normed(nn.Module):
    def __init__(self, image: bool, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.latent_shape = (3,)
        self.image = image
        self.shape = shape
        self.embed = nn.Embedding(4, 3)
        self.first = nn.Linear(3, 8)
        self.inner = nn.Sequential(nn.BatchNorm2d(2) if image else nn.BatchNorm1d(8), nn.ReLU())
        self.last = nn.Linear(8, shape[0])

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        hidden = self.first(latent if condition is None else latent + self.embed(condition))
        if self.image:
            return self.last(self.inner(hidden.unflatten(1, (2, 2, 2))).flatten(1))
        return self.last(self.inner(hidden))


def built(image: bool = False, seed: int = 0, condition: TensorSpec | None = None, **settings: Any) -> nn.Module:
    torch.manual_seed(seed)
    return VirtualBatchNorm(of=Normed(image=image), **settings).build(output=TensorSpec((5,)), condition=condition)


def norm(channels: int, reference: int) -> VirtualNorm:
    replaced = nn.BatchNorm1d(channels, **double)
    nn.init.constant_(replaced.weight, 2.0)
    nn.init.constant_(replaced.bias, 0.5)
    return VirtualNorm(replaced, reference)


@pytest.mark.parametrize(("reference", "own"), [((1.0, 3.0), 6.0), ((-2.0, 0.5, 4.0, 1.5), -7.0)])
def test_statistics_are_reference_sum_plus_own_over_n_plus_1(reference: tuple[float, ...], own: float):
    count = len(reference)
    mean = (sum(reference) + own) / (count + 1)
    square = (sum(number**2 for number in reference) + own**2) / (count + 1)
    expected = 2 * (own - mean) / (square - mean**2 + 1e-5) ** 0.5 + 0.5
    features = torch.tensor([*reference, own, 100.0], **double)[:, None]
    assert norm(1, count)(features)[count].item() == pytest.approx(expected, rel=1e-12)


def test_the_reference_is_normalised_by_itself():
    features = torch.randn(5, 3, **double)
    expected = nn.functional.batch_norm(
        features[:4], None, None, torch.full((3,), 2.0, **double), torch.full((3,), 0.5, **double), training=True
    )
    torch.testing.assert_close(norm(3, 4)(features)[:4], expected)


def test_a_sample_of_an_image_counts_by_its_mean_over_positions():
    """Reference images with values (1, 3) and (5, 7), own (0, 4): means 2, 6, 2, mean squares 5, 37, 8."""
    features = torch.tensor([[1.0, 3.0], [5.0, 7.0], [0.0, 4.0]], **double)[:, None]
    mean, square = (2 + 6 + 2) / 3, (5 + 37 + 8) / 3
    expected = [2 * (value - mean) / (square - mean**2 + 1e-5) ** 0.5 + 0.5 for value in (0, 4)]
    assert norm(1, 2)(features)[2].flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("image", [False, True])
def test_a_sample_does_not_depend_on_the_rest_of_its_batch(image: bool):
    network = built(image)
    latent = torch.randn(6, 3)
    whole = network(latent)
    torch.testing.assert_close(whole[2:3], network(latent[2:3]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole.flip(0), network(latent.flip(0)), rtol=1e-5, atol=1e-6)
    plain = Normed(image=image).build(output=TensorSpec((5,)))
    assert not torch.allclose(plain(latent)[2:4], plain(latent[2:4]), atol=1e-3)


def test_training_and_evaluation_give_the_same():
    network, latent = built(), torch.randn(4, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    training = network(latent)
    assert torch.equal(training, network.eval()(latent))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_no_batch_norm_is_left_and_its_scale_and_shift_are_kept():
    network = built()
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    (layer,) = (module for module in network.modules() if isinstance(module, VirtualNorm))
    assert {id(layer.weight), id(layer.bias)} < {id(parameter) for parameter in network.parameters()}


@pytest.mark.parametrize(("prior", "low", "high"), [("normal", -6.0, 6.0), ("uniform", -1.0, 1.0)])
def test_the_reference_is_drawn_at_build_and_part_of_the_state(prior: str, low: float, high: float):
    first, again, other = (built(seed=seed, prior=prior, reference=500).latents for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert low <= first.min().item() < -0.9
    assert 0.9 < first.max().item() <= high
    assert "latents" in built().state_dict()


def test_the_labels_of_the_reference_are_all_classes_in_turn():
    network = built(condition=TensorSpec((), classes=4), reference=6)
    seen: list[Tensor] = []
    network.network.embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.randn(2, 3), torch.tensor([3, 3]))
    assert seen[0].tolist() == [0, 1, 2, 3, 0, 1, 3, 3]


def test_first_and_second_derivatives():
    features = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), **double).requires_grad_()
    assert torch.autograd.gradcheck(norm(2, 3), features)
    assert torch.autograd.gradgradcheck(norm(2, 3), features)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_features(dtype: torch.dtype, size: float):
    layer = VirtualNorm(nn.BatchNorm1d(2), 2)
    for values in ([size, size, size], [size, -size, size], [size, size + 1, size]):
        features = torch.tensor(values, dtype=dtype)[:, None].expand(3, 2).clone().requires_grad_()
        output = layer(features)
        output.sum().backward()
        assert output.dtype == dtype
        assert bool(output.isfinite().all())
        assert bool(features.grad.isfinite().all())


def test_large_means_lose_no_precision():
    features = torch.randn(20, 3)
    near = norm(3, 19).float()(features)
    far = norm(3, 19).float()(features + 1000)
    torch.testing.assert_close(near, far, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("message", "config", "settings"),
    [
        ("finds no batch norm", FakeGenerator(), {}),
        ("starts from a sample", FakeGenerator(from_sample=True), {"source": TensorSpec((5,))}),
        ("the condition is 7 numbers", Normed(), {"condition": TensorSpec((7,))}),
    ],
)
def test_generators_without_a_reference_are_refused(message: str, config: GeneratorConfig, settings: Any):
    with pytest.raises(BadInput, match=message) as problem:
        VirtualBatchNorm(of=config).build(output=TensorSpec((5,)), **settings)
    assert problem.value.path == ("of",)


@pytest.mark.parametrize("reference", [1, 0, -3])
def test_invalid_references_are_refused(reference: int):
    with pytest.raises(ValidationError):
        VirtualBatchNorm(of=FakeGenerator(), reference=reference)


def test_a_run_with_averages_keeps_its_reference(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text("""
game:
  type: adversarial
  generator: {type: virtual-batch-norm, of: {type: dcgan, latent: 4, channels: 2}, reference: 12}
  discriminator: {type: mlp, hidden: [8]}
  condition: label
losses: [non-saturating]
data: digits
train: {images: 32, batch_size: 8, device: cpu, ema: {half_life_images: 8}}
snapshot: {count: 4}
""")
    trained = load_run(train(load_config(str(file)), out=tmp_path / "run").path, device="cpu")
    samples = trained.sample(10)
    assert samples.shape == (10, 1, 28, 28)
    latents = trained.game.players["generator"].latents
    assert latents.shape == (12, 4)
    assert latents.std().item() == pytest.approx(1, abs=0.3)
