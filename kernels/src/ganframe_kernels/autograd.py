"""Differentiable operators, for eager mode and for torch.compile, from one declaration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import torch
from torch import Tensor
from torch.nn import Parameter

Grads = tuple[Tensor | None, ...]
Tensors = Tensor | Grads


def operator(
    name: str,
    *,
    fake: Callable[..., Tensors],
    backward: Callable[..., Grads],
    save: Callable[..., Grads] | None = None,
    materialize_grads: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a launcher of kernels a differentiable operator.

    The decorated function takes positional arguments with the types of torch.library.custom_op, tensors first and
    options after them, and returns new tensors. It becomes a custom op, which torch.compile, torch.export and fake
    tensors see as one node, and an autograd.Function, whose call costs a third in eager mode. Both share the rest.

    Args:
        name: The custom op's name, `ganframe_kernels::OP_FUNCTION`.
        fake: Returns empty tensors with the shapes, strides and dtypes of the result, for the same arguments.
        backward: `(ctx, *grads)`: returns a gradient or None for each tensor argument. It finds the saved tensors in
            `ctx.saved_tensors` and the options, in their order, in `ctx.options`. It calls operators, so that it is
            differentiable itself.
        save: `(ctx, output, *arguments)`: returns the tensors that the backward needs. None saves every tensor
            argument.
        materialize_grads: Whether the backward gets zeros, and not None, for an output without a gradient.
    """

    def decorate(launch: Callable[..., Any]) -> Callable[..., Any]:
        types = [hint for argument, hint in get_type_hints(launch).items() if argument != "return"]
        tensors = types.count(Tensor) + types.count(Tensor | None)
        options = len(types) - tensors

        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.options = inputs[tensors:]
            ctx.save_for_backward(*(inputs[:tensors] if save is None else save(ctx, output, *inputs)))
            ctx.set_materialize_grads(materialize_grads)

        def padded_backward(ctx: Any, *grads: Tensor | None) -> Grads:
            return *backward(ctx, *grads), *(None,) * options

        custom = torch.library.custom_op(name, launch, mutates_args=())
        custom.register_fake(fake)
        custom.register_autograd(padded_backward, setup_context=setup_context)
        members: dict[str, Callable[..., Any]] = {
            "forward": launch,
            "setup_context": setup_context,
            "backward": padded_backward,
        }
        eager = type(launch.__name__, (torch.autograd.Function,), {k: staticmethod(f) for k, f in members.items()})

        def call(*arguments: Any) -> Any:
            return eager.apply(*arguments) if _is_eager(arguments[0]) else custom(*arguments)

        call.__doc__ = launch.__doc__
        return call

    return decorate


def _is_eager(x: Tensor) -> bool:
    """Return whether nobody traces: neither Dynamo nor, with a subclass of Tensor for x, what runs below it."""
    return not torch.compiler.is_compiling() and type(x) in (Tensor, Parameter)


def vjp(function: Callable[..., Tensors], inputs: Sequence[Tensor | None], grads: Sequence[Tensor | None]) -> Grads:
    """Return the gradients of sum(grad * output) by the inputs, by PyTorch's own autograd; differentiable again.

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
    remaining = iter(found)
    return tuple(None if x is None else next(remaining) for x in inputs)
