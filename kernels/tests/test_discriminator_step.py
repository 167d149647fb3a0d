"""A whole discriminator step with R1 inside, out of fused operations: compiled as one graph, and by the reference."""

from __future__ import annotations

import pytest
import torch
from ganframe_kernels import ops
from ganframe_kernels.testing import implementation
from torch import Tensor
from torch._dynamo import config as dynamo
from torch.nn import functional as F


def parameters() -> list[Tensor]:
    torch.manual_seed(0)
    shapes = [(4, 3, 4, 4), (4,), (8, 4, 4, 4), (1, 8, 3, 3)]
    return [(torch.randn(shape, dtype=torch.float64) * 0.3).requires_grad_() for shape in shapes]


def discriminator(x: Tensor, first: Tensor, bias: Tensor, second: Tensor, last: Tensor) -> Tensor:
    x = ops.bias_act(F.conv2d(x, first, stride=2, padding=1), bias, act="lrelu")
    x = ops.instance_norm_act(F.conv2d(x, second, stride=2, padding=1), act="lrelu")
    return F.conv2d(x, last, padding=1)


def step(real: Tensor, fake: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
    """Gradients of the non-saturating loss and R1 by the weights."""
    real = real.detach().requires_grad_()
    logits = discriminator(real, *weights)
    (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    penalty = ops.gradient_norm(slope, squared=True).mean()
    loss = ops.patch_loss(logits, True, "bce") + ops.patch_loss(discriminator(fake, *weights), False, "bce")
    return torch.autograd.grad(loss + 0.5 * penalty, weights)


def images() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    real, fake = torch.rand(2, 2, 3, 12, 12, dtype=torch.float64) * 2 - 1
    return real, fake


@pytest.mark.parametrize("name", ["reference", "triton"])
def test_a_step_with_r1_compiles_as_one_graph_and_agrees_with_eager_mode(name):
    torch.compiler.reset()
    with implementation(name), dynamo.patch(trace_autograd_ops=True):
        eager = step(*images(), *parameters())
        compiled = torch.compile(step, fullgraph=True, backend="aot_eager")(*images(), *parameters())
    for mine, theirs in zip(compiled, eager, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)


def test_kernels_and_reference_agree():
    found = {}
    for name in ("reference", "triton"):
        with implementation(name):
            found[name] = step(*images(), *parameters())
    for mine, theirs in zip(found["triton"], found["reference"], strict=True):
        assert bool(theirs.any())
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
