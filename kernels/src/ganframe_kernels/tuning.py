"""Tuned launch configurations: looked up in tuned.json, with the launcher's own choice where it has none."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from importlib.resources import files

import torch
from torch import Tensor

from ganframe_kernels.layout import is_channels_last

Table = dict[str, dict[str, int]]


@cache
def table() -> Table:
    """The shipped configurations, by key."""
    return json.loads(files("ganframe_kernels").joinpath("tuned.json").read_text())


@cache
def _device(index: int) -> str:
    """Compute capability and Triton version, as in "sm90 triton3.7"."""
    major, minor = torch.cuda.get_device_capability(index)
    return f"sm{major}{minor} triton{'.'.join(version('triton').split('.')[:2])}"


def key(op: str, device: str, x: Tensor, shape: tuple[int, ...]) -> str:
    """The name of a configuration: op, device, dtype, layout, and the sizes rounded up to powers of 2, as exponents."""
    layout = "nhwc" if is_channels_last(x) else "contiguous"
    exponents = "x".join(str(max(size - 1, 0).bit_length()) for size in shape)
    return f"{op} {device} {str(x.dtype).removeprefix('torch.')} {layout} {exponents}"


def tuned(op: str, x: Tensor, shape: tuple[int, ...], **heuristic: int) -> dict[str, int]:
    """The configuration for this op on x.

    Args:
        op: The kernel's name.
        x: Its main input, dense.
        shape: The sizes that the configuration depends on.
        heuristic: What to take where the table has nothing.
    """
    if x.is_cuda and table():
        return table().get(key(op, _device(x.device.index), x, shape), heuristic)
    return heuristic
