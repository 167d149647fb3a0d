"""Instance noise: Gaussian noise on everything that the discriminator sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from typing_extensions import override

from ganframe.config import AugmentationConfig, Bounds, Component, Scheduled, hookimpl, initial_value

if TYPE_CHECKING:
    from torch import nn


class InstanceNoise(AugmentationConfig):
    """Adds N(0, sigma^2) to each number of each sample, real or fake, so that their distributions overlap."""

    paper = "Arjovsky and Bottou 2017, arXiv:1701.04862, section 3; Sonderby et al. 2017, arXiv:1610.04490"
    type: Literal["instance-noise"] = "instance-noise"
    identity_settings: ClassVar[Mapping[str, Any]] = {"sigma": 0.0}
    sigma: Annotated[Scheduled, Bounds(ge=0)] = 0.1
    """Standard deviation of the noise, for images in [-1, 1]; 0 adds none. A schedule can anneal it."""

    @override
    def build(self) -> nn.Module:
        from ganframe_instance_noise.noise import Noise

        return Noise(initial_value(self.sigma))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the augmentation."""
    register(InstanceNoise)
