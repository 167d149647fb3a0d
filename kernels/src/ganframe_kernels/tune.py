"""Find the launch configurations that are fastest on this GPU, and where the reference beats the kernels.

    python -m ganframe_kernels.tune --json FILE [--op NAME ...] [--dtype NAME ...] [--layout NAME ...] [--minutes M]

New entries are added to those in the file. `GANFRAME_KERNELS_TUNED=FILE` makes the operations use it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ganframe_kernels.bench.cases import CASES, Case
from ganframe_kernels.bench.contenders import implementation
from ganframe_kernels.bench.runner import Call, able
from ganframe_kernels.bench.timing import interleaved
from ganframe_kernels.tuning import REFERENCE, Tables, recording, using

Clock = Callable[[Mapping[str, Call]], Mapping[str, float]]
"""Measures the milliseconds of each call."""

GAIN = 0.97
"""Largest share of the old time at which a change is kept; closer times may be noise."""

WARPS = 16
"""Largest number of warps of a program."""


def tune(case: Case, dtype: torch.dtype, layout: str, device: torch.device, clock: Clock) -> Tables:
    """Return the fastest choices for one case, by the time of its forward and backward together.

    Args:
        case: The operation and its sizes.
        dtype: The dtype of all inputs.
        layout: NCHW or NHWC.
        device: The device to run on.
        clock: Measures calls.
    """
    torch.compiler.reset()
    inputs = case.make(case.shape, dtype, layout, device)
    kernels = partial(_both, case.call, inputs, "triton")
    with recording() as asked:
        expected = kernels(0)
    found = Tables()
    for key, start in asked.configurations.items():
        best = _descend(key, start, found, kernels, expected, clock)
        if best != start:
            found.configurations[key] = best
    with recording() as asked:
        _both(case.call, inputs, "auto", 0)
    # In a case that calls several operations, the time does not tell which of them is slow.
    if len(set(asked.implementations)) == 1:
        (key,) = set(asked.implementations)
        for word, function in (("eager", case.call), ("compiled", torch.compile(case.call))):
            makers = {"reference": partial(_maker, function, inputs, REFERENCE), "kernels": lambda: kernels}
            calls, _ = able(makers)
            with using(found):
                times = clock(calls)
            if "reference" in times and times["reference"] < GAIN * times.get("kernels", float("inf")):
                found.implementations[key.replace(", eager ", f", {word} ")] = REFERENCE
    return found


def _both(function: Callable[..., Tensor], inputs: Sequence[Tensor | None], name: str, number: int) -> list[Tensor]:
    """Return the result and its gradients by all inputs."""
    del number
    with implementation(name):
        y = function(*inputs)
        leaves = [x for x in inputs if x is not None]
        return [y, *torch.autograd.grad(y, leaves, torch.ones_like(y), allow_unused=True, materialize_grads=True)]


def _maker(function: Callable[..., Tensor], inputs: Sequence[Tensor | None], name: str) -> Call:
    return partial(_both, function, inputs, name)


def _descend(
    key: str, start: Mapping[str, int], found: Tables, call: Call, expected: Sequence[Tensor], clock: Clock
) -> dict[str, int]:
    """Double or halve one parameter at a time, as long as that helps."""
    best, tried = dict(start), [dict(start)]
    while True:
        configurations = {str(neighbour): neighbour for neighbour in _neighbours(best) if neighbour not in tried}
        tried += configurations.values()
        makers = {
            name: partial(_checked, _configured(key, configuration, found, call), expected)
            for name, configuration in configurations.items()
        }
        # Configurations that need more registers or shared memory than the device has are left out.
        calls, _ = able(makers)
        if not calls:
            return best
        times = clock({"now": _configured(key, best, found, call), **calls})
        fastest = min(calls, key=lambda name: times[name])
        if times[fastest] > GAIN * times["now"]:
            return best
        best = configurations[fastest]


def _neighbours(configuration: Mapping[str, int]) -> Iterator[dict[str, int]]:
    for name, value in configuration.items():
        for other in (2 * value, value // 2):
            if other >= 1 and (name != "num_warps" or other <= WARPS):
                yield {**configuration, name: other}


def _configured(key: str, configuration: Mapping[str, int], found: Tables, call: Call) -> Call:
    """Return the call under a configuration for one key, and what was found for the others."""
    tables = found | Tables({key: dict(configuration)})

    def configured(number: int) -> object:
        with using(tables):
            return call(number)

    return configured


def _checked(call: Call, expected: Sequence[Tensor]) -> Call:
    """Return the call itself, after checking its results.

    Raises:
        ArithmeticError: The results are not those expected.
    """
    for mine, theirs in zip(call(0), expected, strict=True):  # pyright: ignore[reportArgumentType]
        scale = theirs.float().abs().max().clamp(min=1e-6)
        if not bool((mine.float() - theirs.float()).abs().max() <= 2e-2 * scale):
            raise ArithmeticError("the result differs from the expected one")
    return call


def _medians(device: torch.device, calls: Mapping[str, Call]) -> Mapping[str, float]:
    return {name: found.median for name, found in interleaved(calls, device, repeats=20).items()}


def main(arguments: list[str] | None = None) -> int:
    """Tune the operations, and write the results after each case.

    Returns:
        0, or 2 where there is no GPU.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ganframe_kernels.tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, required=True, help="the table to create or to extend")
    parser.add_argument("--op", nargs="*", choices=sorted({case.op for case in CASES}), help="only these operations")
    parser.add_argument("--dtype", nargs="*", default=["bfloat16"], choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--layout", nargs="*", default=["NCHW", "NHWC"], choices=["NCHW", "NHWC"])
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start nothing new after this many minutes")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("no CUDA device: there is nothing to tune", file=sys.stderr)  # noqa: T201  of a command
        return 2
    deadline = time.monotonic() + 60 * options.minutes
    device = torch.device("cuda")
    for case, dtype, layout in _places(options):
        if time.monotonic() > deadline:
            break
        found = tune(case, getattr(torch, dtype), layout, device, partial(_medians, device))
        text = f"{case.op}: {case.name}, {dtype}, {layout}: {found.configurations} {list(found.implementations)}"
        print(text, flush=True)  # noqa: T201  of a command
        join(options.json, found)
    return 0


def _places(options: argparse.Namespace) -> Iterator[tuple[Case, str, str]]:
    for dtype in options.dtype:
        for case in CASES:
            for layout in case.layouts:
                if layout in options.layout and (options.op is None or case.op in options.op):
                    yield case, dtype, layout


def join(file: Path, found: Tables) -> None:
    """Add results to the file's tables; a new entry replaces an old one with the same key.

    Raises:
        ValueError: The file does not hold tables.
    """
    before = Tables.read(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else Tables()
    (before | found).write(file)


if __name__ == "__main__":
    sys.exit(main())
