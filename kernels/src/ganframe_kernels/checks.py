"""Checks of arguments. Each error names the argument, what was expected and what was given."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

FLOATING = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def value_error(argument: str, expected: str, given: object) -> ValueError:
    """Return the error for an argument with a wrong value, to be raised."""
    return ValueError(f"{argument}: expected {expected}; given {given}")


def check_floating(argument: str, x: object) -> None:
    """Check that the argument is a tensor of float64, float32, bfloat16 or float16.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{argument}: expected a torch.Tensor; given {type(x).__name__}")
    if x.dtype not in FLOATING:
        raise TypeError(f"{argument}: expected one of {', '.join(map(str, FLOATING))}; given {x.dtype}")


def check_rank(argument: str, x: Tensor, axes: str) -> None:
    """Check that the tensor has one dimension for each letter of axes, as in "NCHW".

    Raises:
        ValueError: It does not.
    """
    if x.ndim != len(axes):
        raise value_error(argument, f"{len(axes)} dimensions ({axes})", f"shape {tuple(x.shape)}")


def check_shape(argument: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """Check that the tensor has this shape.

    Raises:
        ValueError: It does not.
    """
    if tuple(x.shape) != shape:
        raise value_error(argument, f"shape {shape}", f"shape {tuple(x.shape)}")


def check_device(argument: str, x: Tensor, device: torch.device) -> None:
    """Check that the tensor is on this device.

    Raises:
        ValueError: It is not.
    """
    if x.device != device:
        raise value_error(argument, f"a tensor on {device}", f"a tensor on {x.device}")


def check_choice(argument: str, value: str, choices: Collection[str]) -> None:
    """Check that the value is one of the choices.

    Raises:
        ValueError: It is not.
    """
    if value not in choices:
        raise value_error(argument, f"one of {', '.join(choices)}", repr(value))
