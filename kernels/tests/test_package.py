"""The package itself: what it needs, how it chooses an implementation, and how it checks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
import torch
from ganframe_kernels import autograd, ops
from ganframe_kernels.bias_act import bias_act
from ganframe_kernels.dispatch import has_triton, use_triton
from ganframe_kernels.testing import (
    Case,
    assert_compiles_ahead,
    check_first_order,
    check_third_order,
    implementation,
)
from torch.autograd.gradcheck import GradcheckError

ROOT = Path(__file__).parents[1]

# Imports every module that does without Triton, and runs an op forward and backward.
USE = """
    import importlib, pkgutil, sys
    from importlib.machinery import PathFinder

    find = PathFinder.find_spec
    absent = ("triton", "ganframe")
    PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in absent else find(name, *rest)
    import torch
    import ganframe_kernels
    from ganframe_kernels import ops

    for module in pkgutil.walk_packages(ganframe_kernels.__path__, "ganframe_kernels."):
        if module.name.rpartition(".")[2] not in ("kernels", "launch", "__main__"):
            importlib.import_module(module.name)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    ops.upsample2d(ops.bias_act(x, torch.zeros(3), act="lrelu"), ops.setup_filter([1, 3, 3, 1])).sum().backward()
    assert x.grad is not None
    assert not any(name.partition(".")[0] in absent for name in sys.modules)
    print(ganframe_kernels.has_triton(), ganframe_kernels.__file__)
"""


def run(code, **environment):
    clean = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET", "GANFRAME_KERNELS")}
    command = [sys.executable, "-W", "error::ImportWarning", "-c", textwrap.dedent(code)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=clean | environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_works_without_triton_and_without_ganframe():
    assert run(USE).startswith("False")


def test_importing_does_not_import_triton():
    assert run("import ganframe_kernels.ops, sys; print('triton' in sys.modules)") == "False\n"


@pytest.mark.slow
def test_the_wheel_works_without_triton_and_without_ganframe(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("ganframe_kernels-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        required = [line for line in archive.read(metadata).decode().splitlines() if line.startswith("Requires-Dist")]
    assert required == ["Requires-Dist: torch", "Requires-Dist: triton>=3.7.1; extra == 'triton'"]
    able, file = run(USE, PYTHONPATH=str(tmp_path / "site")).split()
    assert able == "False"
    assert Path(file).is_relative_to(tmp_path)
    assert (Path(file).parent / "tuned.json").is_file()


@pytest.mark.skipif(not has_triton(), reason="needs Triton")
def test_the_environment_chooses_the_implementation(monkeypatch):
    x = torch.ones(1)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with implementation("reference"):
        assert not use_triton(x, "bias_act")
    with implementation("triton"):
        assert use_triton(x, "bias_act")
    with implementation("auto"):
        assert use_triton(x, "bias_act")
    monkeypatch.delenv("TRITON_INTERPRET")
    with implementation("auto"):
        assert not use_triton(x, "bias_act")
    with implementation("triton"), pytest.raises(RuntimeError, match="given a tensor on cpu"):
        use_triton(x, "bias_act")
    with implementation("fast"), pytest.raises(RuntimeError, match="expected reference, triton or auto; given 'fast'"):
        use_triton(x, "bias_act")


def test_the_implementation_may_change_between_compiled_calls(monkeypatch):
    used = list[str]()
    monkeypatch.setattr("ganframe_kernels.bias_act.reference.bias_act", lambda x, *_: used.append("reference") or x)
    compiled = torch.compile(bias_act, backend="eager")
    with implementation("reference"):
        compiled(torch.ones(2, 3))
    with implementation("triton"):
        compiled(torch.ones(2, 3))
    with implementation("reference"):
        compiled(torch.ones(2, 3))
    assert used == ["reference", "reference"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": [1.0]}, TypeError, "x: expected a torch.Tensor; given list"),
        ({"x": torch.ones(2, 3, dtype=torch.int64)}, TypeError, "x: expected one of .*; given torch.int64"),
        ({"b": torch.ones(4)}, ValueError, r"b: expected shape \(3,\); given shape \(4,\)"),
        ({"b": torch.ones(3, device="meta")}, ValueError, "b: expected a tensor on cpu; given a tensor on meta"),
        ({"dim": 2}, ValueError, "dim: expected an axis of x, which has 2; given 2"),
        ({"act": "gelu"}, ValueError, "act: expected one of linear, relu.*; given 'gelu'"),
        ({"alpha": -1}, ValueError, "alpha: expected a slope of at least 0; given -1.0"),
        ({"clamp": -1}, ValueError, "clamp: expected None or at least 0; given -1"),
    ],
)
def test_errors_name_argument_expected_and_given(arguments, error, message):
    with pytest.raises(error, match=message):
        bias_act(**{"x": torch.ones(2, 3), "b": torch.ones(3), **arguments})


def test_every_op_is_exported_under_its_name():
    assert sorted(ops.__all__) == list(ops.__all__)
    assert all(getattr(ops, name).__name__ == name for name in ops.__all__)


def test_vjp_does_not_count_an_input_twice_that_was_computed_from_another():
    a = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    b = 2 * a
    # d(ab)/da with b fixed is b, and its derivative by a, through b, is 2.
    da, _ = autograd.vjp(lambda a, b: a * b, (a, b), (torch.tensor(1.0, dtype=torch.float64),))
    assert da is not None
    assert da.item() == 6
    (second,) = torch.autograd.grad(da, a)
    assert second.item() == 2


SPILLING = """
import torch, triton, triton.language as tl
from ganframe_kernels.launch import launch
from ganframe_kernels.testing import Case

@triton.jit
def kernel(X, BLOCK: tl.constexpr):
    x = tl.load(X + tl.arange(0, BLOCK))
    # Every element stays in a register until the sum is known: 256 in each of 32 threads.
    tl.store(X + tl.arange(0, BLOCK), x / tl.sum(x * x))

def function(x):
    launch(kernel, (1,), x.detach(), BLOCK=8192, num_warps=1)
    return x * 1

CASES = [Case("spilling", function, {"x": (8192,)}, {"x": (8192,)})]
"""


@pytest.mark.skipif(not has_triton(), reason="needs Triton")
def test_a_spill_and_a_case_without_kernels_are_found(tmp_path):
    file = tmp_path / "cases.py"
    file.write_text(SPILLING)
    with pytest.raises(AssertionError, match=r"spilling: Compiled.* spills"):
        assert_compiles_ahead(str(file), (90,))
    file.write_text(SPILLING.replace("    launch(", "    0 and launch("))
    with pytest.raises(AssertionError, match="spilling: no kernel was launched"):
        assert_compiles_ahead(str(file), (90,))


def test_the_checks_find_a_wrong_gradient():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * 2 * x**2

    def function(x):
        return x**3 if os.environ["GANFRAME_KERNELS"] == "reference" else Wrong.apply(x)

    case = Case("wrong", function, {"x": (2, 3)}, {"x": (2, 3)})
    with pytest.raises(GradcheckError):
        check_first_order(case)
    with pytest.raises(AssertionError, match="output 1: error"):
        check_third_order(case)


def test_the_checks_find_a_result_that_was_never_written():
    def function(x):
        if os.environ["GANFRAME_KERNELS"] == "reference":
            return x * 0
        # Memory is often 0, and then nobody sees that only the first row was written.
        return torch.cat([x[:1] * 0, torch.empty_like(x[1:])])

    with pytest.raises(AssertionError, match="output 0: error nan"):
        check_third_order(Case("unwritten", function, {"x": (2, 3)}, {"x": (2, 3)}))
