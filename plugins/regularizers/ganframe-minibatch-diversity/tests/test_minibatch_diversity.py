import itertools
import math

import pytest
import torch
from ganframe_minibatch_diversity import MinibatchDiversity
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganframe.config import RegularizerConfig

double = {"dtype": torch.float64}


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **double)


def penalty(samples: Tensor, config: RegularizerConfig | None = None) -> Tensor:
    return (config or MinibatchDiversity()).build().forward({"fake": samples})


def by_hand(samples: Tensor, limit: float) -> float:
    """The README's formula, pair by pair."""
    rows = samples.flatten(1).tolist()
    distances = [
        sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a) for a, b in itertools.combinations(rows, 2)
    ]
    return -sum(limit * (1 - math.exp(-d / limit)) for d in distances) / len(distances)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(1, 5), st.floats(0.05, 50), st.integers(0, 100))
def test_it_is_the_formula_pair_by_pair(count: int, size: int, limit: float, seed: int):
    samples = draws(count, size, seed=seed) + 3
    found = penalty(samples, MinibatchDiversity(limit=limit)).item()
    assert found == pytest.approx(by_hand(samples, limit), rel=1e-9)


def test_far_from_the_limit_it_is_the_plain_formula_with_lambda():
    """weight = lambda N (N - 1) D / 2 gives -lambda sum_{i<j} ||x_i - x_j||^2."""
    samples, strength = draws(5, 3, 4, 4), 0.01
    weight = strength * 5 * 4 * 48 / 2
    plain = -strength * sum((a - b).square().sum().item() for a, b in itertools.combinations(samples, 2))
    assert weight * penalty(samples, MinibatchDiversity(limit=1e7)).item() == pytest.approx(plain, rel=1e-6)


def test_without_a_limit_it_is_the_plain_formula():
    samples, config = draws(5, 3, 4, 4).requires_grad_(), MinibatchDiversity(limit=None)
    plain = -sum((a - b).square().mean() for a, b in itertools.combinations(samples, 2)) / 10
    found = penalty(samples, config)
    torch.testing.assert_close(found, plain)
    torch.testing.assert_close(torch.autograd.grad(found, samples), torch.autograd.grad(plain, samples))
    assert penalty(samples[:1], config).item() == 0
    assert torch.autograd.gradgradcheck(lambda x: penalty(x, config), draws(4, 3).requires_grad_())


def test_it_is_bounded_for_outputs_without_bound():
    samples = draws(6, 4)
    assert penalty(samples * 1e6, MinibatchDiversity(limit=0.7)).item() == pytest.approx(-0.7)
    assert penalty(samples * 1e3).item() > -1 - 1e-12


def test_one_outlier_earns_its_own_pairs_only():
    """N - 1 of the N (N - 1) / 2 pairs: a share 2 / N of the limit."""
    samples = torch.zeros(8, 3, **double)
    samples[0] = 1e4
    assert penalty(samples).item() == pytest.approx(-2 / 8)


@pytest.mark.parametrize("value", [0.0, 1.0, -123.456])
def test_identical_samples_have_no_diversity_and_a_finite_gradient(value: float):
    samples = torch.full((4, 5), value, requires_grad=True)
    found = penalty(samples)
    found.backward()
    assert found.item() == 0
    assert bool((samples.grad == 0).all())


def test_a_step_down_the_gradient_pushes_samples_apart():
    samples = (draws(6, 2) * 0.1).requires_grad_()
    penalty(samples).backward()
    with torch.no_grad():
        moved = samples - 0.05 * samples.grad
    assert bool((torch.pdist(moved) >= torch.pdist(samples.detach())).all())
    torch.testing.assert_close(moved.mean(0), samples.detach().mean(0))


def test_gradcheck():
    assert torch.autograd.gradcheck(penalty, draws(4, 3).requires_grad_())


def test_a_batch_of_one_has_no_pairs():
    sample = draws(1, 3).requires_grad_()
    found = penalty(sample)
    found.backward()
    assert found.item() == 0


def test_close_samples_far_from_the_origin_keep_their_distance_in_float32_and_under_autocast():
    offset = draws(8, 64) * 1e-2
    samples = (10 + offset).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = penalty(samples)
    assert found.item() == pytest.approx(by_hand(samples.double(), 1.0), rel=1e-3)


def test_memory_grows_with_pairs_and_with_elements_but_not_with_their_product():
    """All differences at once would take 42 GB."""
    samples = torch.zeros(1024, 10_000)
    samples[:, 0] = torch.arange(1024.0)
    assert penalty(samples).isfinite()


def test_it_reads_the_tensor_that_it_is_told():
    config = MinibatchDiversity(sample="fake_b")
    assert config.tensors() == ("fake_b",)
    assert config.build().forward({"fake_b": draws(3, 2)}).item() < 0
