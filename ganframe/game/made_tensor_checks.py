"""Checks of the tensors that makers, the methods of a game marked `@tensor`, return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ganframe.errors import BadInput, UnknownName, known_names
from ganframe.plugins.author_code import name_of, source_of

if TYPE_CHECKING:
    from ganframe.game.game import Game
    from ganframe.game.round import Round


def check_made(game: Game, made: Mapping[str, Any], game_round: Round) -> None:
    """Refuse what a maker (`@tensor` method) returned unless it is tensors with one row for each example of the batch.

    Args:
        game: The game that has the maker.
        made: What the maker returned, by the name of each tensor.
        game_round: The batch.

    Raises:
        BadInput: When a value is refused. The error names the maker with its file and line, the tensor and the turn.
    """
    for name, value in made.items():
        for part in value if isinstance(value, tuple) else (value,):
            if not isinstance(part, Tensor) or not part.ndim or part.shape[0] != game_round.size:
                turn = "" if game_round.turn is None else f" in the turn {game_round.turn.name!r}"
                message = (
                    f"{game.maker_name(name)} returned {_what(part, game_round.size)} for the tensor {name!r}{turn}"
                )
                remedy = (
                    "A maker returns a tensor with one row for each example of the batch, or a tuple of such tensors."
                )
                raise BadInput(message, place=source_of(getattr(game, game.makers[name])), remedy=remedy)


def check_given(game: Game, name: str, value: Tensor, size: int) -> None:
    """Refuse a tensor of the data that does not have one row for each of `size` examples.

    Raises:
        BadInput: When it has another number of rows. The error names the tensor.
    """
    if not isinstance(value, Tensor) or (value.ndim and value.shape[0] == size):  # pyright: ignore[reportUnnecessaryIsInstance]
        return  # other values were refused when they were fetched
    message = f"the data give {_what(value, size)} for the tensor {name!r}, which {name_of(type(game))} reads"
    remedy = "`fetch` of a data set returns, for each name of its spec, a tensor with one row for each index."
    raise BadInput(message, remedy=remedy)


def _what(part: object, size: int) -> str:
    if not isinstance(part, Tensor):
        return "None" if part is None else f"no tensor but {type(part).__name__}"
    rows = f"{part.shape[0]} rows" if part.ndim else "a single number"
    return f"{rows} for {size} examples"


def makers_in_a_circle(game: Game, names: Sequence[str]) -> BadInput:
    """Return the error for makers (`@tensor` methods of a game) that read each other's tensors in a circle.

    Args:
        game: The game.
        names: The tensors in the order in which their makers read them; the last is the first again.
    """
    circle = " which reads ".join(map(repr, names))
    message = f"{game.maker_name(names[0])} makes a tensor that depends on itself: {circle}"
    remedy = "Let one of these makers read another tensor."
    return BadInput(message, place=source_of(getattr(game, game.makers[names[0]])), remedy=remedy)


def unknown_tensor(game: Game, name: str, being_made: Sequence[str]) -> UnknownName:
    """Return the error for reading a tensor that does not exist.

    Args:
        game: The game.
        name: The name of the tensor.
        being_made: Names of the tensors whose makers are running; the maker of the last one reads the missing tensor.
    """
    place = source_of(getattr(game, game.makers[being_made[-1]])) if being_made else ""
    read = (
        f"{game.maker_name(being_made[-1])} reads the tensor {name!r}" if being_made else f"the tensor {name!r} is read"
    )
    if name in set(game.data):
        message = f"{read}, which is in the specs of the data, but not in the batch"
        return UnknownName(message, place=place, remedy="`fetch` of a data set returns all tensors of `spec`.")
    message = f"{read}, which the game {name_of(type(game))} does not have"
    return UnknownName(message, place=place, remedy=known_names(name, game.names))
