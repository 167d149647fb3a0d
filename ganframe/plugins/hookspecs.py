"""Every hook that a plugin may implement.

A plugin is a module with functions marked `@ganframe.hookimpl`, named by an entry point in the group `ganframe`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganframe.config.hook_markers import hookspec

if TYPE_CHECKING:
    from torch import Tensor
    from typer import Typer

    from ganframe.config.component import Component
    from ganframe.game.round import Round
    from ganframe.game.turn import Turn
    from ganframe.training.run_state import Run


@hookspec(historic=True)
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Call `register` with each config class of the plugin, such as a subclass of `LossConfig`."""


@hookspec(historic=True)
def register_presets(register: Callable[[Path], None]) -> None:
    """Call `register` with each folder of presets (`*.yaml`); the folder `presets` of the package is found anyway."""


@hookspec(historic=True)
def register_commands(cli: Typer) -> None:
    """Add commands to the `ganframe` command line."""


@hookspec
def on_run_start(run: Run) -> None:
    """Called before the first training step. The players and optimizers are built, and restored in a resumed run."""


@hookspec
def on_turn_end(run: Run, turn: Turn, rounds: Sequence[Round]) -> None:
    """Called after the optimizer step of a turn. `rounds` has the tensors and `logits` of each accumulated batch."""


@hookspec
def on_step_end(run: Run, step: int, scalars: Mapping[str, float]) -> None:
    """Called after training step number `step`. The names in `scalars` are `turn/name` or `component/name`."""


@hookspec
def on_evaluation_start(run: Run, step: int) -> None:
    """Called before the metrics are measured, which may take much longer than a training step."""


@hookspec
def on_evaluation(run: Run, step: int, results: Mapping[str, float]) -> None:
    """Called after the metrics were measured. The names in `results` are `metric/name`."""


@hookspec
def on_snapshot(run: Run, step: int, tensors: Mapping[str, Tensor], picture: Path) -> None:
    """Called after a picture of samples of the averaged players was saved. `tensors` has the samples, by name."""


@hookspec
def on_checkpoint_save(run: Run, state: dict[str, object]) -> None:
    """Add to `state` the JSON values that a resumed run needs, under a key that only this plugin uses."""


@hookspec
def on_checkpoint_load(run: Run, state: Mapping[str, object]) -> None:
    """Restore the values that `on_checkpoint_save` added to `state`."""


@hookspec
def on_run_end(run: Run, error: BaseException | None) -> None:
    """Called when the run has ended. `error` is the exception that ended it; None if it finished normally."""
