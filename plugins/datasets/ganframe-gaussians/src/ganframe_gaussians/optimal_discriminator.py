"""Comparison of a discriminator with the optimal one, in one dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganframe.game import Round
from ganframe_gaussians import Gaussian, OptimalDiscriminator
from ganframe_gaussians.densities import Densities
from ganframe_gaussians.figure import draw_figure
from ganframe_gaussians.line import density

CHUNK = 1000
"""Number of samples whose kernels are computed together."""


class Comparison:
    """A discriminator and samples of a generator, on an interval of the line.

    Args:
        config: The config of the metric.
        data: The data of the run.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, section 4.1. Bandwidth of the kernels: Silverman 1986, Density
        Estimation for Statistics and Data Analysis, equation 3.28.
    """

    def __init__(self, config: OptimalDiscriminator, data: Gaussian) -> None:
        self.config, self.data = config, data
        half = config.span * data.sigma
        self.x = torch.linspace(data.mean - half, data.mean + half, config.points, dtype=torch.float64)
        self.samples: list[Tensor] = []
        self.logits = torch.zeros_like(self.x)

    def read(self, game_round: Round) -> dict[str, Tensor]:
        """Return the samples `(B, 1)`, and for each the logits on the whole interval, `(B, points)`."""
        samples = game_round[self.config.sample]
        contest = next(each for each in game_round.game.contests if each.fake == self.config.sample)
        points = self.x.to(samples.device, samples.dtype)[:, None]
        logits = game_round.discriminate(contest.discriminator, points).logits
        return {"samples": samples, "logits": logits.reshape(1, -1).expand(len(samples), -1)}

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Add a batch of samples; the discriminator is the same in all of them."""
        self.samples.append(tensors["samples"].detach().to("cpu", torch.float64).flatten())
        self.logits = tensors["logits"][-1].detach().to("cpu", torch.float64)

    def merge(self, other: Comparison) -> None:
        """Add the samples of another measurement."""
        self.samples += other.samples
        self.logits = other.logits

    def compute(self) -> dict[str, float]:
        """Return `value`, `jsd`, `error` and `outside`; integrals are by the trapezoidal rule."""
        densities, samples = self._densities(), torch.cat(self.samples)
        inside = (samples >= self.x[0]) & (samples <= self.x[-1])
        return {
            "value": densities.value(),
            "jsd": densities.jsd(),
            "error": densities.error(),
            "outside": float((~inside).double().mean()),
        }

    def protocol(self) -> dict[str, str]:
        """Return the bandwidth of the kernels and the interval."""
        bandwidth = self._bandwidth(torch.cat(self.samples))
        interval = f"{len(self.x):,} points from {float(self.x[0]):g} to {float(self.x[-1]):g}"
        return {"density of the samples": f"Gaussian kernels of bandwidth {bandwidth:.3g}", "interval": interval}

    def pictures(self) -> dict[str, Tensor]:
        """Return the picture of both densities, the discriminator and the optimal one."""
        return {"densities": draw_figure(self._densities())}

    def _densities(self) -> Densities:
        return Densities(self.x, density(self.data, self.x), self._density_of_samples(), self.logits)

    def _density_of_samples(self) -> Tensor:
        """Return the density of the samples on the interval, estimated with Gaussian kernels."""
        samples = torch.cat(self.samples)
        bandwidth = self._bandwidth(samples)
        total = torch.zeros_like(self.x)
        for part in samples.split(CHUNK):
            total += (-((self.x[:, None] - part) / bandwidth).square() / 2).exp().sum(dim=1)
        return total / (len(samples) * bandwidth * math.sqrt(2 * math.pi))

    def _bandwidth(self, samples: Tensor) -> float:
        """Return the standard deviation of a kernel, which is no less than the distance of two points."""
        silverman = 1.06 * float(samples.std()) * len(samples) ** -0.2
        return max(silverman, float(self.x[1] - self.x[0]))
