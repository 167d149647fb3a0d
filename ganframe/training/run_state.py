"""The state of a run, which hooks get as the argument `run`."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ganframe.config.experiment import Experiment
from ganframe.data.identity import DataIdentity
from ganframe.game.training_progress import TrainingProgress
from ganframe.runs.best_measurement import BestMeasurement
from ganframe.runs.folder import RunFolder
from ganframe.runs.log_lines import LogTally
from ganframe.training.components import nested_components, player_components
from ganframe.training.ema import DecaySchedule
from ganframe.training.scheduled_settings import ScheduledSettings

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
    """A training run: its config, folder, objects and progress. Hooks get it as the argument `run`.

    Attributes:
        experiment: The config.
        folder: The run folder.
        assembly: The objects built from the config: the game with its players, the objective, the augmentations.
        optimizers: The optimizers by name: the turn's name, or `TURN.PLAYER` for a player with a separate one.
        averages: The moving averages (EMA) of the players; None if the config has no `train.ema`.
        hooks: Calls the hooks of the plugins, loggers and components of this run.
        step: The number of completed training steps.
        images: The number of real examples seen in them.
        turn_counts: How often each turn was taken so far, by the turn's name.
        resumed: Whether the run was resumed from a checkpoint.
        evaluation_done: Whether the callbacks of this step have finished; False if a signal interrupted one of them.
        data: The number of examples, specs and files of the data; None if unknown, such as in tests.
        reported: The scalars that hooks have reported in this step, by name.
        rollbacks: How often the run went back to a checkpoint after a number that was not finite.
        best: The best measurement so far; None when the config does not ask for it.
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
    best: BestMeasurement | None = None
    data: DataIdentity | None = None
    reported: dict[str, Tensor] = field(default_factory=dict[str, "Tensor"])

    @functools.cached_property
    def log_tallies(self) -> dict[str, LogTally]:
        """The steps and checksums of the lines of each log, by the name of its file."""
        return {log.name: LogTally(log) for log in (self.folder.scalars, self.folder.metrics)}

    def last_logged_steps(self) -> dict[str, int]:
        """Return the last step for which each log can have a line, by the name of its file.

        An interrupted evaluation has none: it is repeated when the run is resumed.
        """
        measured = self.step if self.evaluation_done else self.step - 1
        return {self.folder.scalars.name: self.step, self.folder.metrics.name: measured}

    def report(self, name: str, value: Tensor) -> None:
        """Log a scalar with this step. Call this in the hook `on_turn_end`.

        Args:
            name: The name in the logs, as `component/scalar`: `ada/p`.
            value: A tensor of shape `()`, on the device of the run. It is read at the end of the step, in one transfer
                with all other scalars.
        """
        self.reported[name] = value.detach()

    @property
    def stops_early(self) -> bool:
        """Whether so many measurements had no better value that the run ends."""
        return self.best is not None and self.best.stops_run

    @property
    def is_best(self) -> bool:
        """Whether the best measurement is that of this step."""
        return self.best is not None and self.best.step == self.step

    @property
    def game(self) -> Game:
        """The game, with the players that are trained, not their averages."""
        return self.assembly.game

    @property
    def device(self) -> torch.device:
        """The device of the players."""
        return self.assembly.device

    @functools.cached_property
    def schedules(self) -> ScheduledSettings:
        """The scheduled settings of all objects, including averaged players, and the decay of the averages."""
        own = list(self.assembly.own_components())
        if self.averages is not None:
            own += player_components(self.game, self.averages.players)
        schedules = ScheduledSettings(own, nested_components(own))
        for players in (self.game.players, self.averages.players if self.averages else {}):
            self.assembly.growing.schedule_fade(schedules, players)
        if self.averages is not None and self.experiment.train.ema is not None:
            decay = DecaySchedule(self.experiment.train.ema, lambda: self.assembly.images_per_step)
            schedules.add(self.averages, "decay", decay)
        return schedules

    def progress(self, turn_count: int = 0) -> TrainingProgress:
        """Return the progress of the run.

        Args:
            turn_count: How often the current turn was taken before; 0 outside a turn.
        """
        return TrainingProgress(turn_count, self.images, self.experiment.train.total_images)

    def sampling_game(self) -> Game:
        """Return the game for drawing samples: with the averaged players if there are any.

        Scheduled settings and progress are those of this point of the run, just as if its checkpoint were loaded.
        """
        progress = self.progress()
        self.schedules.apply(progress.images, progress.total)
        game = self.game.with_players(self.averages.players if self.averages else {})
        game.progress = progress
        return game
