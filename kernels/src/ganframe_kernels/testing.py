"""Checks that every op must pass, for its tests: `@pytest.mark.parametrize("check", checks(CASES))`.

They need TRITON_INTERPRET=1, set before Triton is imported, or a GPU. `python -m ganframe_kernels.testing FILE 90
torch.bfloat16` compiles the kernels behind the CASES of a test file for architectures and dtypes, and fails if one
spills registers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._dynamo import config as dynamo
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from ganframe_kernels import autograd

Shapes = dict[str, tuple[int, ...]]

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}
"""Largest error against the reference in float64, relative to the largest value."""

ARCHITECTURES = (80, 90, 100)
"""Compute capabilities, times 10, that kernels are compiled for."""


@dataclass(frozen=True)
class Case:
    """A way to call an op."""

    name: str
    function: Callable[..., Tensor]
    """Takes the tensors of `shapes` by name."""
    shapes: Shapes
    """Small shapes of floating tensors, all with gradients. The first is the main input, with the batch first."""
    large: Shapes
    """Shapes as in training, for ahead-of-time compilation."""
    draw: dict[str, Callable[..., Tensor]] = field(default_factory=dict[str, Callable[..., Tensor]])
    """Functions that draw tensors, in place of torch.randn: `(shape, dtype=, device=)`."""

    def tensors(
        self, dtype: torch.dtype = torch.float64, *, device: str | None = None, large: bool = False
    ) -> dict[str, Tensor]:
        """Draw inputs that require gradients, the same for each dtype up to rounding."""
        device = device or default_device()
        torch.manual_seed(0)
        shapes = self.large if large else self.shapes
        kind = {"dtype": dtype if device == "meta" else torch.float64, "device": device}
        drawn = {name: self.draw.get(name, torch.randn)(shape, **kind) for name, shape in shapes.items()}
        return {name: x.to(dtype).requires_grad_() for name, x in drawn.items()}


def default_device() -> str:
    """Return the device that the checks run on: "cuda" if available and the interpreter is off, otherwise "cpu"."""
    return "cuda" if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1" else "cpu"


@contextmanager
def implementation(name: str) -> Generator[None]:
    """Set GANFRAME_KERNELS to this value in the context: reference, triton or auto."""
    with patch.dict(os.environ, GANFRAME_KERNELS=name):
        yield


@contextmanager
def poisoned_memory() -> Generator[None]:
    """Fill uninitialised floating memory with nan in the context, so that a result that depends on it shows."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            # On CUDA some operations of PyTorch itself warn that they are not deterministic.
            warnings.filterwarnings("ignore", ".*determinis", UserWarning)
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def orders(function: Callable[..., Tensor], inputs: dict[str, Tensor], order: int) -> list[Tensor]:
    """Return the result and the gradients up to this order, each contracted with fixed random weights for the next."""
    found = [function(**inputs)]
    latest = found
    for level in range(order):
        torch.manual_seed(level + 1)
        terms = [(y * torch.randn(y.shape, dtype=torch.float64, device=y.device).to(y.dtype)).sum() for y in latest]
        total = torch.stack(terms).sum()
        if not total.requires_grad:  # A linear op has no gradients of this order.
            break
        latest = list(
            grad(
                total, list(inputs.values()), create_graph=level + 1 < order, allow_unused=True, materialize_grads=True
            )
        )
        found += latest
    return [y.detach() for y in found]


def assert_close(actual: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float) -> None:
    """Check that the tensors agree with the expected ones, from the reference in float64.

    Raises:
        AssertionError: They do not.
    """
    for index in range(max(len(actual), len(expected))):
        # `orders` may stop early; the remaining gradients are then 0.
        x = actual[index] if index < len(actual) else torch.zeros_like(expected[index])
        y = expected[index] if index < len(expected) else torch.zeros_like(x)
        assert x.shape == y.shape, f"output {index}: shape {tuple(x.shape)} instead of {tuple(y.shape)}"
        if x.numel():
            error, scale = (x.double() - y.double()).abs().max().item(), y.abs().max().item()
            assert error <= tolerance * max(scale, 1.0), f"output {index}: error {error:.3g} at scale {scale:.3g}"


def _positional(case: Case) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    inputs = case.tensors()
    return lambda *values: case.function(**dict(zip(inputs, values, strict=True))), tuple(inputs.values())


def check_first_order(case: Case, fast_mode: bool = True) -> None:
    """Check gradients against finite differences in float64; in the fast mode along random directions."""
    with implementation("triton"):
        assert gradcheck(*_positional(case), fast_mode=fast_mode)


def check_second_order(case: Case, fast_mode: bool = True) -> None:
    """Check gradients of gradients against finite differences in float64; in the fast mode along random directions."""
    with implementation("triton"):
        assert gradgradcheck(*_positional(case), fast_mode=fast_mode)


def _agrees(case: Case, inputs: dict[str, Tensor], order: int, tolerance: float) -> None:
    with implementation("reference"):
        exact = {name: x.detach().double().requires_grad_() for name, x in inputs.items()}
        expected = orders(case.function, exact, order)
    with implementation("triton"), poisoned_memory():
        actual = orders(case.function, inputs, order)
    assert all(y.dtype == x.dtype for y, x in zip(actual[1:], list(inputs.values()) * order, strict=False))
    assert_close(actual, expected, tolerance)


def check_third_order(case: Case) -> None:
    """Check gradients up to order three against the reference in float64."""
    _agrees(case, case.tensors(), 3, TOLERANCE[torch.float64])
    # After a square, the incoming gradient depends on the inputs, so that its own gradient counts as well.
    squared = replace(case, function=lambda **tensors: case.function(**tensors).square())
    _agrees(squared, case.tensors(), 3, TOLERANCE[torch.float64])


def check_dtype(case: Case, dtype: torch.dtype) -> None:
    """Check up to order two that results have the dtype of the inputs, and are near the reference in float64."""
    _agrees(case, case.tensors(dtype), 2, TOLERANCE[dtype])


def channels_last(x: Tensor) -> Tensor:
    """Return x in channels_last."""
    return x.contiguous(memory_format=torch.channels_last)


def strided(x: Tensor) -> Tensor:
    """Return x with gaps in memory, and its last axis not innermost."""
    return (
        torch.stack([x, x], -1).transpose(-2, -3)[..., 0].transpose(-1, -2)
        if x.ndim > 1
        else torch.stack([x, x], -1)[..., 0]
    )


def check_layout(case: Case, change: Callable[[Tensor], Tensor]) -> None:
    """Check that gradients up to order two do not depend on the layout, and that channels_last is kept."""
    inputs = case.tensors()
    name = next(iter(inputs))
    changed = change(inputs[name].detach()).requires_grad_()
    assert not changed.is_contiguous()
    _agrees(case, {**inputs, name: changed}, 2, TOLERANCE[torch.float64])
    if change is channels_last:
        with implementation("triton"):
            y = case.function(**{**inputs, name: changed})
        assert y.ndim != 4 or y.is_contiguous(memory_format=torch.channels_last)


def check_empty_batch(case: Case) -> None:
    """Check that a batch of 0 gives the shapes of the reference, and gradients."""
    inputs = case.tensors()
    name = next(iter(inputs))
    batch = inputs[name].shape[0]
    # Other inputs with one entry for each sample are cut too.
    inputs = {
        key: x[:0].detach().requires_grad_() if x.ndim > 1 and x.shape[0] == batch else x for key, x in inputs.items()
    }
    _agrees(case, inputs, 2, 0.0)


class _Record(TorchDispatchMode):
    """A dispatch mode that records the calls of this package's custom ops."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = list[tuple[Any, tuple[Any, ...]]]()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # pyright: ignore
        if func.namespace == "ganframe_kernels":
            self.calls.append((func, args))
        return func(*args, **(kwargs or {}))


def check_opcheck(case: Case) -> None:
    """Check the custom ops behind a double backward with torch.library.opcheck."""
    with implementation("triton"):
        with patch.object(autograd, "_is_eager", lambda _: False), _Record() as record:
            orders(case.function, case.tensors(), 2)
        assert record.calls
        for op in {op for op, _ in record.calls}:
            arguments = next(arguments for called, arguments in record.calls if called is op)
            fresh = tuple(x.detach().requires_grad_() if isinstance(x, Tensor) else x for x in arguments)
            torch.library.opcheck(op, fresh)


def check_compile(case: Case, backend: str = "aot_eager") -> None:
    """Check that forward and backward compile as one graph and agree with eager mode."""
    torch.compiler.reset()
    with implementation("triton"), warnings.catch_warnings():
        # Inductor itself uses deprecated functions of PyTorch.
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        eager = orders(case.function, case.tensors(), 1)
        compiled = orders(torch.compile(case.function, fullgraph=True, backend=backend), case.tensors(), 1)
    assert_close(compiled, eager, TOLERANCE[torch.float64])


def check_compile_penalty(case: Case) -> None:
    """Check that a step with a gradient penalty compiles as one graph, and that its gradients agree with eager mode."""
    torch.compiler.reset()

    def step(**inputs: Tensor) -> tuple[Tensor, ...]:
        total = case.function(**inputs).square().sum()
        (dx,) = grad(total, [next(iter(inputs.values()))], create_graph=True)
        return grad(total + dx.square().sum(), list(inputs.values()))

    with implementation("triton"), dynamo.patch(trace_autograd_ops=True):
        eager = step(**case.tensors())
        compiled = torch.compile(step, fullgraph=True, backend="aot_eager")(**case.tensors())
    assert_close(compiled, eager, TOLERANCE[torch.float64])


def _named(case: Case, found: dict[str, Callable[[Case], None]]) -> Iterator[Callable[[], None]]:
    for name, check in found.items():
        run = partial(check, case)
        run.__name__ = f"{case.name}: {name}"  # pyright: ignore[reportAttributeAccessIssue]
        yield run


def checks(cases: Sequence[Case]) -> list[Callable[[], None]]:
    """Return every check of every case, and opcheck of the first, as named functions without arguments."""
    every = list[Callable[[], None]]()
    for case in cases:
        # The check of the third order covers float64.
        narrow = (dtype for dtype in TOLERANCE if dtype != torch.float64)
        dtypes = {str(t).removeprefix("torch."): partial(check_dtype, dtype=t) for t in narrow}
        layouts = {"strided": partial(check_layout, change=strided)}
        if len(next(iter(case.shapes.values()))) == 4:
            layouts["channels last"] = partial(check_layout, change=channels_last)
        every += _named(
            case,
            {
                "first order": check_first_order,
                "second order": check_second_order,
                "third order": check_third_order,
                **dtypes,
                **layouts,
                "empty batch": check_empty_batch,
                "compile": check_compile,
                "compile penalty": check_compile_penalty,
            },
        )
    return [*every, *_named(cases[0], {"opcheck": check_opcheck})]


def slow_checks(cases: Sequence[Case]) -> list[Callable[[], None]]:
    """Return the checks that take minutes: every entry of the Jacobians, inductor, and opcheck of each case."""
    every = list[Callable[[], None]]()
    for case in cases:
        every += _named(
            case,
            {
                "first order, every entry": partial(check_first_order, fast_mode=False),
                "second order, every entry": partial(check_second_order, fast_mode=False),
                "inductor": partial(check_compile, backend="inductor"),
                "opcheck": check_opcheck,
            },
        )
    return every


def compile_ahead(cases: Sequence[Case], architectures: Sequence[int], dtypes: Sequence[torch.dtype]) -> Iterator[str]:
    """Compile the kernels behind a double backward of each case at its large shapes, without a GPU.

    Yields:
        A line for each kernel.

    Raises:
        AssertionError: A kernel spills registers, or a case launches none.
    """
    from ganframe_kernels.launch import compiling_ahead  # needs Triton

    for case in cases:
        for arch in architectures:
            with implementation("triton"), compiling_ahead(arch) as compiled:
                for dtype in dtypes:
                    inputs = case.tensors(dtype, device="meta", large=True)
                    orders(case.function, inputs, 2)
                    name, x = next(iter(inputs.items()))
                    if x.ndim == 4:
                        orders(case.function, {**inputs, name: channels_last(x.detach()).requires_grad_()}, 2)
            assert compiled, f"{case.name}: no kernel was launched"
            for kernel in compiled:
                yield f"{case.name}: {kernel}"
                assert kernel.stack == 0, f"{case.name}: {kernel} spills"


def assert_compiles_ahead(
    file: str, architectures: Sequence[int] = (90,), dtypes: Sequence[torch.dtype] = (torch.bfloat16,)
) -> None:
    """Check that the kernels behind the CASES of this test file compile for architectures and dtypes without spills.

    It runs in a process of its own, because Triton may be interpreting in this one.
    """
    command = [sys.executable, "-m", "ganframe_kernels.testing", file, *map(str, (*architectures, *dtypes))]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr


def main() -> None:
    """Run `compile_ahead` on a test file."""
    file, *rest = sys.argv[1:]
    architectures = [int(word) for word in rest if word.isdecimal()]
    dtypes = [dtype for dtype in TOLERANCE if str(dtype) in rest]
    spec = spec_from_file_location(Path(file).stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for line in compile_ahead(module.CASES, architectures, dtypes):
        print(line)  # noqa: T201  the output of `python -m ganframe_kernels.testing`


if __name__ == "__main__":
    main()
