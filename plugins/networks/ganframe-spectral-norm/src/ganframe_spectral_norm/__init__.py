"""Spectral normalisation: every weight matrix of a network is divided by its largest singular value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from ganframe.config import Component, DiscriminatorTransform, GeneratorTransform, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn


class SpectralNormDiscriminator(DiscriminatorTransform):
    """Divides every weight matrix of a discriminator by its largest singular value, as found by power iteration."""

    paper = "Miyato et al. 2018, arXiv:1802.05957, eq. 8 and algorithm 1"
    type: Literal["spectral-norm"] = "spectral-norm"
    power_iterations: PositiveInt = 1
    """Power iterations in each forward pass of training."""

    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        """See base class."""
        from ganframe_spectral_norm.normalise import normalise  # noqa: PLC0415  configs stay free of torch

        return normalise(network, self.power_iterations)


class SpectralNormGenerator(GeneratorTransform):
    """Divides every weight matrix of a generator by its largest singular value, as found by power iteration."""

    paper = "Miyato et al. 2018, arXiv:1802.05957, eq. 8; on generators: Zhang et al. 2019, arXiv:1805.08318, sec. 4.1"
    type: Literal["spectral-norm"] = "spectral-norm"
    power_iterations: PositiveInt = 1
    """Power iterations in each forward pass of training."""

    def change(
        self, network: nn.Module, *, output: TensorSpec, source: TensorSpec | None, condition: TensorSpec | None
    ) -> nn.Module:
        """See base class."""
        from ganframe_spectral_norm.normalise import normalise  # noqa: PLC0415  configs stay free of torch

        return normalise(network, self.power_iterations)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both transforms."""
    register(SpectralNormDiscriminator)
    register(SpectralNormGenerator)
