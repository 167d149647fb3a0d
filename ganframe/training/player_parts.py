"""Parts of players: modules of a network, by a name such as `generator.trunk`."""

from __future__ import annotations

import difflib

from torch import nn

from ganframe.errors import BadInput
from ganframe.game.game import Game

MAX_NAMED_PARTS = 8
"""The largest number of parts that an error message lists."""


def find_part(game: Game, name: str) -> nn.Module:
    """Return a player, or a module of its network.

    Args:
        game: The game, with its players.
        name: The name of a player, or of a player and a module: `discriminator.blocks.0`.

    Raises:
        BadInput: When there is no such player or module; the error names those with the closest names.
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
