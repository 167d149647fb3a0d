"""Gaussians on the line and in the plane, and how well a game fits them."""

from __future__ import annotations

from collections.abc import Callable

from ganframe.config import Component, hookimpl
from ganframe_gaussians.coverage_config import ModeCoverage
from ganframe_gaussians.line_config import Gaussian
from ganframe_gaussians.mixture_configs import GaussianMixture, Grid, Ring
from ganframe_gaussians.optimal_discriminator_config import OptimalDiscriminator

__all__ = ["Gaussian", "GaussianMixture", "Grid", "ModeCoverage", "OptimalDiscriminator", "Ring", "register_components"]


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data sets and both metrics."""
    register(Gaussian)
    register(Ring)
    register(Grid)
    register(ModeCoverage)
    register(OptimalDiscriminator)
