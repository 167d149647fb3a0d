"""Perceptual path length."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganframe.game import BadInput, Game, Round
from ganframe_image_metrics.encoder_text import describe

if TYPE_CHECKING:
    from ganframe_image_metrics import PathLength

TRIMMED = 0.01
"""The share of the lowest, and of the highest, lengths that the trimmed mean leaves out."""
TINY = 1e-10
"""Added to the length of a vector of activations before it is divided by it, as in the code of LPIPS."""

ABOUT_PRECISION = re.compile("dtype|scalar type|float|double", re.IGNORECASE)
"""Words in the errors of PyTorch for tensors of two precisions."""


class PathLengths:
    """Keeps a length for each path: 1/eps^2 times the distance of two samples that are eps of the path apart.

    The distance is LPIPS without its trained weights: the activations of each layer are normalised over their channels
    at each position. Their squared differences are summed over channels, averaged over positions and summed over
    layers.

    Args:
        config: The settings.
        encoder: The frozen network.

    References:
        Karras et al. 2019, arXiv:1812.04948, eq. 2; Zhang et al. 2018, arXiv:1801.03924, eq. 1.
    """

    def __init__(self, config: PathLength, encoder: nn.Module) -> None:
        self.config = config
        self.dtype = torch.float64 if config.precision == "float64" else torch.float32
        self.encoder = encoder.to(self.dtype)
        self.lengths: list[Tensor] = []
        self._copied: tuple[Game, Game] | None = None

    def read(self, game_round: Round) -> dict[str, Tensor]:
        """Return a length for each example: that of a piece of a random path between two latents.

        The first latent is that of the round. The second, and how far along the path the piece is, are drawn from the
        round's randomness. Both samples have the conditions and the noise of the round.

        Raises:
            BadInput: When the game does not make the latent or the sample, or a network does not compute in float64.
        """
        config, game = self.config, game_round.game
        if config.latent not in game.makers or config.sample not in game.makers:
            missing = config.latent if config.latent not in game.makers else config.sample
            message = f"the game does not make {missing!r}, without which there are no paths between latents"
            raise BadInput(message, remedy=f"It makes: {', '.join(game.makers)}.")
        batch = {name: game_round[name] for name in game.data}
        start = game_round[config.latent]
        other = game_round.randomness.at("path-length")
        end = _round(game_round, game, batch, "path-length")[config.latent]
        place = other.uniform("place", (game_round.size,), game_round.device).double() * (1 - config.epsilon)
        try:
            first, second = (
                self._activations(game_round, batch | {config.latent: latent})
                for latent in (
                    interpolated(start, end, share, config.interpolation) for share in (place, place + config.epsilon)
                )
            )
            for activation in first:
                if self.dtype == torch.float64 and activation.dtype != self.dtype:
                    raise TypeError(f"an activation has the dtype {activation.dtype}")
            distance = perceptual_distance(first, second)
        except (RuntimeError, TypeError) as problem:
            if self.dtype == torch.float32 or not ABOUT_PRECISION.search(str(problem)):
                raise
            message = f"the players or the encoder do not compute in float64: {str(problem).splitlines()[0]}"
            remedy = "Say `precision: float32`, with a larger `epsilon`, such as 1.0e-3."
            raise BadInput(message, path=("precision",), remedy=remedy) from problem
        return {"distance": distance.double() / config.epsilon**2}

    def _activations(self, game_round: Round, batch: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """Return the activations of the samples that the game makes of a batch."""
        converted = {name: each.to(self.dtype) if each.is_floating_point() else each for name, each in batch.items()}
        sample = _round(game_round, self._in_precision(game_round.game), converted)[self.config.sample]
        return self.encoder.to(game_round.device)(sample)

    def _in_precision(self, game: Game) -> Game:
        """Return the game with its players in the precision of the measurement; the same copy for each round."""
        if self.dtype == torch.float32:
            return game
        if self._copied is None or self._copied[0] is not game:
            players = {
                name: copy.deepcopy(player).to(self.dtype)
                for name, player in game.players.items()
                if name not in game.discriminators
            }
            self._copied = (game, game.with_players(players))
        return self._copied[1]

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep the lengths of a batch."""
        self.lengths.append(tensors["distance"].detach().cpu().double())

    def merge(self, other: PathLengths) -> None:
        """Add the lengths of another measurement."""
        self.lengths += other.lengths

    def protocol(self) -> dict[str, str]:
        """Return what decides the lengths."""
        config = self.config
        return {
            "encoder": describe(config.encoder),
            "interpolation": config.interpolation,
            "epsilon": f"{config.epsilon:g}",
            "precision": config.precision,
        }

    def compute(self) -> dict[str, float]:
        """Return the mean length, and the mean without the lowest and highest 1 %."""
        lengths = torch.cat(self.lengths).sort().values
        last = len(lengths) - 1
        first = math.floor(TRIMMED * last)
        middle = lengths[first : last - first + 1]
        return {"mean": float(lengths.mean()), "trimmed": float(middle.mean())}


def _round(game_round: Round, game: Game, batch: Mapping[str, Tensor], *counters: str) -> Round:
    """Return a round over other tensors, with the random draws of `game_round` unless there are `counters`."""
    randomness = game_round.randomness.at(*counters)
    return Round(game, batch, size=game_round.size, device=game_round.device, randomness=randomness)


def interpolated(start: Tensor, end: Tensor, share: Tensor, interpolation: str) -> Tensor:
    """Return a point on the path from each start to each end, in float64.

    Args:
        start: The start points, `(B, ...)`.
        end: The end points.
        share: How far along its path each point is, `(B,)` in [0, 1].
        interpolation: `slerp` for great circles (White 2016, arXiv:1609.04468), `lerp` for straight lines.
    """
    a, b, t = start.double().flatten(1), end.double().flatten(1), share[:, None]
    weights = [1 - t, t]
    if interpolation == "slerp":
        angle = torch.nn.functional.cosine_similarity(a, b).clamp(-1, 1).acos()[:, None]
        # Two points on one line with the origin have no unique great circle between them.
        straight = angle.sin() < 1e-6
        weights = [torch.where(straight, part, (part * angle).sin() / angle.sin()) for part in weights]
    return (weights[0] * a + weights[1] * b).reshape(start.shape)


def perceptual_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return the distance of the activations of each pair of examples, `(B,)`, in the precision of the activations.

    Args:
        first: Activations of the first example of each pair, each `(B, C, H, W)` or `(B, D)`.
        second: Those of the second.
    """
    layers: list[Tensor] = []
    for a, b in zip(first, second, strict=True):
        difference = (_normalised(a) - _normalised(b)).square().sum(dim=1)
        layers.append(difference.flatten(1).mean(dim=1) if difference.ndim > 1 else difference)
    return torch.stack(layers).sum(dim=0)


def _normalised(activation: Tensor) -> Tensor:
    """Return an activation whose vectors over the channels have length 1."""
    return activation / (activation.norm(dim=1, keepdim=True) + TINY)
