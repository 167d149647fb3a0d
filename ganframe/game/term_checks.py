"""Checks that a game has the turns and discriminator outputs that a term (a loss or a regularizer) needs."""

from __future__ import annotations

from collections.abc import Iterable

from ganframe.config.component_kinds import AugmentationConfig
from ganframe.config.terms import LossConfig, RegularizerConfig, TermConfig
from ganframe.errors import BadInput, ConfigPath
from ganframe.game.contest import Contest
from ganframe.game.game import Game


def read_contests(config: TermConfig | AugmentationConfig, contests: Iterable[Contest]) -> list[Contest]:
    """Return those of some contests that a term or an augmentation is for."""
    return [contest for contest in contests if config.contests is None or contest.name in config.contests]


def check_contests(game: Game, config: TermConfig | AugmentationConfig, path: ConfigPath) -> None:
    """Refuse a term that names a contest which the game does not have.

    Raises:
        BadInput: With the path of the setting.
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


def check_discriminator(
    game: Game, discriminator: str, config: LossConfig | RegularizerConfig, path: ConfigPath
) -> None:
    """Refuse a discriminator that lacks an output that a term reads, or cannot be differentiated as often as needed.

    Raises:
        BadInput: When an output is missing, or when the term differentiates twice and the discriminator does not
            support that. The error names the term.
    """
    network = game.player_specs()[discriminator].config
    missing = sorted(config.requires_outputs - network.provides)
    if missing:
        message = f"{config.type_name()!r} reads {', '.join(missing)}, which {network.type_name()!r} does not give"
        raise BadInput(message, path=path)
    differentiates_twice = isinstance(config, RegularizerConfig) and (
        config.grad_wrt_sides or config.needs_double_backward
    )
    if differentiates_twice and not getattr(network, "supports_double_backward", True):
        message = f"{config.type_name()!r} differentiates twice, which {network.type_name()!r} does not support"
        raise BadInput(message, path=path)
