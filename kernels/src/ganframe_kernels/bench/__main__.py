"""Prints how fast the operations are here, and writes it as JSON where asked.

    python -m ganframe_kernels.bench [--op NAME ...] [--dtype NAME ...] [--layout NCHW|NHWC ...] [--json FILE]

On a GPU: PyTorch eager, torch.compile, torch.compile with CUDA graphs, and the kernels. Elsewhere only PyTorch is
timed, at a sixteenth of the size, and the kernels are checked in Triton's interpreter, whose times would mean nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported

from ganframe_kernels.bench.cases import CASES
from ganframe_kernels.bench.report import check_lines, environment, row_lines, write_json
from ganframe_kernels.bench.runner import Check, Row, checked, timed
from ganframe_kernels.bench.timing import copy_ceiling


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark.

    Returns:
        1 where a kernel is further from its reference than 1e-4, else 0.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ganframe_kernels.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--op", nargs="*", choices=sorted({case.op for case in CASES}), help="only these operations")
    parser.add_argument(
        "--dtype", nargs="*", default=["bfloat16", "float32"], choices=["bfloat16", "float16", "float32"]
    )
    parser.add_argument("--layout", nargs="*", default=["NCHW", "NHWC"], choices=["NCHW", "NHWC"])
    parser.add_argument("--repeats", type=int, help="calls that are timed; 100 on a GPU, 5 elsewhere")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    repeats = options.repeats or (100 if device.type == "cuda" else 5)
    cases = [case for case in CASES if not options.op or case.op in options.op]
    facts = environment(device)
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    ceiling = copy_ceiling(device)
    print(f"copy ceiling: {ceiling:,.0f} GB/s\n")
    checks: list[Check] = []
    rows: list[Row] = []
    if device.type == "cpu":
        print(
            "There is no GPU here: PyTorch alone is timed, on the CPU, and the kernels are checked in the interpreter."
        )
        checks = [found for case in cases for layout in options.layout if (found := checked(case, layout))]
        print("\n".join(check_lines(checks)), end="\n\n")
        # The interpreter must not take part in what is timed.
        os.environ["GANFRAME_KERNELS"] = "reference"
    for case in cases:
        for dtype in options.dtype:
            for layout in options.layout:
                found = list(timed(case, getattr(torch, dtype), layout, device, repeats))
                print("\n".join(row_lines(found, ceiling)), flush=True)
                rows += found
    if options.json:
        write_json(options.json, facts, ceiling, rows, checks)
        print(f"wrote {options.json}")
    return int(any(check.error > 1e-4 for check in checks))


if __name__ == "__main__":
    sys.exit(main())
