"""Random draws of the latents of a generator."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ganframe.errors import BadInput
from ganframe.game.round import Round
from ganframe.plugins.author_code import source_of

Prior = Literal["normal", "uniform"]
"""Distribution of each number of a latent: `normal` is N(0, 1), `uniform` is U[-1, 1]."""


def draw_latents(game_round: Round, generator: str = "generator", prior: Prior = "normal") -> Tensor:
    """Draw one latent for each example of a round, `(B, *latent_shape)`.

    Args:
        game_round: The round.
        generator: Name of the player whose network has the attribute `latent_shape`.
        prior: Distribution of each number of a latent.

    Raises:
        BadInput: When the game has no such player, or its network has no `latent_shape`.
    """
    latent_shape: tuple[int, ...] | None = getattr(game_round.game.players[generator], "latent_shape", None)
    if latent_shape is None:
        message = f"the generator {generator!r} starts from a latent, but has no `latent_shape`"
        remedy = "Set it in the network: the shape of one latent, such as `(128,)`."
        raise BadInput(message, place=source_of(type(game_round.game.players[generator])), remedy=remedy)
    shape = (game_round.size, *latent_shape)
    if prior == "uniform":
        return game_round.randomness.uniform("latent", shape, game_round.device) * 2 - 1
    return game_round.randomness.normal("latent", shape, game_round.device)
