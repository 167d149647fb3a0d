"""The losses against quadrature, closed forms and f itself. Formulas here are those of the table, written anew."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from ganframe_f_divergence import (
    FGAN,
    KL,
    Alpha,
    FDivergence,
    Jeffrey,
    JensenShannon,
    Neyman,
    Pearson,
    ReverseKL,
    SquaredHellinger,
    TotalVariation,
    WeightedJensenShannon,
)
from ganframe_f_divergence.numerical import NumericalDivergence, conjugate
from pydantic import ValidationError
from scipy.special import lambertw
from torch import Tensor

from ganframe.config import Experiment
from ganframe.game import DiscriminatorOutput
from ganframe.training.assembly import assemble

double = {"dtype": torch.float64}
inf = math.inf
Function = Callable[[Any], Any]


@dataclass
class Row:
    """A row of the table.

    Attributes:
        config: The loss.
        f: f(u), in numpy or torch.
        at: The raw output v at which g(v) = f'(u), as a function of ln u.
        conjugate: f*(t), in numpy.
        domain: Where f* is finite.
        figure: D_f of N(0, 1) and N(0.7, 1), as the table says.
        closed: D_f of N(0, 1) and N(m, s^2) where that has a closed form.
    """

    config: FDivergence
    f: Function
    at: Function
    conjugate: Function
    domain: tuple[float, float]
    figure: float
    closed: Callable[[float, float], float] = field(default=lambda m, s: math.nan)


def log(u: Any) -> Any:
    return u.log() if isinstance(u, Tensor) else np.log(u)


def kl(m: float, s: float) -> float:
    """KL(N(0, 1) || N(m, s^2))."""
    return math.log(s) + (1 + m**2) / (2 * s**2) - 0.5


def reverse_kl(m: float, s: float) -> float:
    return -math.log(s) + (s**2 + m**2) / 2 - 0.5


def power(a: float, m: float, s: float) -> float:
    """The integral of p^a q^(1 - a), a Gaussian one."""
    precision, linear = a + (1 - a) / s**2, (1 - a) * m / s**2
    constant = (1 - a) * m**2 / s**2
    return s ** (a - 1) / math.sqrt(precision) * math.exp((linear**2 / precision - constant) / 2)


def alpha_row(a: float, figure: float) -> Row:
    above = a > 1
    edge = 1 / (1 - a)

    def conjugate(t: Any) -> Any:
        bracket = t * (a - 1) + 1
        return (np.maximum(bracket, 0) if above else bracket) ** (a / (a - 1)) / a - 1 / a

    def at(l: Any) -> Any:
        """f'(u) = (u^(a - 1) - 1)/(a - 1)."""
        rest = np.exp((a - 1) * l) / (1 - a)
        return edge - rest if above else -rest - np.log(-np.expm1(-rest))

    return Row(
        Alpha(alpha=a),
        lambda u: (u**a - 1 - a * (u - 1)) / (a * (a - 1)),
        at,
        conjugate,
        (-inf, inf) if above else (-inf, edge),
        figure,
        lambda m, s: (power(a, m, s) - 1) / (a * (a - 1)),
    )


def weighted(pi: float, figure: float) -> Row:
    return Row(
        WeightedJensenShannon(pi=pi),
        lambda u: pi * u * log(u) - (1 - pi + pi * u) * log(1 - pi + pi * u),
        lambda l: -np.log(np.expm1(pi * np.logaddexp(0, math.log((1 - pi) / pi) - l))),
        lambda t: (1 - pi) * np.log((1 - pi) / (1 - pi * np.exp(t / pi))),
        (-inf, -pi * math.log(pi)),
        figure,
    )


def lambert(t: Any) -> Any:
    return lambertw(np.exp(1 - t)).real


ROWS = {
    "total-variation": Row(
        TotalVariation(),
        lambda u: abs(u - 1) / 2,
        lambda l: 1e4 * np.sign(l),
        lambda t: t,
        (-0.5, 0.5),
        0.273661302,
    ),
    "kl": Row(KL(), lambda u: u * log(u), lambda l: 1 + l, lambda t: np.exp(t - 1), (-inf, inf), 0.245, kl),
    "reverse-kl": Row(
        ReverseKL(), lambda u: -log(u), lambda l: l, lambda t: -1 - np.log(-t), (-inf, 0), 0.245, reverse_kl
    ),
    "pearson": Row(
        Pearson(),
        lambda u: (u - 1) ** 2,
        lambda l: 2 * np.expm1(l),
        lambda t: np.where(t < -2, -1, t**2 / 4 + t),
        (-inf, inf),
        0.632316220,
        lambda m, s: power(2, m, s) - 1,
    ),
    "neyman": Row(
        Neyman(),
        lambda u: (1 - u) ** 2 / u,
        lambda l: 2 * l,
        lambda t: 2 - 2 * np.sqrt(1 - t),
        (-inf, 1),
        0.632316220,
        lambda m, s: power(-1, m, s) - 1,
    ),
    "squared-hellinger": Row(
        SquaredHellinger(),
        lambda u: (u**0.5 - 1) ** 2,
        lambda l: l / 2,
        lambda t: t / (1 - t),
        (-inf, 1),
        0.118823873,
        lambda m, s: 2 - 2 * power(0.5, m, s),
    ),
    "jeffrey": Row(
        Jeffrey(),
        lambda u: (u - 1) * log(u),
        lambda l: l - np.expm1(-l),
        lambda t: lambert(t) + 1 / lambert(t) + t - 2,
        (-inf, inf),
        0.49,
        lambda m, s: kl(m, s) + reverse_kl(m, s),
    ),
    "jensen-shannon": Row(
        JensenShannon(),
        lambda u: -(u + 1) * log((1 + u) / 2) + u * log(u),
        lambda l: l,
        lambda t: -np.log(2 - np.exp(t)),
        (-inf, math.log(2)),
        0.115533739,
    ),
    "weighted-jensen-shannon": weighted(0.3, 0.048915743),
    "f-gan": Row(
        FGAN(),
        lambda u: u * log(u) - (u + 1) * log(u + 1),
        lambda l: l,
        lambda t: -np.log(1 - np.exp(t)),
        (-inf, 0),
        -1.270760622,
    ),
    "alpha below 1": alpha_row(0.5, 0.237647747),
    "alpha above 1": alpha_row(1.5, 0.268953809),
    "alpha below 0": alpha_row(-0.5, math.nan),
    "alpha far above 1": alpha_row(2.5, math.nan),
}
PAIRS = [(0.7, 1.0), (0.4, 0.9), (-0.5, 1.1)]
"""Mean and standard deviation of q; p is N(0, 1). `neyman` and `alpha` need tails that allow their integrals."""

rows = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
pairs = pytest.mark.parametrize(("mean", "deviation"), PAIRS)


def densities(mean: float, deviation: float) -> tuple[Any, Any, Any, float]:
    """ln(p/q), p and q on a fine grid, and its step; the trapezoid rule is then exact to about 1e-10."""
    x, step = np.linspace(-14, 14, 400_001, retstep=True)
    log_p = -(x**2) / 2 - math.log(2 * math.pi) / 2
    log_q = -(((x - mean) / deviation) ** 2) / 2 - math.log(2 * math.pi) / 2 - math.log(deviation)
    return log_p - log_q, np.exp(log_p), np.exp(log_q), step


def bound(row: Row, v: Any, p: Any, q: Any, step: float) -> float:
    """E_p[T] - E_q[f*(T)] at raw outputs v."""
    loss = row.config.build()
    raw = torch.from_numpy(np.asarray(v))
    return float((-loss.real_loss(raw).numpy() * p - loss.fake_loss(raw).numpy() * q).sum() * step)


@rows
def test_the_best_discriminator_reaches_the_figure_of_the_table(row: Row):
    log_u, p, q, step = densities(*PAIRS[0])
    expected = row.closed(*PAIRS[0]) if math.isnan(row.figure) else row.figure
    assert bound(row, row.at(log_u), p, q, step) == pytest.approx(expected, abs=1e-9)


@rows
@pairs
def test_the_best_discriminator_reaches_the_divergence(row: Row, mean: float, deviation: float):
    """D_f by quadrature of its definition, and in closed form where there is one."""
    log_u, p, q, step = densities(mean, deviation)
    found = bound(row, row.at(log_u), p, q, step)
    assert found == pytest.approx(float((q * row.f(np.exp(log_u))).sum() * step), abs=1e-9)
    closed = row.closed(mean, deviation)
    assert math.isnan(closed) or found == pytest.approx(closed, abs=1e-9)


@rows
@pairs
def test_no_discriminator_does_better(row: Row, mean: float, deviation: float):
    log_u, p, q, step = densities(mean, deviation)
    best = bound(row, row.at(log_u), p, q, step)
    x = np.linspace(-14, 14, len(log_u))
    for size in (0.01, 3.0, 100.0):
        other = np.clip(row.at(log_u), -50, 50) + size * np.sin(3 * x)
        assert bound(row, other, p, q, step) < best + 1e-12


@rows
def test_the_threshold_is_where_p_equals_q(row: Row):
    """At u = 1 the raw output is the threshold, and f*(f'(1)) = f'(1) - f(1)."""
    assert row.config.decision_threshold == pytest.approx(float(row.at(np.float64(0))), abs=1e-12)
    loss, at = row.config.build(), torch.tensor(row.config.decision_threshold, **double)
    assert loss.fake_loss(at).item() == pytest.approx(-loss.real_loss(at).item() - row.f(np.float64(1)), abs=1e-12)


@rows
def test_outputs_fill_the_domain_of_the_conjugate(row: Row):
    """T rises from end to end of the domain and never leaves it."""
    v = torch.cat([-torch.logspace(4, -3, 2000, **double), torch.logspace(-3, 4, 2000, **double)])
    t = -row.config.build().real_loss(v)
    low, high = row.domain
    assert bool((t.diff() >= 0).all())
    assert bool(((t >= low) & (t <= high)).all())
    assert bool((t.diff()[1500:2500] > 0).all())
    assert t[0] == pytest.approx(low, abs=1e-9) if low > -inf else t[0] < -30
    assert t[-1] == pytest.approx(high, abs=1e-9) if high < inf else t[-1] > 30


@rows
def test_the_conjugate_is_that_of_the_table(row: Row):
    v = torch.linspace(-8, 8, 161, **double)
    loss = row.config.build()
    t = -loss.real_loss(v).numpy()
    np.testing.assert_allclose(loss.fake_loss(v).numpy(), row.conjugate(t), rtol=1e-9, atol=1e-12)


@rows
def test_the_conjugate_is_the_largest_gap_below_f(row: Row):
    """f*(t) = sup_u (ut - f(u)), with the best u on a fine grid."""
    u = np.exp(np.linspace(-25, 25, 200_001))
    loss, v = row.config.build(), torch.linspace(-3, 3, 13, **double)
    for t, found in zip((-loss.real_loss(v)).tolist(), loss.fake_loss(v).tolist(), strict=True):
        assert found == pytest.approx(float((u * t - row.f(u)).max()), rel=1e-6, abs=1e-6)


@rows
@pytest.mark.parametrize("non_saturating", [False, True])
def test_the_generators_sides(row: Row, non_saturating: bool):
    """-E_q[f*(T)], or -E_q[T], whatever the reals are."""
    loss = row.config.model_copy(update={"non_saturating": non_saturating}).build()
    fake = torch.tensor([-1.2, 0.3, 2.0], **double)
    found = loss.generator(DiscriminatorOutput(torch.zeros(3)), DiscriminatorOutput(fake))
    t = -row.config.build().real_loss(fake).numpy()
    torch.testing.assert_close(found.item(), float(-(t if non_saturating else row.conjugate(t)).mean()))


@rows
def test_gradients_where_the_generator_does_not_saturate(row: Row):
    loss = row.config.model_copy(update={"non_saturating": True}).build()
    fake = torch.linspace(-4, 4, 9, **double).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: loss.generator(DiscriminatorOutput(v), DiscriminatorOutput(v)), fake)


@rows
@pytest.mark.parametrize("size", [20.0, 29.0, 33.0, 1e2, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_out_gradients_are_finite_and_point_the_right_way(row: Row, size: float, dtype: torch.dtype):
    for v in (-size, size):
        raw = torch.tensor([v], dtype=dtype, requires_grad=True)
        for cost, sign in ((row.config.build().real_loss, -1), (row.config.build().fake_loss, 1)):
            value = cost(raw)
            (slope,) = torch.autograd.grad(value.sum(), raw)
            assert bool(value.isfinite().all() & slope.isfinite().all())
            assert slope.item() * sign >= 0


@pytest.mark.parametrize("name", ["kl", "jeffrey", "squared-hellinger", "alpha below 1"])
def test_fakes_that_are_taken_for_real_keep_a_large_gradient(name: str):
    """Where e^v is continued as a line, the discriminator still pays by a constant, large slope."""
    raw = torch.tensor([100.0, 1e4], requires_grad=True)
    ROWS[name].config.build().fake_loss(raw).sum().backward()
    assert raw.grad[0].item() == pytest.approx(raw.grad[1].item(), rel=1e-3)
    assert raw.grad[0] > 1e12


def test_the_line_begins_at_the_power_of_thirty():
    """KL: f* = e^(v - 1) up to v = 31, and e^30 (1 + v - 31) from there."""
    v = torch.tensor([30.9, 31.0, 32.0, 41.0], **double)
    expected = [math.exp(29.9), math.exp(30), 2 * math.exp(30), 11 * math.exp(30)]
    torch.testing.assert_close(KL().build().fake_loss(v), torch.tensor(expected, **double))


@pytest.mark.parametrize("alpha", [0.99, 0.999, 1.001, 1.01, 50.0, -50.0])
def test_alphas_near_the_poles_and_far_from_them(alpha: float):
    loss = Alpha(alpha=alpha).build()
    for v in (-1e4, -30.0, 0.0, 30.0, 1e4):
        raw = torch.tensor([v], requires_grad=True)
        for cost in (loss.real_loss, loss.fake_loss):
            (slope,) = torch.autograd.grad(cost(raw).sum(), raw)
            assert bool(cost(raw).isfinite().all() & slope.isfinite().all())


def test_the_limits_of_alpha():
    """Near 1 and 0 the divergence is KL(p || q) and KL(q || p); 2 and -1 are half of Pearson's and Neyman's."""
    log_u, p, q, step = densities(*PAIRS[1])
    for alpha, limit in ((1 + 1e-6, kl(*PAIRS[1])), (1e-6, reverse_kl(*PAIRS[1]))):
        row = alpha_row(alpha, math.nan)
        assert bound(row, row.at(log_u), p, q, step) == pytest.approx(limit, rel=1e-5)
    for alpha, name in ((2.0, "pearson"), (-1.0, "neyman"), (0.5, "squared-hellinger")):
        share = 2 if alpha == 0.5 else 0.5
        assert alpha_row(alpha, math.nan).closed(0.4, 0.9) == pytest.approx(share * ROWS[name].closed(0.4, 0.9))


@pytest.mark.parametrize("pi", [0.01, 0.5, 0.9])
def test_weights_of_the_mixture(pi: float):
    """pi KL(p || m) + (1 - pi) KL(q || m); for 1/2 a quarter of what `jensen-shannon` has."""
    log_u, p, q, step = densities(*PAIRS[1])
    mixture = pi * p + (1 - pi) * q
    with np.errstate(all="ignore"):
        expected = np.nan_to_num(pi * p * np.log(p / mixture) + (1 - pi) * q * np.log(q / mixture)).sum() * step
    row = weighted(pi, math.nan)
    assert bound(row, row.at(log_u), p, q, step) == pytest.approx(float(expected), abs=1e-9)
    if pi == 0.5:
        assert expected == pytest.approx(bound(ROWS["jensen-shannon"], log_u, p, q, step) / 2)


@pytest.mark.parametrize("t", [-1e4, -300.0, -1.0, 0.0, 1.0, 2.5, 29.0])
def test_jeffreys_conjugate_agrees_with_lamberts_w(t: float):
    """In the log domain, W + ln W = 1 - t; where e^(1 - t) is finite, by scipy."""
    raw = torch.tensor([t], **double, requires_grad=True)
    value = Jeffrey().build().fake_loss(raw)
    (slope,) = torch.autograd.grad(value.sum(), raw)
    w = 1 / slope.item()
    assert w + math.log(w) == pytest.approx(1 - t, rel=1e-12, abs=1e-10)
    assert value.item() == pytest.approx(w + 1 / w + t - 2, rel=1e-9, abs=1e-9)
    if t > -700:
        assert w == pytest.approx(float(lambert(t)), rel=1e-9)


def test_jeffreys_gradient_can_be_differentiated_again():
    assert torch.autograd.gradgradcheck(
        Jeffrey().build().fake_loss, torch.linspace(-6, 6, 13, **double).requires_grad_()
    )


class Given(NumericalDivergence):
    """A divergence of which only f is known."""

    def __init__(self, f: Function) -> None:
        super().__init__()
        self.given = f

    def f(self, u: Tensor) -> Tensor:
        return self.given(u)


@rows
def test_the_conjugate_of_f_alone_is_that_of_the_table(row: Row):
    """Over the inside of the domain, with the gradient u* at which f'(u*) = t."""
    low, high = max(row.domain[0], -6.0), min(row.domain[1], 6.0)
    t = torch.linspace(low, high, 103, **double)[1:-1].requires_grad_()
    value = conjugate(row.f, t)
    expected = row.conjugate(t.detach().numpy())
    np.testing.assert_allclose(value.detach().numpy(), expected, rtol=1e-9, atol=1e-11)
    (u,) = torch.autograd.grad(value.sum(), t)
    nearby = row.conjugate(t.detach().numpy() + 1e-6) - row.conjugate(t.detach().numpy() - 1e-6)
    np.testing.assert_allclose(u.numpy(), nearby / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["kl", "reverse-kl", "jeffrey", "jensen-shannon", "alpha below 1", "alpha below 0"])
def test_derivatives_of_the_conjugate_of_f_alone(name: str):
    row = ROWS[name]
    high = min(row.domain[1], 4.0)
    t = torch.linspace(high - 4, high, 9, **double)[1:-1].requires_grad_()
    assert torch.autograd.gradcheck(lambda t: conjugate(row.f, t), t)
    assert torch.autograd.gradgradcheck(lambda t: conjugate(row.f, t), t)


@rows
@pairs
def test_f_alone_makes_a_loss_that_reaches_the_divergence(row: Row, mean: float, deviation: float):
    """At the raw outputs that give T = f'(p/q), found here by bisection."""
    log_u, p, q, step = (values[::200] if np.ndim(values) else values * 200 for values in densities(mean, deviation))
    inside = (p > 1e-13) | (q > 1e-13)
    log_u, p, q = log_u[inside], p[inside], q[inside]
    loss = Given(row.f)
    u = torch.from_numpy(np.exp(log_u)).requires_grad_()
    (t,) = torch.autograd.grad(row.f(u).sum(), u)
    low, high = torch.full_like(t, -1e20), torch.full_like(t, 1e20)
    for _ in range(140):
        middle = (low + high) / 2
        below = loss.output(middle) < t
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    found = float((loss.output(high) * torch.from_numpy(p) - loss.conjugate(high) * torch.from_numpy(q)).sum() * step)
    expected = float((q * row.f(np.exp(log_u))).sum() * step)
    assert found == pytest.approx(expected, abs=1e-4 if "variation" in row.config.type_name() else 1e-7)


@rows
def test_a_loss_from_f_alone_keeps_to_the_contract(row: Row):
    """Finite far out, with the threshold at 0, and exact gradients."""
    loss = Given(row.f)
    at = torch.zeros(1, **double)
    assert loss.fake_loss(at).item() == pytest.approx(-loss.real_loss(at).item() - row.f(np.float64(1)), abs=1e-9)
    for dtype, size in ((torch.float32, 1e4), (torch.bfloat16, 1e3)):
        raw = torch.tensor([-size, -30.0, 30.0, size], dtype=dtype, requires_grad=True)
        for cost, sign in ((loss.real_loss, -1), (loss.fake_loss, 1)):
            value = cost(raw)
            (slope,) = torch.autograd.grad(value.sum(), raw)
            assert bool(value.isfinite().all() & slope.isfinite().all())
            assert bool((slope * sign >= 0).all())
    v = torch.linspace(-2, 2, 9, **double) + 0.01
    v = v.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: loss.discriminator(DiscriminatorOutput(v), DiscriminatorOutput(v.flip(0))), v
    )
    assert loss.fake_loss(torch.zeros(2)).dtype == torch.float32


def test_a_straight_piece_of_f_has_a_corner_in_the_conjugate():
    """f = |u - 1|: f*(t) = t on [-1, 1], and straight with the largest u above, the least below."""
    t = torch.tensor([-3.0, -0.5, 0.0, 0.5], **double, requires_grad=True)
    value = conjugate(lambda u: (u - 1).abs(), t)
    least = math.exp(-30)
    torch.testing.assert_close(value.detach(), torch.tensor([-1 - 2 * least, -0.5, 0.0, 0.5], **double))
    (u,) = torch.autograd.grad(value.sum(), t, create_graph=True)
    torch.testing.assert_close(u.detach(), torch.tensor([least, 1.0, 1.0, 1.0], **double))
    (curvature,) = torch.autograd.grad(u.sum(), t)
    assert curvature.tolist() == [0, 0, 0, 0]


def test_outputs_of_any_shape():
    patches = torch.zeros(2, 1, 3, 3, **double)
    for loss in (SquaredHellinger().build(), Given(ROWS["kl"].f)):
        assert loss.discriminator(DiscriminatorOutput(patches), DiscriminatorOutput(patches)).ndim == 0


def test_a_soft_target_blends_both_costs():
    real = DiscriminatorOutput(torch.tensor([0.4], **double), target=torch.tensor([0.9], **double))
    fake = DiscriminatorOutput(torch.tensor([-1.0], **double))
    found = KL().build().discriminator(real, fake).item()
    assert found == pytest.approx(-0.9 * 0.4 + 0.1 * math.exp(-0.6) + math.exp(-2.0))


@pytest.mark.parametrize("alpha", [0, 1, inf])
def test_alphas_without_a_formula_are_refused(alpha: float):
    with pytest.raises(ValidationError, match=r"reverse-kl|'kl'|finite"):
        Alpha(alpha=alpha)


@pytest.mark.parametrize("pi", [0.0, 1.0, -0.1])
def test_weights_that_leave_one_side_out_are_refused(pi: float):
    with pytest.raises(ValidationError, match=r"greater|less"):
        WeightedJensenShannon(pi=pi)


@rows
def test_every_loss_joins_an_experiment(row: Row):
    experiment = Experiment.model_validate(
        {
            "game": {"type": "adversarial", "generator": "mlp", "discriminator": "mlp"},
            "losses": [row.config],
            "data": "ring",
            "train": {"images": 64, "device": "cpu"},
        }
    )
    objective = assemble(experiment).objective
    assert objective.decision_threshold(objective.game.contests[0]) == row.config.decision_threshold
