"""Spectral normalisation: divides every weight matrix of a network by its largest singular value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt
from typing_extensions import override

from ganframe.config import Component, DiscriminatorTransform, GeneratorTransform, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn


class SpectralNormDiscriminator(DiscriminatorTransform):
    """Divides every weight matrix of a discriminator by its largest singular value, found by power iteration."""

    paper = "Miyato et al. 2018, arXiv:1802.05957, eq. 8 and algorithm 1"
    type: Literal["spectral-norm"] = "spectral-norm"
    power_iterations: PositiveInt = 1
    """Number of power iterations in each forward pass of training."""

    @override
    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        from ganframe_spectral_norm.normalise import normalise

        return normalise(network, self.power_iterations)


class SpectralNormGenerator(GeneratorTransform):
    """Divides every weight matrix of a generator by its largest singular value, found by power iteration."""

    paper = "Miyato et al. 2018, arXiv:1802.05957, eq. 8; on generators: Zhang et al. 2019, arXiv:1805.08318, sec. 4.1"
    type: Literal["spectral-norm"] = "spectral-norm"
    power_iterations: PositiveInt = 1
    """Number of power iterations in each forward pass of training."""

    @override
    def change(
        self, network: nn.Module, *, output: TensorSpec, source: TensorSpec | None, condition: TensorSpec | None
    ) -> nn.Module:
        from ganframe_spectral_norm.normalise import normalise

        return normalise(network, self.power_iterations)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both transforms."""
    register(SpectralNormDiscriminator)
    register(SpectralNormGenerator)
