"""The losses, from raw outputs v: T = g(v) and f*(g(v)). The latter is simplified, so that no saturated T is formed.

If e^v, or a power of it, would overflow, v is replaced by `restrained(v)`, which grows like a logarithm from there on.
T and f*(T) are those of the same restrained v, so the discriminator's value stays a lower bound of the divergence.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from typing_extensions import override

from ganframe.game import SeparableLoss
from ganframe_f_divergence.jeffrey import log_ratio

LIMIT = 30.0
"""Exponent above which exponentials continue as straight lines: e^30 is about 1e13, whose square still fits in
float32."""

TINY = 80.0
"""Largest v for which e^-v is computed: e^-80 is still a normal number in float32."""


class FDivergenceLoss(SeparableLoss):
    """Discriminator: -E_p[T] + E_q[f*(T)]. Generator: -E_q[f*(T)], or -E_q[T] with `non_saturating`.

    Computes at least in float32.

    Args:
        non_saturating: Whether the generator minimises -E_q[T].

    References:
        Nowozin et al. 2016, arXiv:1606.00709, eq. 6, tables 1 and 2.
    """

    def __init__(self, non_saturating: bool = False) -> None:
        super().__init__()
        self.non_saturating = non_saturating

    def output(self, v: Tensor) -> Tensor:
        """Return T = g(v) for raw outputs of any shape."""
        raise NotImplementedError

    def conjugate(self, v: Tensor) -> Tensor:
        """Return f*(g(v)) for raw outputs of any shape."""
        raise NotImplementedError

    def real_loss(self, logits: Tensor) -> Tensor:
        """Return -T."""
        return -self.output(_at_least_float32(logits))

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Return f*(T)."""
        return self.conjugate(_at_least_float32(logits))

    def generator_loss(self, logits: Tensor) -> Tensor:
        """Return -f*(T), or -T with `non_saturating`."""
        return self.real_loss(logits) if self.non_saturating else -self.fake_loss(logits)


class TotalVariationLoss(FDivergenceLoss):
    """T = tanh(v) / 2, f*(t) = t."""

    @override
    def output(self, v: Tensor) -> Tensor:
        return v.tanh() / 2

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return self.output(v)


class KLLoss(FDivergenceLoss):
    """T = v, f*(t) = e^(t - 1)."""

    @override
    def output(self, v: Tensor) -> Tensor:
        return restrained(v, 1 + LIMIT)

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return (self.output(v) - 1).exp()


class ReverseKLLoss(FDivergenceLoss):
    """T = -e^-v, f*(t) = -1 - ln(-t)."""

    @override
    def output(self, v: Tensor) -> Tensor:
        return -restrained(-v, LIMIT).exp()

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return -1 - restrained(-v, LIMIT)


class PearsonLoss(FDivergenceLoss):
    """T = v, f*(t) = t^2/4 + t for t >= -2, and -1 below."""

    @override
    def output(self, v: Tensor) -> Tensor:
        return v

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return (v + 2).relu().square() / 4 - 1


class NeymanLoss(FDivergenceLoss):
    """T = 1 - e^-v, f*(t) = 2 - 2 sqrt(1 - t)."""

    @override
    def output(self, v: Tensor) -> Tensor:
        return -restrained(-v, LIMIT).expm1()

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return -2 * (restrained(-v, LIMIT) / 2).expm1()


class SquaredHellingerLoss(FDivergenceLoss):
    """T = 1 - e^-v, f*(t) = t/(1 - t)."""

    @override
    def output(self, v: Tensor) -> Tensor:
        return -(-self._restrained(v)).expm1()

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return self._restrained(v).expm1()

    def _restrained(self, v: Tensor) -> Tensor:
        return -restrained(-restrained(v, LIMIT), LIMIT)


class JeffreyLoss(FDivergenceLoss):
    """T = v, f*(t) = W + 1/W + t - 2 with Lambert's W(e^(1 - t)).

    1/W = u is the density ratio at which f'(u) = t, and f*(t) = u - 1 + ln u.
    """

    @override
    def output(self, v: Tensor) -> Tensor:
        return restrained(v, 1 + LIMIT)

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        log_u = log_ratio(self.output(v))
        return log_u.expm1() + log_u


class JensenShannonLoss(FDivergenceLoss):
    """T = ln 2 - ln(1 + e^-v), f*(t) = -ln(2 - e^t)."""

    @override
    def output(self, v: Tensor) -> Tensor:
        return math.log(2) + logsigmoid(v)

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return -logsigmoid(-v) - math.log(2)


class WeightedJensenShannonLoss(FDivergenceLoss):
    """T = -pi ln pi - ln(1 + e^-v), f*(t) = (1 - pi) ln[(1 - pi) / (1 - pi e^(t/pi))].

    Args:
        pi: Share of the data in the mixture, between 0 and 1.
        non_saturating: Whether the generator minimises -E_q[T].
    """

    def __init__(self, pi: float, non_saturating: bool = False) -> None:
        super().__init__(non_saturating)
        self.pi = pi

    @override
    def output(self, v: Tensor) -> Tensor:
        return logsigmoid(v) - self.pi * math.log(self.pi)

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        # 1 - pi e^(t/pi) = 1 - (1 + e^-v)^(-1/pi), which is e^-v / pi where e^-v is tiny.
        near, far = _split(v)
        log_rest = (-(logsigmoid(near) / self.pi).expm1()).log() - far
        return (1 - self.pi) * (math.log1p(-self.pi) - log_rest)


class FGANLoss(FDivergenceLoss):
    """T = -ln(1 + e^-v), f*(t) = -ln(1 - e^t)."""

    @override
    def output(self, v: Tensor) -> Tensor:
        return logsigmoid(v)

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return -logsigmoid(-v)


class AlphaBelowOne(FDivergenceLoss):
    """T = 1/(1 - a) - ln(1 + e^-v), f*(t) = [t (a - 1) + 1]^(a/(a - 1))/a - 1/a.

    Args:
        alpha: The paper's alpha (a), below 1 and not 0.
        non_saturating: Whether the generator minimises -E_q[T].
    """

    def __init__(self, alpha: float, non_saturating: bool = False) -> None:
        super().__init__(non_saturating)
        self.alpha = alpha
        self.power = alpha / (1 - alpha)

    @override
    def output(self, v: Tensor) -> Tensor:
        return -(-self._height(v)).expm1() / (1 - self.alpha)

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return (self.power * self._height(v)).expm1() / self.alpha

    def _height(self, v: Tensor) -> Tensor:
        """Return -ln[t (a - 1) + 1] = -ln[(1 - a) ln(1 + e^-v)], which grows with v."""
        near, far = _split(v)
        height = far - (-logsigmoid(near)).log() - math.log(1 - self.alpha)
        return height if self.power < 0 else restrained(height, LIMIT / self.power, 1 / self.power)


class AlphaAboveOne(FDivergenceLoss):
    """T = v, f*(t) = [t (a - 1) + 1]^(a/(a - 1))/a - 1/a, with 0 for a negative bracket.

    Args:
        alpha: The paper's alpha (a), above 1.
        non_saturating: Whether the generator minimises -E_q[T].
    """

    def __init__(self, alpha: float, non_saturating: bool = False) -> None:
        super().__init__(non_saturating)
        self.alpha = alpha
        self.power = alpha / (alpha - 1)

    @override
    def output(self, v: Tensor) -> Tensor:
        bracket = math.exp(LIMIT / self.power)
        return restrained(v, (bracket - 1) / (self.alpha - 1), bracket / self.alpha)

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        bracket = (self.output(v) * (self.alpha - 1) + 1).relu()
        return (bracket.pow(self.power) - 1) / self.alpha


def restrained(v: Tensor, start: float, length: float = 1.0) -> Tensor:
    """Return v up to `start`, and start + length ln(1 + (v - start)/length) beyond.

    With this, e^(v/length) continues as a straight line.
    """
    return v.clamp(max=start) + length * ((v - start).relu() / length).log1p()


def _split(v: Tensor) -> tuple[Tensor, Tensor]:
    """Return two parts whose sum is v: one whose e^-v is a normal number, and the rest, which is >= 0."""
    near = v.clamp(max=TINY)
    return near, v - near


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
