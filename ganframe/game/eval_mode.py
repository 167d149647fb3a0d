"""A context in which a game runs without training: eval mode, no gradients, no change to its memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from ganframe.game.game import Game


@contextmanager
def eval_mode(game: Game) -> Generator[None, None, None]:
    """Put every player in eval mode and disable gradients; at the end, restore the modes and `game.memory`."""
    memory = dict(game.memory)
    # For each module, because a player may keep one in eval mode, such as a frozen backbone.
    modes = [(module, module.training) for player in game.players.values() for module in player.modules()]
    # Not inference_mode: its tensors would crash a later discriminator that takes gradients.
    with torch.no_grad():
        for player in game.players.values():
            player.eval()
        try:
            yield
        finally:
            game.memory = memory
            for module, training in modes:
                module.training = training
