"""Random draws of the latents of a generator."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ganframe.config.networks import GeneratorConfig
from ganframe.errors import BadInput
from ganframe.game.round import Round
from ganframe.plugins.author_code import source_of

Prior = Literal["normal", "uniform"]
"""Distribution of each number of a latent: `normal` is N(0, 1), `uniform` is U[-1, 1]."""


def draw_latents(
    game_round: Round, generator: str = "generator", prior: Prior = "normal", name: str = "latent"
) -> Tensor:
    """Draw one latent for each example of a round, `(B, *latent_shape)`.

    Args:
        game_round: The tensors of the batch, with its size, device and source of random draws.
        generator: Name of the player that takes the latent.
        prior: Distribution of each number of a latent.
        name: Name of the latent, as in `latent_specs()` of the network's config.

    Raises:
        BadInput: When neither `latent_shape` of the network nor `latent_specs()` of its config has the shape.
    """
    shape = (game_round.size, *_latent_shape(game_round, generator, name))
    if prior == "uniform":
        return game_round.randomness.uniform(name, shape, game_round.device) * 2 - 1
    return game_round.randomness.normal(name, shape, game_round.device)


def _latent_shape(game_round: Round, generator: str, name: str) -> tuple[int, ...]:
    shape: tuple[int, ...] | None = getattr(game_round.game.players[generator], "latent_shape", None)
    if name == "latent" and shape is not None:
        return shape
    config = game_round.game.player_specs()[generator].config
    known = config.latent_specs() if isinstance(config, GeneratorConfig) else {}
    if name not in known:
        missing = "has no `latent_shape`" if name == "latent" else f"its config does not tell of {name!r}"
        message = f"the generator {generator!r} starts from a latent, but {missing}"
        remedy = "Set it in the network, such as `(128,)`, or return the spec from `latent_specs` of the config."
        raise BadInput(message, place=source_of(type(game_round.game.players[generator])), remedy=remedy)
    return known[name].shape
