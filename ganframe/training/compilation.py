"""`torch.compile` for the players of a game."""

from __future__ import annotations

import torch

from ganframe.errors import BadInput
from ganframe.game.game import Game

RECOMPILE_LIMIT = 64
"""Compiled variants of the players of one class (dtypes, frozen or not, training or not)."""


def check_compiler() -> None:
    """Refuse to compile where there is no compiler.

    Raises:
        BadInput: With the path of the setting.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler  # slow to import, and only a run that compiles needs it
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        remedy = "Install one, such as g++, or leave it off."
        raise BadInput("there is no C++ compiler here", path=("train", "compile"), remedy=remedy) from None


def compile_players(game: Game) -> None:
    """Compile each player in place."""
    # Beyond PyTorch's limit a new variant would run uncompiled, with slightly other numbers, and which one that is
    # would depend on where a run was resumed.
    limits = torch._dynamo.config  # pyright: ignore[reportPrivateUsage]
    limits.recompile_limit = max(limits.recompile_limit, RECOMPILE_LIMIT)
    for player in game.players.values():
        player.compile()
