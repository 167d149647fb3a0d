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
        outside = 1 - len(self._inside()) / len(samples)
        return {
            "value": densities.value(),
            # Outside, p is 0: q log(q / (q / 2)) / 2 is q log(2) / 2.
            "jsd": densities.jsd() + outside * math.log(2) / 2,
            "error": densities.error(),
            "outside": outside,
        }

    def protocol(self) -> dict[str, str]:
        """Return the bandwidth of the kernels and the interval."""
        bandwidth = self._bandwidth(self._inside())
        interval = f"{len(self.x):,} points from {float(self.x[0]):g} to {float(self.x[-1]):g}"
        return {"density of the samples": f"Gaussian kernels of bandwidth {bandwidth:.3g}", "interval": interval}

    def pictures(self) -> dict[str, Tensor]:
        """Return the picture of both densities, the discriminator and the optimal one."""
        return {"densities": draw_figure(self._densities())}

    def _densities(self) -> Densities:
        return Densities(self.x, density(self.data, self.x), self._density_of_samples(), self.logits)

    def _density_of_samples(self) -> Tensor:
        """Return the density of the samples on the interval, by Gaussian kernels; its integral is the share inside."""
        samples, count = self._inside(), sum(map(len, self.samples))
        bandwidth = self._bandwidth(samples)
        total = torch.zeros_like(self.x)
        for part in samples.split(CHUNK):
            total += (-((self.x[:, None] - part) / bandwidth).square() / 2).exp().sum(dim=1)
        return total / (count * bandwidth * math.sqrt(2 * math.pi))

    def _inside(self) -> Tensor:
        """Return the samples in the interval."""
        samples = torch.cat(self.samples)
        return samples[(samples >= self.x[0]) & (samples <= self.x[-1])]

    def _bandwidth(self, samples: Tensor) -> float:
        """Return the standard deviation of a kernel, which is no less than the distance of two points."""
        least = float(self.x[1] - self.x[0])
        if len(samples) < 2:
            return least
        quartiles = samples.quantile(samples.new_tensor([0.25, 0.75]))
        spread = min(float(samples.std()), float(quartiles[1] - quartiles[0]) / 1.34)
        return max(0.9 * spread * len(samples) ** -0.2, least)
