"""Mixtures of Gaussians in the plane, and how well a generator covers their modes."""

from __future__ import annotations

from collections.abc import Callable

from ganframe.config import Component, hookimpl
from ganframe_gaussians.coverage_config import ModeCoverage
from ganframe_gaussians.mixture_configs import GaussianMixture, Grid, Ring

__all__ = ["GaussianMixture", "Grid", "ModeCoverage", "Ring", "register_components"]


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both mixtures and the metric."""
    register(Ring)
    register(Grid)
    register(ModeCoverage)
