"""Measure the speed of the operations and of whole training steps; print it, and write it as JSON on request.

    python -m ganframe_kernels.bench [--op NAME ...] [--dtype NAME ...] [--layout NCHW|NHWC ...] [--no-steps]
                                     [--no-operations] [--nvidia FOLDER] [--minutes M] [--json FILE]

On a GPU: PyTorch eager, torch.compile, torch.compile with CUDA graphs, and the kernels; NVIDIA's own operations as
well, if the folder that holds their `torch_utils` is given. Elsewhere only PyTorch is timed, at a sixteenth of the
size, and the kernels are checked in Triton's interpreter, whose times would be meaningless.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported

from ganframe_kernels.bench import nvidia
from ganframe_kernels.bench.cases import CASES
from ganframe_kernels.bench.report import Result, check_lines, environment, row_lines, step_lines
from ganframe_kernels.bench.runner import checked, checked_steps, timed, timed_steps
from ganframe_kernels.bench.steps import SYSTEMS
from ganframe_kernels.bench.targets import lines, targets
from ganframe_kernels.bench.timing import copy_ceiling


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark.

    Returns:
        1 if a kernel differs from its reference by more than 1e-4, or fails on a GPU, otherwise 0.
    """
    options = _options(arguments)
    deadline = time.monotonic() + 60 * options.minutes
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result = Result(environment(device), copy_ceiling(device))
    print("\n".join(f"{name}: {value}" for name, value in result.environment.items()))
    print(f"copy ceiling: {result.ceiling:,.0f} GB/s\n")
    if device.type == "cpu":
        _check(result, options)
    else:
        _time_steps(result, options, device, deadline)
    if options.operations:
        _time_operations(result, options, device, deadline)
    if device.type == "cuda":
        print("\nTargets:", *lines(targets(result.as_json())), sep="\n  ")
    if options.json:
        result.write(options.json)
        print(f"wrote {options.json}")
    failed = any("kernels" in name for row in (*result.rows, *result.steps) for name in row.failures)
    return int(failed or any(check.error > 1e-4 for check in result.checks))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(
        prog="python -m ganframe_kernels.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--op", nargs="*", choices=sorted({case.op for case in CASES}), help="only these operations")
    parser.add_argument(
        "--dtype",
        nargs="*",
        default=["bfloat16", "float32"] if on_gpu else ["float32"],
        choices=["bfloat16", "float16", "float32"],
    )
    parser.add_argument(
        "--layout", nargs="*", default=["NCHW", "NHWC"] if on_gpu else ["NCHW"], choices=["NCHW", "NHWC"]
    )
    parser.add_argument("--steps", action=argparse.BooleanOptionalAction, help="whole steps; by default without --op")
    parser.add_argument("--operations", action=argparse.BooleanOptionalAction, default=True, help="single operations")
    parser.add_argument("--repeats", type=int, help="number of timed calls; 100 on a GPU (20 for steps), 5 elsewhere")
    parser.add_argument("--nvidia", type=Path, metavar="FOLDER", help="the folder that holds NVIDIA's torch_utils")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start nothing new after this many minutes")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args(arguments)
    options.steps = options.op is None if options.steps is None else options.steps
    options.cases = [case for case in CASES if options.op is None or case.op in options.op]
    try:
        options.nvidia = options.nvidia and nvidia.functions(options.nvidia)
    except ValueError as error:
        parser.error(str(error))
    return options


def _check(result: Result, options: argparse.Namespace) -> None:
    print("There is no GPU here: only PyTorch is timed, on the CPU, and the kernels are checked in the interpreter.")
    for case in options.cases if options.operations else ():
        result.checks += filter(None, (checked(case, layout) for layout in case.layouts if layout in options.layout))
    if options.steps:
        print("Whole steps run only for correctness, with tiny networks.")
        for system in SYSTEMS:
            result.checks += checked_steps(system)
    print("\n".join(check_lines(result.checks)), end="\n\n")
    # The interpreter must not run while calls are timed.
    os.environ["GANFRAME_KERNELS"] = "reference"


def _time_steps(result: Result, options: argparse.Namespace, device: torch.device, deadline: float) -> None:
    for system in SYSTEMS if options.steps else ():
        if time.monotonic() > deadline:
            result.left_out.append(system.name)
            continue
        for row in timed_steps(system, device, options.repeats or 20):
            result.steps.append(row)
            print("\n".join(step_lines([row])), flush=True)
            _keep(result, options)


def _time_operations(result: Result, options: argparse.Namespace, device: torch.device, deadline: float) -> None:
    """Time every case in the first dtype before any in the second."""
    repeats = options.repeats or (100 if device.type == "cuda" else 5)
    for dtype in options.dtype:
        for case in options.cases:
            for layout in case.layouts:
                if layout not in options.layout:
                    continue
                if time.monotonic() > deadline:
                    result.left_out.append(f"{case.op}: {case.name}, {dtype}, {layout}")
                    continue
                rows = list(timed(case, getattr(torch, dtype), layout, device, repeats, options.nvidia))
                result.rows += rows
                print("\n".join(row_lines(rows, result.ceiling)), flush=True)
                _keep(result, options)


def _keep(result: Result, options: argparse.Namespace) -> None:
    """Write the results so far, so that they are kept if the benchmark is stopped."""
    if options.json:
        result.write(options.json)


if __name__ == "__main__":
    sys.exit(main())
