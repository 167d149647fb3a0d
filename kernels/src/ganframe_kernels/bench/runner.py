"""Times the cases in every mode, and checks the kernels where there is no GPU to time them on."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.bench.cases import Case, Inputs
from ganframe_kernels.bench.timing import Time, copies, interleaved
from ganframe_kernels.dispatch import has_triton, interpreted

PASSES = ("forward", "backward", "double backward")


@dataclass(frozen=True)
class Row:
    """The times of one pass of one case.

    Attributes:
        op: The operation.
        case: Which case of it.
        shape: Shape of the main input.
        dtype: Its dtype.
        layout: NCHW or NHWC.
        what: Forward, backward or double backward.
        times: By contender: `eager`, `compile`, `compile, graphs`, `kernels`.
        gigabytes: The fewest bytes that the pass must move, in 1e9.
        peak: Most bytes that were allocated at once by forward and backward, by contender; empty without CUDA.
    """

    op: str
    case: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    what: str
    times: dict[str, Time]
    gigabytes: float
    peak: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Check:
    """How far the kernels are from the reference, without a GPU.

    Attributes:
        op: The operation.
        case: Which case of it.
        layout: NCHW or NHWC.
        error: Largest |kernel - reference| / largest |reference|, over the result and its gradients.
    """

    op: str
    case: str
    layout: str
    error: float


def contenders(device: torch.device) -> tuple[str, ...]:
    """Who is timed here: kernels and CUDA graphs only on a GPU."""
    return ("eager", "compile", "compile, graphs", "kernels") if device.type == "cuda" else ("eager", "compile")


def timed(case: Case, dtype: torch.dtype, layout: str, device: torch.device, repeats: int) -> Iterator[Row]:
    """The times of each pass."""
    shape = case.shape if device.type == "cuda" else _smaller(case.shape)
    inputs = copies(case.make(shape, dtype, layout, device), device)
    names = contenders(device)
    functions = {name: _contender(case.function, name) for name in names}
    size = inputs[0][0].numel() * inputs[0][0].element_size()  # pyright: ignore[reportOptionalMemberAccess]
    for what, passes in zip(PASSES, case.passes, strict=True):
        # What torch.compile makes cannot be differentiated twice.
        able = [name for name in names if what != "double backward" or not name.startswith("compile")]
        if passes is not None:
            calls = {name: _call(functions[name], what, inputs, name) for name in able}
            times = interleaved(calls, device, repeats=repeats)
            peak = {name: _peak(functions[name], inputs[0], name) for name in able} if device.type == "cuda" else {}
            dtype_name = str(dtype).removeprefix("torch.")
            yield Row(case.op, case.name, shape, dtype_name, layout, what, times, passes * size / 1e9, peak)


def checked(case: Case, layout: str) -> Check | None:
    """The kernels in Triton's interpreter against the reference; None where there is no interpreter."""
    if not (has_triton() and interpreted()):
        return None
    inputs = case.make(case.small, torch.float32, layout, torch.device("cpu"))
    present = [each for each in inputs if each is not None]
    results: dict[str, list[Tensor]] = {}
    for mode in ("reference", "triton"):
        with _mode(mode):
            y = case.function(*inputs)
            torch.manual_seed(0)
            slopes = torch.autograd.grad(y, present, torch.randn(y.shape), allow_unused=True, materialize_grads=True)
            results[mode] = [y, *slopes]
    pairs = zip(results["triton"], results["reference"], strict=True)
    error = max(
        float(((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1e-6)).detach()) for mine, theirs in pairs
    )
    return Check(case.op, case.name, layout, error)


def _smaller(shape: Sequence[int]) -> tuple[int, ...]:
    """A sixteenth of a size, for the CPU."""
    return (max(shape[0] // 16, 1), *shape[1:])


def _contender(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    if name == "compile":
        return torch.compile(function, fullgraph=True)
    if name == "compile, graphs":
        return torch.compile(function, fullgraph=True, mode="reduce-overhead")
    return function


def _call(function: Callable[..., Tensor], what: str, inputs: Sequence[Inputs], name: str) -> Callable[[int], object]:
    mode = "auto" if name == "kernels" else "reference"

    def forward(number: int) -> object:
        with _mode(mode), torch.no_grad():
            return function(*inputs[number % len(inputs)])

    if what == "forward":
        return forward
    graphs = [_graph(function, each, mode, twice=what == "double backward") for each in inputs]

    def backward(number: int) -> object:
        outputs, leaves, slopes = graphs[number % len(graphs)]
        with _mode(mode):
            return torch.autograd.grad(outputs, leaves, slopes, retain_graph=True, allow_unused=True)

    return backward


def _graph(
    function: Callable[..., Tensor], inputs: Inputs, mode: str, *, twice: bool
) -> tuple[Tensor, list[Tensor], Tensor]:
    """A result with its graph, what it is differentiated by, and the gradient that comes in."""
    leaves = [each for each in inputs if each is not None]
    with _mode(mode):
        y = function(*inputs)
        dy = torch.randn_like(y).requires_grad_(twice)
        if not twice:
            return y, leaves, dy
        (dx,) = torch.autograd.grad(y, leaves[:1], dy, create_graph=True)
    return dx, [*leaves, dy], torch.randn_like(dx)


def _peak(function: Callable[..., Tensor], inputs: Inputs, name: str) -> int:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    with _mode("auto" if name == "kernels" else "reference"):
        y = function(*inputs)
        torch.autograd.grad(y, [each for each in inputs if each is not None], torch.ones_like(y), allow_unused=True)
    return torch.cuda.max_memory_allocated() - before


@contextmanager
def _mode(mode: str) -> Generator[None, None, None]:
    before = os.environ.get("GANFRAME_KERNELS")
    os.environ["GANFRAME_KERNELS"] = mode
    try:
        yield
    finally:
        if before is None:
            del os.environ["GANFRAME_KERNELS"]
        else:
            os.environ["GANFRAME_KERNELS"] = before
