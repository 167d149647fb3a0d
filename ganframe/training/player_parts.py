"""Parts of players: submodules of a network, by a name such as `generator.trunk`."""

from __future__ import annotations

import difflib

from torch import nn

from ganframe.errors import BadInput
from ganframe.game.game import Game

MAX_NAMED_PARTS = 8
"""Maximum number of parts that an error message lists."""


def find_part(game: Game, name: str) -> nn.Module:
    """Return the network of a player, or one of its submodules.

    Args:
        game: The game, with its players.
        name: The name of a player, or of a player and a submodule: `discriminator.blocks.0`.

    Raises:
        BadInput: When the player or submodule does not exist. The error suggests similar names.
    """
    player, _, path = name.partition(".")
    if player not in game.players:
        raise BadInput(f"the game has no player {player!r}", remedy=f"It has: {', '.join(game.players)}.")
    modules = dict(game.players[player].named_modules(remove_duplicate=False))
    if path in modules and not name.endswith("."):
        return modules[path]
    known = [each for each in modules if each]
    close = difflib.get_close_matches(path, known, MAX_NAMED_PARTS) or known[:MAX_NAMED_PARTS]
    listed = ", ".join(f"{player}.{each}" for each in close)
    remedy = f"Close to it: {listed}." if close else f"{player!r} has no parts."
    raise BadInput(f"the player {player!r} has no part {path!r}", remedy=remedy)
