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
    """Call `register` with each config class; its base class says which kind it is."""


@hookspec(historic=True)
def register_presets(register: Callable[[Path], None]) -> None:
    """Call `register` with a folder of `*.yaml` presets; the folder `presets` of a plugin's package needs no call."""


@hookspec(historic=True)
def register_commands(cli: Typer) -> None:
    """Add commands to the `ganframe` command line."""


@hookspec
def on_run_start(run: Run) -> None:
    """Called when players, optimizers and data are ready; after a resume the state is restored already."""


@hookspec
def on_turn_end(run: Run, turn: Turn, rounds: Sequence[Round]) -> None:
    """Called when the optimizer of a turn has stepped. `rounds` are those of the turn, with their `logits`."""


@hookspec
def on_step_end(run: Run, step: int, scalars: Mapping[str, float]) -> None:
    """Called when every turn of a step is done. `scalars` are this step's, by `turn/name`."""


@hookspec
def on_evaluation(run: Run, step: int, results: Mapping[str, float]) -> None:
    """Called when the metrics are measured. `results` are by `metric/name`."""


@hookspec
def on_snapshot(run: Run, step: int, tensors: Mapping[str, Tensor], picture: Path) -> None:
    """Called when samples of the averaged players are saved as a picture."""


@hookspec
def on_checkpoint_save(run: Run, state: dict[str, object]) -> None:
    """Put what must survive a resume into `state`, under a key of the plugin's own: JSON values only."""


@hookspec
def on_checkpoint_load(run: Run, state: Mapping[str, object]) -> None:
    """Restore what `on_checkpoint_save` put there."""


@hookspec
def on_run_end(run: Run, error: BaseException | None) -> None:
    """Called when the run is over. `error` is None when it finished."""
