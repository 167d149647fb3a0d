"""Rounds without training: players in eval mode, no gradients, and nothing in the game that changes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from ganframe.game.game import Game


@contextmanager
def eval_mode(game: Game) -> Generator[None, None, None]:
    """Put every player in eval mode and disable gradients; restore the modes and the game's memory at the end."""
    memory = dict(game.memory)
    # Of each module by itself: one that its player keeps in eval mode, such as a frozen backbone, stays there.
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
