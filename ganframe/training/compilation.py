"""`torch.compile` for the players of a game."""

from __future__ import annotations

import torch

from ganframe.errors import BadInput
from ganframe.game.game import Game

RECOMPILE_LIMIT = 64
"""Maximum number of compiled variants of the players of one class.

PyTorch compiles a variant for each combination of dtype, frozen or trainable parameters, and training or evaluation.
"""


def check_compiler() -> None:
    """Refuse `torch.compile` on a machine without a C++ compiler.

    Raises:
        BadInput: When there is none. The error has the path of the setting `train.compile`.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler  # slow to import, and only a run that compiles needs it
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        remedy = "Install one, such as g++, or leave it off."
        raise BadInput("there is no C++ compiler here", path=("train", "compile"), remedy=remedy) from None


def compile_players(game: Game) -> None:
    """Compile each player in place, with `torch.compile`."""
    # Beyond PyTorch's limit, new variants run uncompiled, with slightly different numbers. Which variants these are
    # would depend on the step at which the run was resumed.
    limits = torch._dynamo.config  # pyright: ignore[reportPrivateUsage]
    limits.recompile_limit = max(limits.recompile_limit, RECOMPILE_LIMIT)
    for player in game.players.values():
        player.compile()
