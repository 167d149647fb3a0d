"""The mean image and the power spectrum of samples, and real images that are given them."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.game import Randomness


class SampleStatistics:
    """Sums over samples, from which their mean image and their power spectrum follow; float64 on the CPU.

    Attributes:
        count: Number of samples.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum: Tensor | None = None
        self._power: Tensor | None = None

    def update(self, samples: Tensor) -> None:
        """Add samples `(B, C, H, W)`."""
        wide = samples.detach().cpu().double()
        self._add(len(samples), wide.sum(dim=0), torch.fft.fft2(wide).abs().square().sum(dim=0))

    def merge(self, other: SampleStatistics) -> None:
        """Add the samples of other statistics."""
        if other._sum is not None and other._power is not None:
            self._add(other.count, other._sum, other._power)

    def _add(self, count: int, total: Tensor, power: Tensor) -> None:
        self.count += count
        self._sum = total if self._sum is None else self._sum + total
        self._power = power if self._power is None else self._power + power

    def mean(self) -> Tensor:
        """Return the mean image `(C, H, W)`."""
        assert self._sum is not None, "no samples were added"
        return self._sum / self.count

    def power(self) -> Tensor:
        """Return the mean power `(C, H, W)` of each frequency of the deviations from the mean image."""
        assert self._power is not None, "no samples were added"
        return (self._power / self.count - torch.fft.fft2(self.mean()).abs().square()).clamp(min=0)


def match(images: Tensor, samples: SampleStatistics, randomness: Randomness) -> Tensor:
    """Give real images the mean image and the power spectrum of samples.

    Frequencies in which the samples have less power are attenuated, so that images become as smooth as the samples are.
    Frequencies in which they have more get Gaussian noise of the power that is lacking. For samples with the statistics
    of the images, the images stay as they are.

    Args:
        images: `(N, C, H, W)`, N > 1.
        samples: The statistics of samples of the same shape.
        randomness: The source of the noise.

    Returns:
        Images `(N, C, H, W)`.
    """
    own = SampleStatistics()
    own.update(images)
    wanted, power = samples.power(), own.power()
    gain = (wanted / power.clamp(min=1e-12)).clamp(max=1).sqrt()
    kept = torch.fft.ifft2(torch.fft.fft2(images.cpu().double() - own.mean()) * gain).real
    noise = randomness.normal("matched noise", tuple(images.shape)).double()
    # White noise of variance 1 has the power H W in each frequency.
    missing = ((wanted - power).clamp(min=0) / (images.shape[2] * images.shape[3])).sqrt()
    added = torch.fft.ifft2(torch.fft.fft2(noise) * missing).real
    return (samples.mean() + kept + added).to(images)
