"""Statistics over a batch on known features, and what they do to a discriminator."""

import math
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from ganframe_minibatch_statistics import MinibatchDiscrimination, MinibatchStddev
from ganframe_minibatch_statistics.statistics import Closeness, Deviation
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load_config, train
from ganframe.config import BadInput, DiscriminatorConfig, SampleSpec, TensorSpec
from ganframe.game import DiscriminatorOutput
from ganframe.testing.fakes import FakeDiscriminator

double = {"dtype": torch.float64}
BOTH = [MinibatchDiscrimination, MinibatchStddev]


def closeness(features: Any, projection: Any, kernels: int) -> Tensor:
    weight = torch.tensor(projection, **double)
    statistic = Closeness(weight.shape[1], kernels, len(weight) // kernels).double()
    statistic.project.weight = nn.Parameter(weight)
    return statistic(torch.as_tensor(features, **double))


@pytest.mark.parametrize("count", [2, 7])
def test_identical_samples_have_a_closeness_of_their_number(count: int):
    found = closeness(torch.randn(1, 3).expand(count, 3), torch.randn(10, 3).tolist(), 5)
    torch.testing.assert_close(found, torch.full((count, 5), float(count), **double))


def test_samples_far_apart_have_a_closeness_of_1():
    found = closeness([[0.0], [1e4], [-1e4]], [[1.0], [1.0]], 1)
    torch.testing.assert_close(found, torch.ones(3, 1, **double))


@pytest.mark.parametrize(("a", "b"), [((1.0, 2.0), (1.5, 0.0)), ((-1.0, 0.25), (0.5, 0.5))])
def test_two_samples_in_two_kernels_of_two_dimensions(a: tuple[float, float], b: tuple[float, float]):
    """Kernel 1 measures |d1| + |d2|, kernel 2 measures |d1 + d2| + |2 d1|."""
    d1, d2 = a[0] - b[0], a[1] - b[1]
    expected = [1 + math.exp(-abs(d1) - abs(d2)), 1 + math.exp(-abs(d1 + d2) - abs(2 * d1))]
    found = closeness([a, b], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]], 2)
    torch.testing.assert_close(found, torch.tensor([expected, expected], **double))


@pytest.mark.parametrize(("a", "b"), [((1.0, 2.0), (4.0, -2.0)), ((0.0, 0.0), (-3.0, 5.0))])
def test_the_deviation_of_two_points_is_half_their_distance_along_each_axis(a: Any, b: Any):
    features = torch.tensor([a, b], **double)
    halves = [abs(x - y) / 2 for x, y in zip(a, b, strict=True)]
    alone, apart = Deviation(None, 1)(features), Deviation(None, 2)(features)
    assert alone.tolist() == [pytest.approx([sum(halves) / 2])] * 2
    assert apart.tolist() == [pytest.approx(halves)] * 2


def test_equal_samples_have_no_deviation_and_a_gradient():
    features = torch.ones(4, 3, **double).requires_grad_()
    found = Deviation(None, 1)(features)
    found.sum().backward()
    assert found.tolist() == [pytest.approx([1e-4])] * 4
    assert bool(features.grad.isfinite().all())


def test_a_group_is_every_mth_sample_and_positions_are_averaged():
    """Groups {0, 2} and {1, 3} with deviations 1 and 3 at one position, 0 at the other."""
    features = torch.tensor([[0.0, 5.0], [10.0, 5.0], [2.0, 5.0], [4.0, 5.0]], **double).reshape(4, 1, 1, 2)
    found = Deviation(2, 1)(features).flatten().tolist()
    assert found == pytest.approx([(1 + 1e-4) / 2, (3 + 1e-4) / 2] * 2, abs=1e-8)


@pytest.mark.parametrize(("size", "group", "used"), [(6, 4, 3), (5, 4, 1), (4, 100, 4), (1, 4, 1)])
def test_a_batch_that_a_group_does_not_divide(size: int, group: int, used: int):
    features = torch.randn(size, 3, **double)
    assert torch.equal(Deviation(group, 1)(features), Deviation(used, 1)(features))


@pytest.mark.parametrize("statistic", [Closeness(3, 2, 2).double(), Deviation(2, 3), Deviation(None, 1)])
def test_first_and_second_derivatives(statistic: nn.Module):
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), **double).requires_grad_()
    assert torch.autograd.gradcheck(statistic, features)
    assert torch.autograd.gradgradcheck(statistic, features)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
@pytest.mark.parametrize("statistic", [Closeness(3, 2, 2), Deviation(None, 1)])
def test_finite_for_large_features(statistic: nn.Module, dtype: torch.dtype, size: float):
    for other in (size, -size, 0.0):
        features = torch.tensor([[size] * 3, [other] * 3], dtype=dtype, requires_grad=True)
        found = statistic(features)
        found.sum().backward()
        assert found.dtype == torch.float32
        assert bool(found.isfinite().all())
        assert bool(features.grad.isfinite().all())


def built(config: type[Any], **settings: Any) -> nn.Module:
    torch.manual_seed(0)
    return config(of=FakeDiscriminator(), **settings).build(sample=TensorSpec((5,)))


@pytest.mark.parametrize(("config", "numbers"), [(MinibatchDiscrimination, 100), (MinibatchStddev, 1)])
def test_the_statistic_joins_the_last_features_and_adds_to_the_logits(config: type[Any], numbers: int):
    network, sample = built(config), torch.randn(4, 5)
    plain, output = network.network(sample), network(sample)
    assert [feature.shape[1] for feature in output.features] == [8, 8 + numbers]
    torch.testing.assert_close(output.features[1][:, :8], plain.features[0])
    torch.testing.assert_close(output.features[1][:, 8:], network.statistic(plain.features[0]))
    torch.testing.assert_close(output.class_logits, plain.class_logits)
    nn.init.zeros_(network.judge.weight)
    nn.init.constant_(network.judge.bias, 3.0)
    torch.testing.assert_close(network(sample).logits, plain.logits + 3)


@pytest.mark.parametrize("config", BOTH)
def test_the_logit_of_a_sample_depends_on_the_variety_of_its_batch(config: type[Any]):
    """Two batches with the same first sample get different logits for it."""
    network, sample = built(config), torch.randn(4, 5)
    collapsed = sample[:1].expand(4, 5)
    assert network(sample).logits[0].item() != pytest.approx(network(collapsed).logits[0].item(), abs=1e-4)


class Patches(DiscriminatorConfig):
    """Returns a logit and features for each of 2 x 2 patches of two images together."""

    type: Literal["patches"] = "patches"
    provides = frozenset({"features"})

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        return _Patches()


class _Patches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(2, 6, 2, 2)
        self.judge = nn.Conv2d(6, 1, 1)

    def forward(self, sample: tuple[Tensor, Tensor], condition: Tensor | None = None) -> DiscriminatorOutput:
        features = self.features(torch.cat(sample, dim=1))
        return DiscriminatorOutput(self.judge(features), (features,))


@pytest.mark.parametrize("config", BOTH)
def test_the_same_number_is_added_to_all_patches_of_a_sample(config: type[Any]):
    network = config(of=Patches()).build(sample=(TensorSpec((1, 4, 4)), TensorSpec((1, 4, 4))))
    sample = (torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4))
    added = (network(sample).logits - network.network(sample).logits).flatten(1)
    assert added.shape == (3, 4)
    torch.testing.assert_close(added, added[:, :1].expand(3, 4))


def test_finding_the_channels_leaves_the_network_in_training_and_unchanged():
    torch.manual_seed(0)
    plain = FakeDiscriminator().build(sample=TensorSpec((5,)))
    network = built(MinibatchStddev)
    assert network.network.training
    assert all(map(torch.equal, plain.state_dict().values(), network.network.state_dict().values()))


class WithoutFeatures(Patches):
    type: Literal["without-features"] = "without-features"  # pyright: ignore[reportIncompatibleVariableOverride]
    provides = frozenset()


@pytest.mark.parametrize("config", BOTH)
def test_a_discriminator_without_features_is_refused(config: type[Any]):
    with pytest.raises(
        BadInput, match="discriminator that returns features, which 'without-features' does not"
    ) as problem:
        config(of=WithoutFeatures()).build(sample=TensorSpec((1, 4, 4)))
    assert problem.value.path == ("of",)


def test_shares_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(BadInput, match="8 channels, which do not divide into 3 shares") as problem:
        built(MinibatchStddev, channels=3)
    assert problem.value.path == ("channels",)


@pytest.mark.parametrize("settings", [{"group_size": 0}, {"channels": 0}])
def test_other_settings_are_refused(settings: Any):
    with pytest.raises(ValidationError):
        MinibatchStddev(of=FakeDiscriminator(), **settings)
    with pytest.raises(ValidationError):
        MinibatchDiscrimination(of=FakeDiscriminator(), kernels=0)


@pytest.mark.slow
def test_the_preset_covers_every_mode(tmp_path: Path):
    folder = train(load_config("minibatch-stddev-ring"), out=tmp_path / "run")
    assert '"mode-coverage/modes": 8.0' in folder.metrics.read_text().splitlines()[-1]
