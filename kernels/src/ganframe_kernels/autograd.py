"""Operators that are differentiable in eager mode and under torch.compile, from one description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

Grads = tuple[Tensor | None, ...]
Tensors = Tensor | Grads


def operator(
    *, fake: Callable[..., Tensors], setup_context: Callable[..., None], backward: Callable[..., Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a launcher of kernels a differentiable operator.

    The decorated function takes positional arguments with the types of torch.library.custom_op, and returns new
    tensors. It becomes the custom op `ganframe_kernels::MODULE_NAME`, which torch.compile, torch.export and fake
    tensors see as one node, and an autograd.Function, whose call costs a third in eager mode. Both share the rest:

    Args:
        fake: Returns empty tensors with the shapes, strides and dtypes of the result, for the same arguments.
        setup_context: `(ctx, inputs, output)`: keeps what the backward needs.
        backward: `(ctx, *grads)`: one gradient or None for each argument. It calls operators, so that it is
            differentiable itself.
    """

    def decorate(launch: Callable[..., Any]) -> Callable[..., Any]:
        op = launch.__module__.rpartition(".")[2]
        custom = torch.library.custom_op(f"ganframe_kernels::{op}_{launch.__name__}", launch, mutates_args=())
        custom.register_fake(fake)
        custom.register_autograd(backward, setup_context=setup_context)
        functions = {"forward": launch, "setup_context": setup_context, "backward": backward}
        eager = type(launch.__name__, (torch.autograd.Function,), {k: staticmethod(f) for k, f in functions.items()})

        def call(*arguments: Any) -> Any:
            return eager.apply(*arguments) if _is_eager(arguments[0]) else custom(*arguments)

        call.__doc__ = launch.__doc__
        return call

    return decorate


def _is_eager(x: Tensor) -> bool:
    """Whether nobody traces: neither Dynamo nor, with a subclass of Tensor for x, what runs below it."""
    return not torch.compiler.is_compiling() and type(x) in (Tensor, Parameter)


def vjp(function: Callable[..., Tensors], inputs: Sequence[Tensor | None], grads: Sequence[Tensor | None]) -> Grads:
    """The gradients of sum(grad * output) by the inputs, through PyTorch's own autograd, and differentiable again.

    Args:
        function: Takes the inputs, returns a tensor or a tuple of them.
        inputs: Tensors, or None where an optional one is absent; its gradient is then None.
        grads: One for each output; None stands for zero.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # An input that was computed from another would pass its gradient on to it: views separate them, and keep
        # the connection to the graph for the orders above.
        views = [x if x is None else x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs]
        outputs = function(*views)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        both = zip(outputs, grads, strict=True)
        pairs = [(y, g) for y, g in both if y is not None and g is not None and y.requires_grad]
        present = [x for x in views if x is not None]
        found = torch.autograd.grad(
            [y for y, _ in pairs],
            present,
            [g for _, g in pairs],
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    rest = iter(found)
    return tuple(None if x is None else next(rest) for x in inputs)
