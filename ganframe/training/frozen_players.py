"""Players that never train. A checkpoint has a hash of their weights in place of the weights."""

from __future__ import annotations

from collections.abc import Mapping

from ganframe.errors import BadInput
from ganframe.game.game import Game
from ganframe.training.warm_start import digest_of


def check_not_trained(game: Game) -> None:
    """Refuse a turn that trains a frozen player.

    Raises:
        BadInput: When there is one. The error names the turn and the player.
    """
    for turn in game.turns:
        for name in turn.players:
            if name in game.frozen_players:
                raise BadInput(f"the turn {turn.name!r} trains the player {name!r}, which is frozen", path=("game",))


def frozen_digests(game: Game) -> dict[str, str]:
    """Return the SHA-256 of the weights of each frozen player, by its name."""
    return {name: digest_of(game.players[name]) for name in sorted(game.frozen_players)}


def check_digests(saved: Mapping[str, str], digests: Mapping[str, str]) -> None:
    """Refuse frozen players whose weights are not those that the run was trained with.

    Args:
        saved: The SHA-256 of each player in the checkpoint. A player that is missing there is not compared.
        digests: The SHA-256 of each player as it was built now.

    Raises:
        BadInput: When a player has changed. The error names it.
    """
    for name, digest in digests.items():
        if saved.get(name, digest) != digest:
            message = f"the weights of the frozen player {name!r} are not those that the run was trained with"
            remedy = f"They come from init_from.{name}, or from its config and the seed: bring back what has changed."
            raise BadInput(message, remedy=remedy)
