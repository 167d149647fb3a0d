"""The networks of a game by player name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from torch import nn

from ganframe.errors import UnknownName, known_names
from ganframe.plugins.author_code import name_of


class Players(dict[str, nn.Module]):
    """The networks of a game by player name. An unknown name raises `UnknownName`.

    Args:
        game: The game, for messages.
        players: The networks by name.
    """

    def __init__(self, game: object, players: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(players or {})
        self._game = name_of(type(game))

    def __missing__(self, name: object) -> NoReturn:
        """Refuse a name that no player has.

        Raises:
            UnknownName: Always.
        """
        raise UnknownName(f"the game {self._game} has no player {name!r}", remedy=known_names(name, self))
