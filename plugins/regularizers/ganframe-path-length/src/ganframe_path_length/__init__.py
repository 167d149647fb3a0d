"""Path length regularization: a step of the latent should change the sample by the same amount everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from typing_extensions import override

from ganframe.config import Bounds, Component, RegularizerConfig, Scheduled, hookimpl, initial_value

if TYPE_CHECKING:
    from ganframe.game import Regularizer


class PathLength(RegularizerConfig):
    """Pulls ||J^T y|| towards its running mean, for the generator's Jacobian J and random images y."""

    paper = "Karras et al. 2020, arXiv:1912.04958, eq. 4 and appendix B"
    type: Literal["path-length"] = "path-length"
    weight: Scheduled = 2.0
    """Factor of the penalty; a number or a schedule. It is `pl_weight` of the authors' code, 2 for images in [-1, 1]:
    gamma_pl H W L for gamma_pl = ln 2 / (r^2 (ln r - ln 2)) of appendix B, where y is not divided by sqrt(H W)
    and squared norms are summed over the L = 2 log2(r) - 2 layers."""
    sample: str = "fake"
    """Name of the tensor whose samples change with the latent."""
    latent: str = "latent"
    """Name of the tensor that the Jacobian is taken by: `(B, D)`, or `(B, L, D)` with a style for each of L layers."""
    decay: Annotated[Scheduled, Bounds(ge=0, le=0.99999)] = 0.99
    """Share of the running mean of lengths that a turn keeps; a number or a schedule."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample,)

    @override
    def requires_grad_tensors(self) -> tuple[str, ...]:
        return (self.latent,)

    @override
    def build(self) -> Regularizer:
        from ganframe_path_length.paths import PathLengthPenalty

        return PathLengthPenalty(self.sample, self.latent, initial_value(self.decay))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the regularizer."""
    register(PathLength)
