"""Config of the metric of how well a generator covers the modes of a mixture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config import BadInput, DatasetConfig, MetricConfig
from ganframe_gaussians.mixture_configs import GaussianMixture, Ring

if TYPE_CHECKING:
    from ganframe.game import Metric


class ModeCoverage(MetricConfig):
    """Modes that are covered, the share of samples close to one, and how evenly the modes are drawn."""

    paper = "Srivastava et al. 2017, arXiv:1705.07761, section 4.1; Lin et al. 2018, arXiv:1712.04086, section 4.1"
    type: Literal["mode-coverage"] = "mode-coverage"
    samples: int = Field(default=2500, ge=1)
    """Number of examples to measure."""
    sample: str = "fake"
    """Name of the tensor that is measured, 2 numbers for each example."""
    modes: DatasetConfig | None = None
    """The `ring` or `grid` with the modes; the run's data when left out."""
    radius: float = Field(default=3.0, gt=0)
    """Distance from a mode, in its standard deviations, up to which a sample is of high quality."""

    @classmethod
    @override
    def example_data(cls) -> DatasetConfig | None:
        return Ring()

    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """Return bounds for at least 1000 draws from a mixture of at most 25 modes, with a radius of 3."""
        return {"high quality": (0.975, 1.0), "kl": (0.0, 0.04)}

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample,)

    def build(self, data: DatasetConfig) -> Metric:
        """Make an empty measurement.

        Raises:
            BadInput: When neither the data nor `modes` is a ring or a grid.
        """
        from ganframe_gaussians.coverage import Coverage

        mixture = data if self.modes is None else self.modes
        if not isinstance(mixture, GaussianMixture):
            message = f"'mode-coverage' needs data with known modes, not {mixture.type_name()!r}"
            raise BadInput(message, remedy="Train on `ring` or `grid`, or name one of them in the metric's `modes`.")
        return Coverage(mixture.centres(), self.radius * mixture.sigma)
