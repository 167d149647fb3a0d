"""Instance noise: its distribution, its draws, and the samples it is added to."""

import pytest
import torch
from ganframe_instance_noise import InstanceNoise
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError


def noisy(sample, sigma=0.5, seed=0):
    return InstanceNoise(sigma=sigma).build()(sample, torch.Generator().manual_seed(seed))


@given(st.floats(0.01, 3))
def test_noise_is_gaussian_with_that_deviation(sigma):
    noise = noisy(torch.full((4, 3, 32, 32), 0.25), sigma) - 0.25
    assert abs(noise.mean() / sigma) < 0.05
    assert noise.std() == pytest.approx(sigma, rel=0.05)
    beyond = (noise.abs() > 2 * sigma).float().mean()
    assert beyond == pytest.approx(0.0455, abs=0.01)


def test_zero_sigma_is_the_identity():
    sample = torch.randn(2, 3, 8, 8)
    assert noisy(sample, 0.0) is sample
    pair = (sample, sample)
    assert noisy(pair, 0.0) is pair


def test_parts_of_a_tuple_have_noise_of_their_own():
    zeros = torch.zeros(2, 3, 8, 8)
    first, second = noisy((zeros, zeros[:, :1]))
    assert first.shape == zeros.shape
    assert second.shape == (2, 1, 8, 8)
    assert not torch.equal(first[:, :1], second)


def test_draws_come_from_the_generator_given():
    sample = torch.zeros(2, 5)
    before = torch.get_rng_state()
    assert torch.equal(noisy(sample, seed=1), noisy(sample, seed=1))
    assert not torch.equal(noisy(sample, seed=1), noisy(sample, seed=2))
    assert torch.equal(before, torch.get_rng_state())


def test_gradient_passes_through_unchanged():
    sample = torch.zeros(2, 5, requires_grad=True)
    noisy(sample).sum().backward()
    assert torch.equal(sample.grad, torch.ones(2, 5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtype_is_kept(dtype):
    assert noisy(torch.zeros(2, 5, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf")])
def test_invalid_deviations_are_refused(sigma):
    with pytest.raises(ValidationError):
        InstanceNoise(sigma=sigma)
