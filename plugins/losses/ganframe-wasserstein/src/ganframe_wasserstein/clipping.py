"""Weight clipping, as in the first Wasserstein GAN."""

from __future__ import annotations

import torch
from torch import nn

from ganframe import Run, hookimpl
from ganframe.game import Turn, Wrapper


class Clipped(Wrapper):
    """A critic whose trainable parameters are clipped to a box after each of its steps.

    Args:
        network: The critic.
        bound: Half the side of the box.

    References:
        Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1.
    """

    def __init__(self, network: nn.Module, bound: float) -> None:
        super().__init__(network)
        self.bound = bound
        self.clip()

    def clip(self) -> None:
        """Move every trainable parameter to the nearest point of [-bound, bound]."""
        with torch.no_grad():
            for parameter in self.network.parameters():
                if parameter.requires_grad:
                    parameter.clamp_(-self.bound, self.bound)

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        """Clip after each step in which the critic trained, on its own or as a part of a player."""
        if any(part is self for name in turn.players for part in run.game.players[name].modules()):
            self.clip()
