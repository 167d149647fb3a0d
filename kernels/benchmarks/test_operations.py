"""The cases of `ganframe_kernels.bench` under pytest-benchmark: eager PyTorch and, on a GPU, the kernels.

    python -m pytest kernels/benchmarks [-k NAME] [--benchmark-compare]

`python -m ganframe_kernels.bench` compares with torch.compile as well, goes round copies that no cache holds, and
relates times to the bytes that must be moved.
"""

from __future__ import annotations

import pytest
import torch
from ganframe_kernels.bench.cases import CASES, PASSES
from ganframe_kernels.bench.runner import call_of, shape_on

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CONTENDERS = ("eager", "kernels") if DEVICE.type == "cuda" else ("eager",)
PLACES = [
    pytest.param(case, layout, what, id=f"{case.op}, {case.name}, {layout}, {what}")
    for case in CASES
    for layout in case.layouts
    for what, passes in zip(PASSES, case.passes, strict=True)
    if passes is not None
]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize(("case", "layout", "what"), PLACES)
def test_operation(benchmark, case, layout, what, contender):
    """One pass of one case, for one contender."""
    dtype = torch.bfloat16 if DEVICE.type == "cuda" else torch.float32
    inputs = case.make(shape_on(case, DEVICE), dtype, layout, DEVICE)
    call = call_of(case, contender, what, [inputs])
    benchmark.group = f"{case.op}, {case.name}, {layout}, {what}"

    def run():
        call(0)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    benchmark.pedantic(run, rounds=20 if DEVICE.type == "cuda" else 3, warmup_rounds=1)
