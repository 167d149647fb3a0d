"""Transforms of any generator: batch norm over a fixed reference batch, and noise in the later layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import Bounds, Component, GeneratorTransform, Scheduled, TensorSpec, hookimpl, initial_value

if TYPE_CHECKING:
    from torch import nn


class VirtualBatchNorm(GeneratorTransform):
    """Replaces each batch norm of a generator by a norm over a fixed reference batch and the sample itself."""

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 3.5"
    type: Literal["virtual-batch-norm"] = "virtual-batch-norm"
    reference: int = Field(default=64, ge=2)
    """Number of samples in the reference batch, which is drawn when the generator is built."""
    prior: Literal["normal", "uniform"] = "normal"
    """Distribution of each number of a reference latent: N(0, 1), or uniform in [-1, 1]. It should be the prior of the
    game."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return settings of a generator that has batch norm."""
        return {"of": {"type": "dcgan", "latent": 8, "channels": 4}, "reference": 8}

    @override
    def change(
        self, network: nn.Module, *, output: TensorSpec, source: TensorSpec | None, condition: TensorSpec | None
    ) -> nn.Module:
        from ganframe_virtual_batch_norm.reference import with_reference

        return with_reference(self, network, source, condition)


class SamplingNoise(GeneratorTransform):
    """Adds dropout or Gaussian noise to the inputs of the last layers of a generator, in sampling too."""

    paper = "dropout at sampling time: Isola et al. 2017, arXiv:1611.07004, section 3.1"
    type: Literal["sampling-noise"] = "sampling-noise"
    dropout: Annotated[Scheduled, Bounds(ge=0, le=0.99)] = 0.5
    """Probability that a number is set to 0; the others are scaled to keep the mean. A number or a schedule."""
    sigma: Annotated[Scheduled, Bounds(ge=0)] = 0.0
    """Standard deviation of the noise that is added to each number; a number or a schedule."""
    layers: PositiveInt = 2
    """Number of linear and convolution layers, counted back from the last one that the network declares."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return settings for generators that have only one layer."""
        return {"layers": 1}

    @override
    def change(
        self, network: nn.Module, *, output: TensorSpec, source: TensorSpec | None, condition: TensorSpec | None
    ) -> nn.Module:
        from ganframe_virtual_batch_norm.noise import Noisy

        return Noisy(network, self.layers, initial_value(self.dropout), initial_value(self.sigma))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both transforms."""
    register(VirtualBatchNorm)
    register(SamplingNoise)
