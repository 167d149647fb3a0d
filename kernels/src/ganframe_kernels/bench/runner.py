"""Timing of operations and whole steps by every contender, and checks of the kernels where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.bench.cases import PASSES, Case, Inputs
from ganframe_kernels.bench.contenders import GRAPHS, OPERATIONS, STEPS, compiling, implementation, prepared
from ganframe_kernels.bench.steps import System, Turns
from ganframe_kernels.bench.timing import Time, copied, interleaved
from ganframe_kernels.dispatch import has_triton, interpreted

Call = Callable[[int], object]


@dataclass(frozen=True)
class Row:
    """The times of one pass of one case.

    Attributes:
        op: The operation.
        case: The case of the operation.
        shape: Shape of the main input.
        dtype: Its dtype.
        layout: NCHW or NHWC.
        what: Forward, backward or double backward.
        bound: The limit of the kernels; see `Case`.
        times: By contender: `eager`, `compile`, `compile, graphs`, `kernels`, `nvidia`.
        gigabytes: Fewest bytes that the pass must move, in 1e9.
        peak: Peak bytes that forward and backward allocated, by contender; only for the backward, on CUDA.
        failures: Errors, by contender that could not be timed.
    """

    op: str
    case: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    what: str
    bound: str
    times: dict[str, Time]
    gigabytes: float
    peak: dict[str, int]
    failures: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class StepRow:
    """The times of one kind of step of one system, in channels_last, with bfloat16 by autocast.

    Attributes:
        system: Name of the system.
        what: `plain`, or the penalties of the step.
        batch: Examples of a step.
        times: By contender: `eager`, `compile`, `kernels`, `kernels, compile`, and with CUDA graphs.
        peak: Peak bytes that the step allocated, by contender.
        failures: Errors, by contender that could not be timed.
    """

    system: str
    what: str
    batch: int
    times: dict[str, Time]
    peak: dict[str, int]
    failures: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Check:
    """The error of the kernels against the reference.

    Attributes:
        op: The operation or system.
        case: The case of the operation, or the kind of step.
        layout: NCHW or NHWC.
        error: Largest |kernel - reference| / largest |reference|, over the result and its gradients.
    """

    op: str
    case: str
    layout: str
    error: float


def timed(
    case: Case, dtype: torch.dtype, layout: str, device: torch.device, repeats: int, nvidia: Any = None
) -> Iterator[Row]:
    """Time each pass of a case.

    Args:
        case: The operation and its sizes.
        dtype: The dtype of all inputs.
        layout: NCHW or NHWC.
        device: The device to run on.
        repeats: Number of timed calls.
        nvidia: NVIDIA's functions, by name, or None.
    """
    torch.compiler.reset()
    shape = shape_on(case, device)
    inputs = copied(case.make(shape, dtype, layout, device), device)
    functions = _functions(case, device, nvidia)
    size = inputs[0][0].numel() * inputs[0][0].element_size()  # pyright: ignore[reportOptionalMemberAccess]
    for what, passes in zip(PASSES, case.passes, strict=True):
        if passes is None:
            continue
        with compiling():
            makers = {name: partial(_call, name, function, what, inputs) for name, function in functions.items()}
            calls, failures = able(makers)
            times = interleaved(calls, device, repeats=repeats, ahead=case.bound != "launches")
            peak = dict[str, int]()
            if what == "backward" and device.type == "cuda":
                peak = {name: _most(partial(_both, name, functions[name], inputs[0])) for name in calls}
        yield Row(
            case.op,
            case.name,
            shape,
            str(dtype).removeprefix("torch."),
            layout,
            what,
            case.bound,
            times,
            passes * size / 1e9,
            peak,
            failures,
        )


def timed_steps(system: System, device: torch.device, repeats: int) -> Iterator[StepRow]:
    """Time each kind of step."""
    torch.compiler.reset()
    kinds = system.build(system.batch, system.shape, device, torch.float32)
    for what, turns in kinds.items():
        names = (*STEPS, *(GRAPHS if system.by_graphs else ()))
        with compiling():
            calls, failures = able({name: partial(_step, turns, name) for name in names})
            peak = {name: _most(partial(call, 0)) for name, call in calls.items()} if device.type == "cuda" else {}
            times = interleaved(calls, device, repeats=repeats, ahead=False)
        yield StepRow(system.name, what, system.batch, times, peak, failures)


def able(makers: Mapping[str, Callable[[], Call]]) -> tuple[dict[str, Call], dict[str, str]]:
    """Return the calls that can be made, each tried once, and the errors of the others."""
    calls, failures = dict[str, Call](), dict[str, str]()
    for name, make in makers.items():
        try:
            call = make()
            call(0)
        # An error of one contender, such as lack of memory, must not stop the others.
        except Exception as error:
            failures[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            calls[name] = call
    return calls, failures


def checked(case: Case, layout: str) -> Check | None:
    """Check the kernels against the reference at a tiny size, on a GPU or in the interpreter; None without either."""
    device = _able_device()
    if device is None:
        return None
    inputs = case.make(case.small, torch.float32, layout, device)
    present = [x for x in inputs if x is not None]
    results: dict[str, list[Tensor]] = {}
    for mode in ("reference", "triton"):
        with implementation(mode):
            y = case.call(*inputs)
            torch.manual_seed(0)
            dy = torch.randn(y.shape, device=device)
            slopes = torch.autograd.grad(y, present, dy, allow_unused=True, materialize_grads=True)
            results[mode] = [y, *slopes]
    pairs = zip(results["triton"], results["reference"], strict=True)
    error = max(
        float(((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1e-6)).detach()) for mine, theirs in pairs
    )
    return Check(case.op, case.name, layout, error)


def checked_steps(system: System) -> Iterator[Check]:
    """Check each kind of step against the reference, at a tiny size in float64; nothing where kernels cannot run."""
    device = _able_device()
    if device is None:
        return
    torch.manual_seed(0)
    kinds = system.build(2, system.small, device, torch.float64)
    for what, turns in kinds.items():
        error = 0.0
        for turn in turns:
            found = dict[str, list[Tensor]]()
            for mode in ("reference", "triton"):
                torch.manual_seed(1)
                turn.optimizer.zero_grad()
                with implementation(mode):
                    loss = turn.gradients(turn.loss)
                found[mode] = [loss, *(torch.zeros_like(p) if p.grad is None else p.grad for p in turn.parameters)]
            scale = max(float(x.abs().max()) for x in found["reference"])
            pairs = zip(found["triton"], found["reference"], strict=True)
            error = max(error, *(float((mine - theirs).abs().max()) / scale for mine, theirs in pairs))
        yield Check(system.name, what, "NHWC", error)


def _able_device() -> torch.device | None:
    """Return a device that kernels can run on, or None."""
    if has_triton() and interpreted():
        return torch.device("cpu")
    return torch.device("cuda") if has_triton() and torch.cuda.is_available() else None


def shape_on(case: Case, device: torch.device) -> tuple[int, ...]:
    """Return the shape of the main input: that of the case on a GPU, a sixteenth of the batch elsewhere."""
    return case.shape if device.type == "cuda" else (max(case.shape[0] // 16, 1), *case.shape[1:])


def call_of(case: Case, name: str, what: str, inputs: Sequence[Inputs]) -> Call:
    """Return a call of one pass of a case, cycling through copies of the inputs, for a contender except NVIDIA's."""
    return _call(name, _function(case, name), what, inputs)


def _functions(case: Case, device: torch.device, nvidia: Any) -> dict[str, Callable[..., Tensor]]:
    """Return the function that each contender calls."""
    names = OPERATIONS if device.type == "cuda" else OPERATIONS[:2]
    functions = {name: _function(case, name) for name in names}
    if nvidia is not None and case.nvidia is not None:
        functions["nvidia"] = partial(case.nvidia, nvidia)
    return functions


def _function(case: Case, name: str) -> Callable[..., Tensor]:
    return case.call if case.baseline is None or name == "kernels" else case.baseline


def _call(name: str, function: Callable[..., Tensor], what: str, inputs: Sequence[Inputs]) -> Call:
    """Return a call of one pass, cycling through the copies of the inputs."""
    if what == "forward":
        run = prepared(function, name)

        def forward(number: int) -> object:
            with torch.no_grad():
                return run(*inputs[number % len(inputs)])

        return forward
    # A CUDA graph overwrites the previous result.
    copies = inputs[:1] if name.endswith("graphs") else inputs
    graphs = [_graph(function, copy, name, twice=what == "double backward") for copy in copies]

    def backward(number: int) -> object:
        outputs, leaves, slopes = graphs[number % len(graphs)]
        with implementation("auto" if name == "kernels" else "reference"):
            return torch.autograd.grad(outputs, leaves, slopes, retain_graph=True, allow_unused=True)

    return backward


def _graph(
    function: Callable[..., Tensor], inputs: Inputs, name: str, *, twice: bool
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Return a result with its graph, the tensors to differentiate by, and the incoming gradient."""
    leaves = [x for x in inputs if x is not None]
    if not twice:
        y = prepared(function, name)(*inputs)
        return y, leaves, torch.randn_like(y)

    def slope(dy: Tensor, x: Tensor, *others: Tensor | None) -> Tensor:
        (dx,) = torch.autograd.grad(function(x, *others), x, dy, create_graph=True)
        return dx

    with torch.no_grad(), implementation("reference"):
        dy = torch.randn_like(function(*inputs)).requires_grad_()
    dx = prepared(slope, name)(dy, *inputs)
    return dx, [*leaves, dy], torch.randn_like(dx)


def _step(turns: Turns, name: str) -> Call:
    """Return a call of a whole step."""
    losses = [prepared(turn.loss, name) for turn in turns]

    def step(number: int) -> None:
        # The backward of a loss runs operators as well.
        with implementation("auto" if name.startswith("kernels") else "reference"):
            for turn, loss in zip(turns, losses, strict=True):
                turn.take(loss)

    return step


def _both(name: str, function: Callable[..., Tensor], inputs: Inputs) -> None:
    """Run forward and backward once."""
    y, leaves, dy = _graph(function, inputs, name, twice=False)
    with implementation("auto" if name == "kernels" else "reference"):
        torch.autograd.grad(y, leaves, dy, allow_unused=True)


def _most(call: Callable[[], object]) -> int:
    """Return the peak of allocated bytes during a call, beyond those before it."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
