"""spectral_norm_sigma: the shared checks, and its values against PyTorch's spectral norm and singular values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from ganframe_kernels.spectral_norm import spectral_norm_sigma
from ganframe_kernels.testing import (
    ARCHITECTURES,
    Case,
    assert_compiles_ahead,
    checks,
    default_device,
    implementation,
    slow_checks,
)
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


def _unit(size: int, like: Tensor) -> Tensor:
    x = torch.linspace(1.0, 2.0, size, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device).cos()
    return x / x.norm()


def _vectors(weights: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    return [_unit(w.shape[0], w) for w in weights], [_unit(w.shape[1:].numel(), w) for w in weights]


def _sigmas(iterations: int, **weights: Tensor) -> Tensor:
    layers = list(weights.values())
    return spectral_norm_sigma(layers, *_vectors(layers), iterations)[0]


SHAPES = {"a": (2, 2, 1, 3), "b": (1, 5), "c": (3, 2)}
DISCRIMINATOR = {"a": (64, 3, 4, 4), "b": (128, 64, 4, 4), "c": (256, 128, 4, 4), "d": (1, 256, 4, 4)}
CASES = [
    Case("given", partial(_sigmas, 0), shapes=SHAPES, large=DISCRIMINATOR),
    Case("iterated", partial(_sigmas, 2), shapes=SHAPES, large=DISCRIMINATOR),
]


def _fitting(every: list[Callable[[], None]]) -> list[Callable[[], None]]:
    """Without an empty batch, as there is no batch, and without what iterations do not pass.

    They move u and v with the weights, which finite differences see and the gradient leaves out.
    """
    left_out = ("given: empty batch", "iterated: empty batch", "iterated: first order", "iterated: second order")
    return [check for check in every if not check.__name__.startswith(left_out)]


@pytest.mark.parametrize("check", _fitting(checks(CASES)), ids=lambda check: check.__name__)
def test_check(check):
    check()


@pytest.mark.slow
@pytest.mark.parametrize("check", _fitting(slow_checks(CASES)), ids=lambda check: check.__name__)
def test_slow_check(check):
    check()


def test_compiles_ahead():
    assert_compiles_ahead(__file__)


@pytest.mark.slow
def test_compiles_ahead_for_every_architecture():
    assert_compiles_ahead(__file__, ARCHITECTURES)


def _weights(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, device=default_device()) for shape in shapes]


@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize("iterations", [1, 3])
def test_agrees_with_torch(iterations, mode):
    torch.manual_seed(0)
    layers = [nn.Linear(7, 5), nn.Conv2d(3, 2, 3), nn.Linear(7, 5), nn.Linear(300, 40)]
    layers = [spectral_norm(layer.double().to(default_device()), n_power_iterations=iterations) for layer in layers]
    found = [layer.parametrizations.weight for layer in layers]
    weights = [norm.original for norm in found]
    us, vs = [norm[0]._u.clone() for norm in found], [norm[0]._v.clone() for norm in found]
    with implementation(mode):
        sigmas, new_us, new_vs = spectral_norm_sigma(weights, us, vs, iterations)
        slopes = torch.autograd.grad(sigmas.square().sum(), weights)
    for layer, w, sigma, u, v, slope in zip(layers, weights, sigmas, new_us, new_vs, slopes, strict=True):
        torch.testing.assert_close(w / sigma, layer.weight)  # This runs PyTorch's iterations.
        torch.testing.assert_close(u, layer.parametrizations.weight[0]._u)
        torch.testing.assert_close(v, layer.parametrizations.weight[0]._v)
        torch.testing.assert_close(slope, (2 * sigma * u[:, None] * v).reshape(w.shape))
        assert not u.requires_grad
        assert not v.requires_grad


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_converges_to_the_largest_singular_value(mode):
    weights = [w.requires_grad_() for w in _weights((4, 6), (5, 2, 2), (4, 6), (1, 3))]
    with implementation(mode):
        sigmas, us, vs = spectral_norm_sigma(weights, *_vectors(weights), iterations=40)
        again, same_us, same_vs = spectral_norm_sigma(weights, us, vs, iterations=0)
        slopes = torch.autograd.grad(sigmas.sum(), weights)
    exact = torch.stack([torch.linalg.matrix_norm(w.flatten(1), 2) for w in weights])
    torch.testing.assert_close(sigmas, exact)
    torch.testing.assert_close(again, exact)
    # With converged vectors the gradient is that of the singular value itself.
    torch.testing.assert_close(slopes, torch.autograd.grad(exact.sum(), weights))
    for old, new in zip([*us, *vs], [*same_us, *same_vs], strict=True):
        assert torch.equal(old, new)
        torch.testing.assert_close(new.norm(), new.new_ones(()))


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_zero_weight_has_sigma_zero(mode):
    weights = [torch.zeros(3, 2, device=default_device()), torch.ones(2, 2, device=default_device())]
    with implementation(mode):
        sigmas, us, vs = spectral_norm_sigma(weights, *_vectors(weights), iterations=2)
    torch.testing.assert_close(sigmas, torch.tensor([0.0, 2.0], device=default_device()))
    assert torch.equal(us[0], torch.zeros_like(us[0]))
    assert torch.equal(vs[0], torch.zeros_like(vs[0]))


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_tiny_weights_are_not_zero(mode):
    weights = [1e-9 * w for w in _weights((3, 4))]  # Its square, but not itself, is below eps.
    with implementation(mode):
        sigmas, (u,), _ = spectral_norm_sigma(weights, *_vectors(weights), iterations=40)
    torch.testing.assert_close(sigmas[0], torch.linalg.matrix_norm(weights[0], 2), rtol=1e-6, atol=0)
    torch.testing.assert_close(u.norm(), u.new_ones(()))


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_half_weights_with_full_vectors(mode):
    weights = [w.bfloat16() for w in _weights((6, 5), (3, 4))]
    with implementation(mode), torch.autocast(default_device(), dtype=torch.bfloat16):
        sigmas, us, _ = spectral_norm_sigma(weights, *_vectors(weights), iterations=20)
    exact = torch.stack([torch.linalg.matrix_norm(w.float(), 2) for w in weights])
    assert us[0].dtype == torch.float32
    torch.testing.assert_close(sigmas, exact)


def test_is_deterministic_and_leaves_its_inputs():
    weights = _weights((40, 90), (7, 300))
    us, vs = _vectors(weights)
    before = [x.clone() for x in (*weights, *us, *vs)]
    with implementation("triton"):
        first, second = (spectral_norm_sigma(weights, us, vs, iterations=2) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(map(torch.equal, first[1] + first[2], second[1] + second[2]))
    assert all(map(torch.equal, before, (*weights, *us, *vs)))


def test_reference_compiles():
    weights = [w.requires_grad_() for w in _weights((3, 2), (4, 5), (3, 2))]
    with implementation("reference"):
        eager = torch.autograd.grad(_sigmas(2, a=weights[0], b=weights[1], c=weights[2]).sum(), weights)
        compiled = torch.compile(_sigmas, fullgraph=True, backend="aot_eager")
        found = torch.autograd.grad(compiled(2, a=weights[0], b=weights[1], c=weights[2]).sum(), weights)
    torch.testing.assert_close(found, eager)


W, U, V = torch.ones(3, 2), torch.ones(3), torch.ones(2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], [], []), ValueError, "weights: expected at least one; given none"),
        (([W], [U, U], [V]), ValueError, "us: expected one for each of the 1 weights; given 2"),
        (([W], [U], []), ValueError, "vs: expected one for each of the 1 weights; given 0"),
        (([W, W.long()], [U, U], [V, V]), TypeError, r"weights\[1\]: expected one of .*; given torch.int64"),
        (([W, U], [U, U], [V, V]), ValueError, r"weights\[1\]: expected at least 2 dimensions.*; given shape \(3,\)"),
        (([W[:0]], [U[:0]], [V]), ValueError, r"weights\[0\]: expected .* one element; given shape \(0, 2\)"),
        (([W], [V], [V]), ValueError, r"us\[0\]: expected shape \(3,\); given shape \(2,\)"),
        (([W], [U], [U]), ValueError, r"vs\[0\]: expected shape \(2,\); given shape \(3,\)"),
        (([W, W.double()], [U, U], [V, V]), ValueError, r"weights\[1\]: expected torch.float32.*; given torch.float64"),
        (([W], [U], [V.double()]), ValueError, r"vs\[0\]: expected torch.float32.*; given torch.float64"),
        (([W], [U.to("meta")], [V]), ValueError, r"us\[0\]: expected a tensor on cpu; given a tensor on meta"),
        (([W], [U], [V], -1), ValueError, "iterations: expected at least 0; given -1"),
        (([W], [U], [V], 1, 0.0), ValueError, "eps: expected more than 0; given 0.0"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        spectral_norm_sigma(*arguments)
