"""A run as hooks see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ganframe.config.experiment import Experiment
from ganframe.runs.folder import RunFolder

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganframe.game.game import Game
    from ganframe.game.protocols import Optimizer
    from ganframe.training.assembly import Assembly
    from ganframe.training.ema import AveragedPlayers
    from ganframe.training.plugin_hooks import RunHooks


@dataclass
class Run:
    """A run as hooks see it.

    Attributes:
        experiment: The config.
        folder: The run folder.
        assembly: The game, its players and the objective.
        optimizers: The optimizer of each turn, by the turn's name.
        averages: The averaged players; None where nothing is averaged.
        hooks: The plugins and loggers of this run.
        step: Steps done.
        images: Real examples seen.
        turn_counts: How often each turn was taken, by its name.
        resumed: Whether the run was resumed from a checkpoint.
        evaluation_done: Whether the callbacks that are due at this step have run.
        reported: Scalars of this step that hooks have reported.
        rollbacks: How often the run went back to a checkpoint after a number that was not finite.
    """

    experiment: Experiment
    folder: RunFolder
    assembly: Assembly
    optimizers: dict[str, Optimizer]
    averages: AveragedPlayers | None
    hooks: RunHooks
    step: int = 0
    images: int = 0
    turn_counts: dict[str, int] = field(default_factory=dict[str, int])
    resumed: bool = False
    evaluation_done: bool = True
    rollbacks: int = 0
    reported: dict[str, Tensor] = field(default_factory=dict[str, "Tensor"])

    def report(self, name: str, value: Tensor) -> None:
        """Add a scalar to those of this step, which loggers are given; for `on_turn_end`.

        Args:
            name: The component and the scalar: `ada/p`.
            value: One number. It is read together with all others, so that a GPU is waited for only once.
        """
        self.reported[name] = value.detach()

    @property
    def game(self) -> Game:
        """The game, with the players that train."""
        return self.assembly.game

    @property
    def device(self) -> torch.device:
        """Where the players are."""
        return self.assembly.device

    def sampling_game(self) -> Game:
        """Return the game with averaged players, where there are any."""
        return self.game.with_players(self.averages.players if self.averages else {})
