"""The choice of an implementation: the reference or the Triton kernels."""

from __future__ import annotations

import os
from importlib.util import find_spec

from torch import Tensor

from ganframe_kernels.tuning import reference_is_faster

_HAS_TRITON = find_spec("triton") is not None


def has_triton() -> bool:
    """Return whether the package triton is installed, which says nothing about a GPU."""
    return _HAS_TRITON


def interpreted() -> bool:
    """Return whether Triton runs kernels on the CPU, in its interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def use_triton(x: Tensor, op: str, *options: int) -> bool:
    """Return whether an op whose main input is x runs its Triton kernels.

    The environment variable GANFRAME_KERNELS decides: `reference`, `triton`, or `auto` (the default), which takes
    Triton where it is installed and x is on CUDA or Triton's interpreter is on, unless the reference was measured to be
    faster there: see `ganframe_kernels.tuning`.

    Args:
        x: The main input.
        op: The name of the operation.
        options: Numbers that its speed depends on, besides x.

    Raises:
        RuntimeError: GANFRAME_KERNELS is `triton` and the kernels cannot run, or it has an unknown value.
    """
    mode = os.environ.get("GANFRAME_KERNELS", "auto")
    if mode == "reference":
        return False
    able = has_triton() and (x.is_cuda or interpreted())
    if mode == "auto":
        return able and not reference_is_faster(op, x, options)
    if mode != "triton":
        raise RuntimeError(f"GANFRAME_KERNELS: expected reference, triton or auto; given {mode!r}")
    if not has_triton():
        raise RuntimeError("GANFRAME_KERNELS=triton: expected the package triton; given none: pip install triton")
    # On meta tensors, which have no data, the launchers only work out shapes or compile ahead of time.
    if not able and not x.is_meta:
        raise RuntimeError(
            f"GANFRAME_KERNELS=triton: expected a CUDA tensor or TRITON_INTERPRET=1; given a tensor on {x.device}"
        )
    return True
