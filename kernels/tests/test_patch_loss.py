"""patch_loss: the shared checks, its values against PyTorch's own losses and closed forms, and its errors."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from ganframe_kernels.patch_loss import KINDS, patch_loss, receptive_field
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
from torch.nn import functional as F

SHAPES = {"logits": (2, 2, 3, 1)}
LARGE = {"logits": (16, 1, 30, 30)}


def _pair(shapes):
    return shapes | {"other": shapes["logits"]}


def _labelled(logits: Tensor, kind: str, reduction: str) -> Tensor:
    target = torch.linspace(-0.1, 1.0, logits.shape[0], dtype=logits.dtype, device=logits.device)
    return patch_loss(logits, True, kind, target, reduction=reduction)


CASES = [
    Case("bce mean", partial(patch_loss, real=True, kind="bce"), shapes=SHAPES, large=LARGE),
    Case(
        "least squares labelled", partial(_labelled, kind="least_squares", reduction="sum"), shapes=SHAPES, large=LARGE
    ),
    Case(
        "relativistic none",
        partial(patch_loss, real=False, kind="relativistic", reduction="none"),
        shapes=_pair(SHAPES),
        large=_pair({"logits": (64, 1, 70, 70)}),
    ),
    # Of the other kinds only the formulas differ.
    *(
        Case(
            kind, partial(_labelled, kind=kind, reduction="mean"), shapes={"logits": (2, 3)}, large={"logits": (8, 64)}
        )
        for kind in ("hinge", "hinge_generator", "minimax_generator", "bce")
    ),
]


@pytest.mark.parametrize(
    "check",
    [
        *(check for check in checks(CASES[:3]) if check.__name__ != "bce mean: empty batch"),  # It is nan.
        *(check for check in checks(CASES[3:]) if check.__name__.endswith(" order")),
    ],
    ids=lambda check: check.__name__,
)
def test_check(check):
    check()


@pytest.mark.slow
@pytest.mark.parametrize("check", slow_checks(CASES[:3]), ids=lambda check: check.__name__)
def test_slow_check(check):
    check()


def test_compiles_ahead():
    assert_compiles_ahead(__file__)


@pytest.mark.slow
def test_compiles_ahead_for_every_architecture():
    assert_compiles_ahead(__file__, ARCHITECTURES)


def _scores(*shape: int) -> Tensor:
    torch.manual_seed(0)
    return 3 * torch.randn(shape, dtype=torch.float64, device=default_device())


# From the papers, one score at a time, in torch's own losses where it has them: kind -> (real, fake).
TRUTH = {
    "bce": (nn.BCEWithLogitsLoss(reduction="none"), nn.BCEWithLogitsLoss(reduction="none")),
    "least_squares": (lambda c, t: nn.MSELoss(reduction="none")(c, t) / 2,) * 2,
    "hinge": (
        lambda c, t: nn.HingeEmbeddingLoss(reduction="none")(c, -torch.ones_like(c)),
        lambda c, t: nn.HingeEmbeddingLoss(reduction="none")(-c, -torch.ones_like(c)),
    ),
    "wasserstein": (lambda c, t: -c, lambda c, t: c),
    "hinge_generator": (lambda c, t: -c, lambda c, t: c),
    "minimax_generator": (lambda c, t: torch.log(1 - torch.sigmoid(c)), lambda c, t: torch.log(torch.sigmoid(c))),
}


@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize("kind", TRUTH)
def test_values(kind, mode):
    c = _scores(4, 1, 3, 3)
    with implementation(mode):
        for real, truth in zip((True, False), TRUTH[kind], strict=True):
            expected = truth(c, torch.full_like(c, float(real)))
            torch.testing.assert_close(patch_loss(c, real, kind, reduction="none"), expected)
            torch.testing.assert_close(patch_loss(c, real, kind, reduction="sum"), expected.sum())
            torch.testing.assert_close(patch_loss(c, real, kind), expected.mean())


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_targets_blend_the_two_costs_of_each_sample(mode):
    c, target = _scores(3, 2, 4), torch.tensor([0.0, 0.9, 1.0], dtype=torch.float64, device=default_device())
    spread = target[:, None, None].expand_as(c)
    with implementation(mode):
        torch.testing.assert_close(patch_loss(c, False, "bce", target), F.binary_cross_entropy_with_logits(c, spread))
        soft = patch_loss(c, True, "hinge", target)
        hard = [[patch_loss(c[n], real, "hinge") for real in (False, True)] for n in range(3)]
    expected = hard[0][0] / 3 + (0.1 * hard[1][0] + 0.9 * hard[1][1]) / 3 + hard[2][1] / 3
    torch.testing.assert_close(soft, expected)


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_relativistic_pairs(mode):
    reals, fakes = _scores(2, 1, 4, 4), _scores(2, 1, 4, 4).flip(0) - 1
    with implementation(mode):
        discriminator = patch_loss(reals, True, "relativistic", other=fakes)
        generator = patch_loss(fakes, True, "relativistic", other=reals)
    torch.testing.assert_close(discriminator, -torch.log(torch.sigmoid(reals - fakes)).mean())
    torch.testing.assert_close(generator, -torch.log(torch.sigmoid(fakes - reals)).mean())


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_target_gets_its_gradient(mode):
    c = _scores(2, 3)
    target = torch.tensor([0.3, 0.8], dtype=torch.float64, device=default_device()).requires_grad_()
    with implementation(mode):
        patch_loss(c, True, "bce", target, reduction="sum").backward()
    torch.testing.assert_close(target.grad, -c.sum(1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_finite_far_out(kind, dtype, mode):
    c = torch.tensor([[-1e4, 1e4, 0.0, 1e-4]], dtype=dtype, device=default_device()).requires_grad_()
    other = torch.zeros_like(c) if kind == "relativistic" else None
    half = torch.tensor([0.5], device=default_device())
    with implementation(mode):
        for real, target in ((True, None), (False, None), (True, half)):
            loss = patch_loss(c, real, kind, target, other)
            (slope,) = torch.autograd.grad(loss, c, create_graph=True)
            curvature = torch.zeros_like(c)
            if slope.requires_grad:  # The reference of a linear cost has no second derivative.
                (curvature,) = torch.autograd.grad(slope.square().sum(), c)
            assert loss.dtype == torch.float32
            assert loss.isfinite()
            assert slope.isfinite().all()
            assert curvature.isfinite().all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_small_costs_stay_exact(mode):
    c = torch.tensor([18.0], device=default_device())  # 1 + exp(-18) is 1 in float32.
    with implementation(mode):
        torch.testing.assert_close(patch_loss(c, True, "bce"), torch.exp(-c)[0], rtol=1e-5, atol=0)


@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "relativistic"])
def test_nan_reaches_the_loss(kind, mode):
    c = torch.tensor([0.0, torch.nan], device=default_device())
    with implementation(mode):
        assert patch_loss(c, True, kind).isnan()
        assert patch_loss(c, False, kind).isnan()


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_no_scores(mode):
    c = torch.empty(0, 1, 4, 4, device=default_device()).requires_grad_()
    with implementation(mode):
        loss = patch_loss(c, True, "bce")
        assert loss.isnan()
        assert torch.autograd.grad(loss, c)[0].shape == c.shape
        assert patch_loss(c, True, "bce", reduction="sum") == 0
        assert patch_loss(c, True, "bce", reduction="none").shape == c.shape


def test_large_maps_take_several_programs():
    c = _scores(3, 1, 77, 81)
    with implementation("triton"):
        torch.testing.assert_close(patch_loss(c, True, "wasserstein"), -c.mean())
        again = [patch_loss(c, True, "bce", reduction="sum") for _ in range(2)]
    assert torch.equal(*again)
    torch.testing.assert_close(again[0], F.softplus(-c).sum())


def test_programs_each_with_several_blocks():
    c, g = _scores(1, 40_001).requires_grad_(), torch.tensor(2.0, dtype=torch.float64, device=default_device())
    g.requires_grad_()
    with implementation("triton"):
        loss = patch_loss(c, False, "least_squares", reduction="sum")
        (slope,) = torch.autograd.grad(loss, c, g, create_graph=True)
        dg, dc = torch.autograd.grad(slope, (g, c), c.detach())
    torch.testing.assert_close(loss, c.square().sum() / 2)
    torch.testing.assert_close(slope, 2 * c)
    torch.testing.assert_close(dg, c.square().sum())
    torch.testing.assert_close(dc, 2 * c)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"logits": [1.0]}, TypeError, "logits: expected a torch.Tensor; given list"),
        ({"logits": torch.zeros(3, dtype=torch.int64)}, TypeError, "logits: expected one of .*; given torch.int64"),
        ({"logits": torch.zeros(())}, ValueError, r"logits: expected at least 1 dimension"),
        ({"kind": "lsgan"}, ValueError, "kind: expected one of bce, .*; given 'lsgan'"),
        ({"reduction": "max"}, ValueError, "reduction: expected one of mean, sum, none; given 'max'"),
        ({"target": torch.zeros(2)}, ValueError, r"target: expected shape \(3,\); given shape \(2,\)"),
        ({"target": torch.zeros(3).bool()}, TypeError, "target: expected one of .*; given torch.bool"),
        ({"target": torch.zeros(3, device="meta")}, ValueError, "target: expected a tensor on cpu; given .* meta"),
        ({"other": torch.zeros(3, 2)}, ValueError, "other: expected None for kind='bce'; given Tensor"),
        ({"kind": "relativistic"}, ValueError, "other: expected a tensor for kind='relativistic'; given NoneType"),
        (
            {"kind": "relativistic", "other": torch.zeros(2, 3)},
            ValueError,
            r"other: expected shape \(3, 2\); given shape \(2, 3\)",
        ),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        patch_loss(**{"logits": torch.zeros(3, 2), "real": True, "kind": "bce"} | arguments)


@pytest.mark.parametrize(("n", "size"), [*enumerate([1, 16, 34, 70, 142, 286])])
def test_receptive_field_of_patchgan(n, size):
    # Isola et al. 2017, arXiv:1611.07004, section 6.1.2: n strided convolutions, then two of stride 1; n = 0 is 1x1.
    layers = [(4, 2)] * n + [(4, 1)] * 2 if n else [(1, 1)] * 3
    assert receptive_field(layers) == size


def test_receptive_field_is_where_the_gradient_is():
    layers = [(3, 2), (5, 1), (2, 3), (4, 1)]
    stack = nn.Sequential(*(nn.Conv1d(1, 1, k, s, bias=False) for k, s in layers))
    x = torch.zeros(1, 1, 200, requires_grad=True)
    y = stack(x)
    y[0, 0, y.shape[2] // 2].backward()
    seen = x.grad.flatten().nonzero()
    assert seen.max() - seen.min() + 1 == receptive_field(layers)


def test_receptive_field_bad_layer():
    with pytest.raises(ValueError, match=r"layers: expected pairs .*; given \(4, 0\)"):
        receptive_field([(4, 2), (4, 0)])
