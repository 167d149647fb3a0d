"""Slopes under a gain of either sign, and the side on which a resampled image is padded: cases worked out by hand."""

from __future__ import annotations

import pytest
import torch
from ganframe_kernels.bias_act import bias_act
from ganframe_kernels.testing import default_device, implementation
from ganframe_kernels.upfirdn2d import downsample2d, filter2d, upfirdn2d, upsample2d

IMPLEMENTATIONS = ["reference", "triton"]


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("gain", [2.0, -2.0])
@pytest.mark.parametrize(("act", "low"), [("lrelu", 0.25), ("relu", 0.0), ("linear", 1.0)])
def test_the_slope_is_that_of_the_input_under_a_gain_of_either_sign(name: str, gain: float, act: str, low: float):
    x = torch.tensor([[-3.0, -1.0, 1.0, 2.0]], device=default_device(), requires_grad=True)
    b = torch.tensor([0.0, 0.5, 0.0, 1.0], device=x.device, requires_grad=True)
    with implementation(name):
        y = bias_act(x, b, act=act, alpha=0.25, gain=gain)
        dx, db = torch.autograd.grad(y, (x, b), torch.tensor([[1.0, 10.0, 100.0, 1000.0]], device=x.device))
    assert y.tolist() == [[gain * low * -3, gain * low * -0.5, gain * 1, gain * 3]]
    assert dx.tolist() == [[gain * low, gain * low * 10, gain * 100, gain * 1000]]
    assert db.tolist() == dx[0].tolist()


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_what_is_clamped_under_a_negative_gain_has_no_slope(name: str):
    x = torch.tensor([[-8.0, -2.0, 1.0, 4.0]], device=default_device(), requires_grad=True)
    with implementation(name):
        y = bias_act(x, act="lrelu", alpha=0.25, gain=-2.0, clamp=3.0)
        (dx,) = torch.autograd.grad(y.sum(), x)
    # -2 lrelu(x) is 4, 1, -2 and -8.
    assert y.tolist() == [[3.0, 1.0, -2.0, -3.0]]
    assert dx.tolist() == [[0.0, -0.5, -2.0, 0.0]]


def row(*numbers: float) -> torch.Tensor:
    return torch.tensor([[[numbers]]], dtype=torch.float32, device=default_device())


def column(*numbers: float) -> torch.Tensor:
    return row(*numbers).transpose(2, 3)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_downsampling_by_an_odd_filter_has_its_extra_zero_at_the_start(name: str):
    """Three taps and a factor of 2 want one zero more: [0, 1, 2, 4, 8], convolved with [1, 10, 100]."""
    taps = torch.tensor([[1.0, 10.0, 100.0]], device=default_device())
    with implementation(name):
        across = downsample2d(row(1, 2, 4, 8), taps, down=[2, 1])
        down = downsample2d(column(1, 2, 4, 8), taps.T, down=[1, 2])
    # 100 * 0 + 10 * 1 + 1 * 2, then 100 * 2 + 10 * 4 + 1 * 8.
    assert across.flatten().tolist() == [12, 248]
    assert down.flatten().tolist() == [12, 248]


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_filtering_by_an_even_filter_has_its_zero_at_the_start(name: str):
    taps = torch.tensor([[1.0, 10.0]], device=default_device())
    with implementation(name):
        across, down = filter2d(row(1, 2, 4), taps), filter2d(column(1, 2, 4), taps.T)
    # [0, 1, 2, 4]: 10 * 0 + 1, 10 * 1 + 2, 10 * 2 + 4.
    assert across.flatten().tolist() == [1, 12, 24]
    assert down.flatten().tolist() == [1, 12, 24]


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_upsampling_by_an_odd_filter_has_its_zeros_at_the_start(name: str):
    """[1, 0, 2, 0] with (3 + 1) // 2 = 2 zeros before and (3 - 2) // 2 = 0 after, at twice the gain."""
    taps = torch.tensor([[1.0, 10.0, 100.0]], device=default_device())
    with implementation(name):
        across = upsample2d(row(1, 2), taps, up=[2, 1])
        down = upsample2d(column(1, 2), taps.T, up=[1, 2])
    # [0, 0, 1, 0, 2, 0]: 1, 10, 100 + 2, 20; twice each.
    assert across.flatten().tolist() == [2, 20, 204, 40]
    assert down.flatten().tolist() == [2, 20, 204, 40]


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_paddings_are_left_right_top_bottom(name: str):
    x = torch.tensor([[[[1.0, 2.0]]]], device=default_device())
    with implementation(name):
        padded = upfirdn2d(x, None, padding=[1, 0, 0, 2])
        both = upfirdn2d(x, None, padding=[1, 2])
    assert padded[0, 0].tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 0]]
    assert both.shape == (1, 1, 5, 4)
    assert both[0, 0, 2].tolist() == [0, 1, 2, 0]
