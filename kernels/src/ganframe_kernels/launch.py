# pyright: basic
"""Launching Triton kernels, or compiling them ahead of time. Imported only where Triton is used."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton import knobs
from triton.backends.compiler import GPUTarget

from ganframe_kernels.precision import compute_dtype

_POINTER = {torch.float64: "*fp64", torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}


def accumulator(dtype: torch.dtype) -> tl.dtype:
    """Return the type that a kernel computes in, for tensors of this dtype."""
    return tl.float64 if compute_dtype(dtype) == torch.float64 else tl.float32


@dataclass(frozen=True)
class Compiled:
    """A kernel, compiled for one architecture."""

    name: str
    arch: int
    registers: int
    stack: int
    """Bytes of local memory per thread; anything above 0 is a spill."""


_ahead: tuple[int, list[Compiled]] | None = None


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Launch a kernel on the device of its first argument.

    Args:
        kernel: A function under `triton.jit`.
        grid: Programs along each axis; nothing is launched where one is 0.
        arguments: Tensors, numbers or None, in the order of the kernel's parameters.
        constants: The kernel's constexpr parameters, and num_warps and num_stages.
    """
    if 0 in grid:
        return
    x: Tensor = arguments[0]
    if x.is_meta:
        if _ahead is not None:
            _ahead[1].append(_compile(kernel, arguments, constants, _ahead[0]))
    elif x.is_cuda:
        with torch.cuda.device(x.device):
            kernel[grid](*arguments, **constants)
    else:
        kernel[grid](*arguments, **constants)


@contextmanager
def compiling_ahead(arch: int) -> Iterator[list[Compiled]]:
    """Compile kernels launched on meta tensors in this context for an architecture (80, 90 or 100), without a GPU."""
    global _ahead  # noqa: PLW0603  one process compiles ahead at a time
    _ahead = (arch, [])
    try:
        yield _ahead[1]
    finally:
        _ahead = None


def _compile(kernel: Any, arguments: Sequence[Any], constants: dict[str, Any], arch: int) -> Compiled:
    options = {name: value for name, value in constants.items() if name in ("num_warps", "num_stages")}
    values = dict(zip(kernel.arg_names, arguments, strict=False)) | {
        name: value for name, value in constants.items() if name not in options
    }
    signature, constexprs, attributes = dict[str, str](), dict[str, Any](), dict[tuple[int, ...], Any]()
    for index, (name, parameter) in enumerate(zip(kernel.arg_names, kernel.params, strict=True)):
        value = values[name]
        # As Triton does at run time: None and 1 are constants, and divisibility by 16 is declared.
        if parameter.is_constexpr or value is None or (type(value) is int and value == 1):
            signature[name], constexprs[name] = "constexpr", value
            continue
        signature[name] = (
            _POINTER[value.dtype] if isinstance(value, Tensor) else "fp32" if isinstance(value, float) else "i32"
        )
        if isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0):
            attributes[(index,)] = [["tt.divisibility", 16]]
    source = triton.compiler.ASTSource(kernel, signature, constexprs, attributes)
    binary = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    usage = _resource_usage(binary.asm["cubin"])
    return Compiled(kernel.__name__, arch, usage["REG"], usage["STACK"])


def _resource_usage(cubin: bytes) -> dict[str, int]:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        tool = knobs.nvidia.cuobjdump.path
        text = subprocess.run([tool, "-res-usage", file.name], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in re.findall(r"(\w+):(\d+)", text)}
