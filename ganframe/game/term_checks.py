"""Checks that a game has the tensors, turns and network outputs that a term (a loss or a regularizer) needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor

from ganframe.config.component_kinds import AugmentationConfig
from ganframe.config.nesting import find_nested
from ganframe.config.terms import TermConfig
from ganframe.errors import BadInput, ConfigPath, within
from ganframe.game.contest import Contest
from ganframe.game.game import Game
from ganframe.game.term_needs import TermNeeds
from ganframe.game.turn import Turn
from ganframe.plugins.author_code import name_of, source_of


def read_contests(config: TermConfig | AugmentationConfig, contests: Iterable[Contest]) -> list[Contest]:
    """Return those of the given contests that `config.contests` names; all of them if that is None."""
    return [contest for contest in contests if config.contests is None or contest.name in config.contests]


def check_contests(game: Game, config: TermConfig | AugmentationConfig, path: ConfigPath) -> None:
    """Refuse a term that names a contest which the game does not have.

    Raises:
        BadInput: When the game lacks the contest. The error has the path of the setting.
    """
    known = [contest.name for contest in game.contests]
    for name in config.contests or ():
        if name not in known:
            message = f"the game has no contest {name!r}; it has: {', '.join(known) or 'none'}"
            raise BadInput(message, path=(*path, "contests"))


def check_turns(game: Game, config: TermConfig, path: ConfigPath) -> None:
    """Refuse a term that names a turn which the game does not have.

    Raises:
        BadInput: When the game lacks a turn in `config.turns`. The error names the setting.
    """
    turns = [turn.name for turn in game.turns]
    for name in config.turns or ():
        if name not in turns:
            message = f"the game has no turn {name!r}; it has: {', '.join(turns)}"
            raise BadInput(message, path=(*path, "turns"))


def check_own(game: Game, config: TermConfig, path: ConfigPath) -> None:
    """Call `check` of a term's config, and of the configs of the terms nested in it.

    Raises:
        BadInput: When one of them refuses the game. The error has the path of the setting.
    """
    with within(*path):
        config.check(game)
        for nested in find_nested(config):
            if isinstance(nested.config, TermConfig):
                with within(*nested.path):
                    nested.config.check(game)


def check_tensors(game: Game, name: str, needs: TermNeeds, path: ConfigPath) -> None:
    """Refuse a term that reads a tensor which the game does not have.

    Args:
        game: The game.
        name: The name of the term.
        needs: What the term needs.
        path: The path of the term's config.

    Raises:
        BadInput: When the game lacks a tensor. The error names the term.
    """
    for each in (*needs.tensors, *needs.requires_grad_tensors):
        if each not in game.names:
            message = f"{name!r} reads the tensor {each!r}, which the game does not have"
            raise BadInput(message, path=path, remedy=f"It has: {', '.join(game.names)}.")


def check_methods(
    game: Game, joins: Callable[[Game, Turn], bool], name: str, needs: TermNeeds, path: ConfigPath
) -> None:
    """Refuse a term that calls a method which a generator does not have.

    Args:
        game: The game.
        joins: Returns whether the term takes part in a turn. The players of these turns, except discriminators, are
            checked.
        name: The name of the term.
        needs: What the term needs.
        path: The path of the term's config.

    Raises:
        BadInput: When a generator lacks a method. The error names the term.
    """
    if not needs.requires_methods:
        return
    generators = {player for turn in game.turns if joins(game, turn) for player in turn.players} - game.discriminators
    for player in sorted(generators):
        network = game.player_specs()[player].config
        missing = sorted(needs.requires_methods - network.provides)
        if missing:
            message = f"{name!r} calls {', '.join(missing)}, which {network.type_name()!r} ({player}) does not have"
            raise BadInput(message, path=path)


def check_discriminator(game: Game, discriminator: str, config: TermConfig, needs: TermNeeds, path: ConfigPath) -> None:
    """Refuse a discriminator that lacks an output that a term reads, or second derivatives that the term needs.

    Raises:
        BadInput: When the discriminator lacks either. The error names the term.
    """
    network = game.player_specs()[discriminator].config
    missing = sorted(needs.requires_outputs - network.provides)
    if missing:
        message = f"{config.type_name()!r} reads {', '.join(missing)}, which {network.type_name()!r} does not give"
        raise BadInput(message, path=path)
    if needs.differentiates_discriminator and not getattr(network, "supports_double_backward", True):
        message = f"{config.type_name()!r} differentiates twice, which {network.type_name()!r} does not support"
        raise BadInput(message, path=path)


def check_scalar(value: object, live: object, turn: Turn) -> None:
    """Refuse what a term returned unless it is a tensor of shape `()`.

    Args:
        value: What the term returned.
        live: The loss or regularizer.
        turn: The turn in which it was called.

    Raises:
        BadInput: When it is refused. The error names the term's class, with its file and line, and the turn.
    """
    if isinstance(value, Tensor) and value.ndim == 0:
        return
    what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    message = f"{name_of(type(live))} returned {what} in the turn {turn.name!r}"
    remedy = "A term returns one number as a tensor, such as the mean over the batch."
    raise BadInput(message, place=source_of(live), remedy=remedy)
