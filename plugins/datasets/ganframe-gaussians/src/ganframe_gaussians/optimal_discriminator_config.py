"""Config of the metric that compares a discriminator with the optimal one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config import BadInput, DatasetConfig, MetricConfig
from ganframe_gaussians.line_config import Gaussian

if TYPE_CHECKING:
    from torch import Tensor

    from ganframe.game import Game, Metric


class OptimalDiscriminator(MetricConfig):
    r"""The discriminator of a game in one dimension, beside the optimal one $D^* = p / (p + q)$.

    The density $p$ of the data is known in closed form, $q$ of the samples is estimated with Gaussian kernels, and $D$
    is the sigmoid of the logit. With the losses `minimax` and `non-saturating`, $D$ approaches $D^*$. Results:

    - `value`: $V = E_p \log D(x) + E_q \log(1 - D(x))$, at most $-2 \log 2 + 2\,JSD(p, q)$;
    - `jsd`: the Jensen-Shannon divergence of $p$ and $q$, from 0 to $\log 2$; samples outside of the interval count,
      as samples where $p$ is 0;
    - `error`: the mean of $|D - D^*|$ under $(p + q) / 2$, from 0 to 1;
    - `outside`: the share of samples outside of the interval, which `value` and `error` leave out.

    The picture has the four curves.
    """

    paper = "Goodfellow et al. 2014, arXiv:1406.2661, section 4.1 and figure 1"
    type: Literal["optimal-discriminator"] = "optimal-discriminator"
    samples: int = Field(default=10_000, ge=2)
    """Number of samples from which their density is estimated."""
    sample: str = "fake"
    """Name of the tensor of samples, 1 number for each example. It is the fake side of some contest."""
    span: float = Field(default=6.0, gt=0)
    """Half the width of the interval around the mean of the data, in standard deviations of the data."""
    points: int = Field(default=801, ge=3)
    """Number of points of the interval at which densities and discriminator are computed."""

    @classmethod
    @override
    def example_data(cls) -> DatasetConfig | None:
        return Gaussian()

    @override
    def perfect_samples(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        real = batch["real"]
        return {"samples": real, "logits": real.new_zeros(len(real), self.points)}

    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """Return bounds for at least 1000 draws from the data and a discriminator that says 1/2 everywhere."""
        optimum = -2 * math.log(2)
        return {"value": (optimum - 0.001, optimum + 0.001), "jsd": (0.0, 0.01), "error": (0.0, 0.05)}

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample,)

    @override
    def check(self, game: Game) -> None:
        contests = [contest for contest in game.contests if contest.fake == self.sample]
        if not contests:
            message = f"the samples {self.sample!r} are the fake side of no contest, so there is no discriminator"
            raise BadInput(message, path=("sample",))
        if contests[0].fake_condition is not None:
            message = f"the discriminator {contests[0].discriminator!r} is conditional, and densities here are not"
            raise BadInput(message, remedy="Leave the game's `condition` out.")

    def build(self, data: DatasetConfig) -> Metric:
        """Make an empty measurement.

        Raises:
            BadInput: When the data is not a `gaussian`.
        """
        from ganframe_gaussians.optimal_discriminator import Comparison

        if not isinstance(data, Gaussian):
            message = f"'optimal-discriminator' needs numbers with a known density, not {data.type_name()!r}"
            raise BadInput(message, remedy="Train on `gaussian`.")
        return Comparison(self, data)
