"""Noise of a tuple: each part has its own draws, in the order of the parts."""

from __future__ import annotations

import pytest
import torch
from ganframe_instance_noise import InstanceNoise
from torch import Tensor

from ganframe.builtin.schedules import Linear
from ganframe.config import initial_value


def draws(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_two_parts_of_one_shape_have_different_noise() -> None:
    zeros = torch.zeros(2, 3, 4, 4)
    first, second = InstanceNoise(sigma=0.5).build()((zeros, zeros), torch.Generator().manual_seed(5))
    assert (first != second).all()


def test_the_parts_of_a_sample_get_noise_in_their_order() -> None:
    parts = torch.full((2, 3), 1.0), torch.full((2, 3), -1.0), torch.full((2, 5), 7.0)
    noised = InstanceNoise(sigma=0.25).build()(parts, torch.Generator().manual_seed(5))
    one, two, three = draws((2, 3), (2, 3), (2, 5))
    assert isinstance(noised, tuple)
    torch.testing.assert_close(noised, (1 + 0.25 * one, -1 + 0.25 * two, 7 + 0.25 * three))


@pytest.mark.parametrize("shape", [(2, 3), (4, 1, 2, 2)])
def test_each_number_of_a_sample_has_noise_of_its_own(shape: tuple[int, ...]) -> None:
    noised = InstanceNoise(sigma=2.0).build()(torch.ones(shape), torch.Generator().manual_seed(5))
    (drawn,) = draws(shape)
    torch.testing.assert_close(noised, 1 + 2 * drawn)
    assert noised.unique().numel() == noised.numel()


def test_the_noise_starts_with_the_first_value_of_a_schedule() -> None:
    schedule = Linear(start=0.75, end=0.0)
    assert initial_value(schedule) == 0.75
    assert InstanceNoise(sigma=schedule).build().sigma == 0.75
