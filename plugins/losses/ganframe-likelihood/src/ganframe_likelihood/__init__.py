"""The negative log-likelihood of generators that have a density, and the simplest of them: a Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config import BadInput, Component, GeneratorConfig, RegularizerConfig, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Game, Regularizer


class NegativeLogLikelihood(RegularizerConfig):
    """-E log p(x) per number in nats, where p is the density of a generator that has one."""

    paper = "Grover et al. 2018, arXiv:1705.08868 (Flow-GAN); per dimension as in Dinh et al. 2017, arXiv:1605.08803"
    type: Literal["negative-log-likelihood"] = "negative-log-likelihood"
    aliases = ("nll",)
    player: str = "generator"
    """Name of the player with the density p; the network's config must have `log_prob` in `provides`."""
    sample: str = "real"
    """Name of the tensor that should be likely."""
    condition: str | None = None
    """Name of the condition of the density, such as `label`; none when left out."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample,) if self.condition is None else (self.sample, self.condition)

    def check(self, game: Game) -> None:
        """Refuse a game that has no such player, or in which the player has no density.

        Raises:
            BadInput: With the names of the game's players.
        """
        players = game.player_specs()
        if self.player not in players:
            message = f"the game has no player {self.player!r}; it has: {', '.join(players)}"
            raise BadInput(message, path=("player",))
        network = players[self.player].config
        if "log_prob" not in network.provides:
            message = (
                f"{self.type!r} needs the density of {self.player!r}, but {network.type_name()!r} has no `log_prob`"
            )
            raise BadInput(message, path=("player",), remedy="Use a generator with a density, such as `gaussian`.")

    @override
    def build(self) -> Regularizer:
        from ganframe_likelihood.likelihood import NegativeLogLikelihoodTerm

        return NegativeLogLikelihoodTerm(self.player, self.sample, self.condition)


class Gaussian(GeneratorConfig):
    """A multivariate normal distribution: G(z) = mu + L z with a triangular L, for vectors and small images."""

    paper = "as in Rezende and Mohamed 2015, arXiv:1505.05770, a flow of one affine layer"
    type: Literal["gaussian"] = "gaussian"
    provides = frozenset({"log_prob"})
    scale: float = Field(default=1.0, gt=0)
    """Standard deviation of each number at the start."""

    @override
    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        from ganframe_likelihood.gaussian import AffineGaussian

        return AffineGaussian(output.shape, self.scale)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the regularizer and the generator."""
    register(NegativeLogLikelihood)
    register(Gaussian)
