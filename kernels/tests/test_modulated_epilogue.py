"""modulated_epilogue: the shared checks, and its values against closed forms."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor

from ganframe_kernels.modulated_epilogue import modulated_epilogue
from ganframe_kernels.testing import Case, assert_compiles_ahead, checks, implementation


def with_noise(x: Tensor, samples: int | None = None, **vectors: Tensor) -> Tensor:
    """With fixed noise, whose values bfloat16 has too; None for the samples of x."""
    N, _, H, W = x.shape
    samples = N if samples is None else samples
    noise = (torch.arange(samples * H * W, dtype=x.dtype, device=x.device) % 7 - 3) / 4
    return modulated_epilogue(x, noise=noise.view(samples, 1, H, W), clamp=2.5, **vectors)


def shared_noise(**tensors: Tensor) -> Tensor:
    return with_noise(samples=1, **tensors)


def factor(x: Tensor, demod: Tensor) -> Tensor:
    return modulated_epilogue(x, demod, alpha=1, gain=1)


CASES = [
    Case(
        "all",
        with_noise,
        shapes={"x": (2, 3, 5, 3), "demod": (2, 3), "strength": (), "bias": (3,), "next_style": (2, 3)},
        large={"x": (32, 128, 64, 64), "demod": (32, 128), "strength": (), "bias": (128,), "next_style": (32, 128)},
    ),
    Case(
        "no style",
        shared_noise,
        shapes={"x": (2, 3, 1, 7), "demod": (2, 3), "strength": (), "bias": (3,)},
        large={"x": (32, 512, 4, 4), "demod": (32, 512), "strength": (), "bias": (512,)},
    ),
    Case(
        "factor",
        factor,
        shapes={"x": (1, 5, 2, 2), "demod": (1, 5)},
        large={"x": (32, 64, 256, 256), "demod": (32, 64)},
    ),
]


@pytest.mark.parametrize("check", checks(CASES), ids=lambda check: check.__name__)
def test_check(check):
    check()


@pytest.mark.slow
def test_compiles_ahead():
    assert_compiles_ahead(__file__)
