"""The latents of a generator: their shape, and draws from their prior."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ganframe.errors import BadInput
from ganframe.game.round import Round

Prior = Literal["normal", "uniform"]
"""Distribution of each number of a latent: N(0, 1), or U[-1, 1]."""


def draw_latents(game_round: Round, generator: str = "generator", prior: Prior = "normal") -> Tensor:
    """Draw one latent for each example, `(B, *latent_shape)`.

    Args:
        game_round: The round.
        generator: The player whose `latent_shape` they have.
        prior: Their distribution.

    Raises:
        BadInput: When the generator does not say its `latent_shape`.
    """
    latent_shape: tuple[int, ...] | None = getattr(game_round.game.players[generator], "latent_shape", None)
    if latent_shape is None:
        raise BadInput(f"the generator {generator!r} starts from a latent, but has no `latent_shape`")
    shape = (game_round.size, *latent_shape)
    if prior == "uniform":
        return game_round.randomness.uniform("latent", shape, game_round.device) * 2 - 1
    return game_round.randomness.normal("latent", shape, game_round.device)
