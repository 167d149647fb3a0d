"""Weight clipping, as the first Wasserstein GAN has it."""

from __future__ import annotations

import torch
from torch import nn

from ganframe import Run
from ganframe.config import hookimpl
from ganframe.game import Turn, Wrapper


class Clipped(Wrapper):
    """A critic whose trainable parameters are put back into a box after each of its steps.

    Args:
        network: The critic.
        bound: Half the side of the box.
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
        """Clip after the steps in which the critic moved, also as a part of a player."""
        if any(part is self for name in turn.players for part in run.game.players[name].modules()):
            self.clip()
