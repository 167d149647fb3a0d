"""Weight clipping, as the first Wasserstein GAN has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganframe import hookimpl
from ganframe.game import Turn
from ganframe.protocols import Verdict
from ganframe.run import Run

if TYPE_CHECKING:
    from ganframe.protocols import Sample


class Clipped(nn.Module):
    """A critic whose trainable parameters are put back into a box after each of its steps.

    Args:
        network: The critic.
        bound: Half the side of the box.
    """

    def __init__(self, network: nn.Module, bound: float) -> None:
        super().__init__()
        self.network = network
        self.bound = bound
        self.clip()

    def forward(self, sample: Sample, condition: Tensor | None = None) -> Verdict:
        """What the critic says."""
        return self.network(sample) if condition is None else self.network(sample, condition)

    def clip(self) -> None:
        """Move every trainable parameter to the nearest point of [-bound, bound]."""
        with torch.no_grad():
            for parameter in self.network.parameters():
                if parameter.requires_grad:
                    parameter.clamp_(-self.bound, self.bound)

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        """Clip after the steps in which the critic moved."""
        if any(run.game.players[name] is self for name in turn.moves):
            self.clip()

    def __getattr__(self, name: str) -> Any:
        """Whatever else the critic offers."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)
