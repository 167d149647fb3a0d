"""Times of functions: by the device's own clock, interleaved, over inputs that no cache holds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CACHE = 256 * 2**20
"""Bytes that exceed the cache of any current GPU."""

AHEAD = 1_000_000
"""Clock cycles that a GPU is kept busy while the CPU launches: about half a millisecond."""


@dataclass(frozen=True)
class Time:
    """Milliseconds of one call.

    Attributes:
        median: Median of all repeats.
        p20: 20th percentile.
        p80: 80th percentile.
    """

    median: float
    p20: float
    p80: float


def interleaved(
    functions: Mapping[str, Callable[[int], object]],
    device: torch.device,
    *,
    repeats: int,
    warmup: int = 3,
    ahead: bool = True,
) -> dict[str, Time]:
    """Time functions in turns, so that drift affects all of them alike.

    Args:
        functions: Each takes the number of the call, by which it selects among copies of its inputs.
        device: The device that they run on.
        repeats: Number of timed calls.
        warmup: Calls before those, in which kernels are compiled.
        ahead: Whether the CPU may get ahead of a GPU, which then never waits for a launch: only the kernels are timed.
            Otherwise the GPU is idle at first, and launches count.
    """
    for number in range(warmup):
        for function in functions.values():
            function(number)
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(repeats):
        for name, function in functions.items():
            taken[name].append(_milliseconds(function, number, device, ahead))
    return {name: _summary(times) for name, times in taken.items()}


def _milliseconds(function: Callable[[int], object], number: int, device: torch.device, ahead: bool) -> float:
    if device.type == "cuda":
        if ahead:
            torch.cuda._sleep(AHEAD)  # pyright: ignore[reportPrivateUsage]
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function(number)
        end.record()
        end.synchronize()
        return start.elapsed_time(end)
    began = time.perf_counter()
    function(number)
    return (time.perf_counter() - began) * 1e3


def _summary(taken: Sequence[float]) -> Time:
    if len(taken) == 1:
        return Time(taken[0], taken[0], taken[0])
    deciles = statistics.quantiles(taken, n=10, method="inclusive")
    return Time(statistics.median(taken), deciles[1], deciles[7])


def copied(inputs: Sequence[Tensor | None], device: torch.device) -> list[tuple[Tensor | None, ...]]:
    """Return enough copies of the inputs that cycling through them misses the cache; one on the CPU."""
    size = sum(x.numel() * x.element_size() for x in inputs if x is not None)
    count = 1 if device.type == "cpu" else max(1, -(-CACHE // max(size, 1)))
    return [_copy(inputs) for _ in range(min(count, 64))]


def _copy(inputs: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    return tuple(
        None if x is None else x.detach().clone(memory_format=torch.preserve_format).requires_grad_(x.requires_grad)
        for x in inputs
    )


def copy_ceiling(device: torch.device, repeats: int = 20) -> float:
    """Return the GB/s that a large copy on the device reads and writes."""
    size = 2**30 if device.type == "cuda" else 2**26
    source = torch.randn(size // 4, device=device)
    target = torch.empty_like(source)
    found = interleaved({"copy": lambda _: target.copy_(source)}, device, repeats=repeats)
    return 2 * size / found["copy"].median / 1e6
