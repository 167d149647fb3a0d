"""Instance noise: Gaussian noise on whatever the discriminator sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, FiniteFloat

from ganframe import hookimpl
from ganframe.config import AugmentationConfig, Component

if TYPE_CHECKING:
    from torch import nn


class InstanceNoise(AugmentationConfig):
    """Adds N(0, sigma^2) to each number of each sample, real or fake, so that their distributions overlap."""

    paper = "Arjovsky and Bottou 2017, arXiv:1701.04862, section 3; Sonderby et al. 2017, arXiv:1610.04490"
    type: Literal["instance-noise"] = "instance-noise"
    off: ClassVar[Mapping[str, Any]] = {"sigma": 0.0}
    sigma: FiniteFloat = Field(default=0.1, ge=0)
    """Standard deviation of the noise, where images run from -1 to 1; 0 adds none."""

    def build(self) -> nn.Module:
        """See base class."""
        from ganframe_instance_noise.noise import Noise  # noqa: PLC0415  configs stay free of torch

        return Noise(self.sigma)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the augmentation."""
    register(InstanceNoise)
