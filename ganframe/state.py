"""The state of a run: what a checkpoint holds, and how a run takes it back."""

from __future__ import annotations

from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from ganframe import distributed
from ganframe.checkpoint import complete, load_latest, save
from ganframe.errors import BadInput, NotFinite
from ganframe.run import Run


def save_checkpoint(run: Run) -> None:
    """Save everything that the run needs to go on."""
    state: dict[str, object] = {}
    run.hooks.hook.on_checkpoint_save(run=run, state=state)
    rooms = {name: each.state_dict() for name, each in _rooms(run).items()}
    rooms |= {"optimizers": _optimizer_states(run), "memory": run.game.memory, "hooks": state}
    rooms["progress"] = {"images": run.images, "rollbacks": run.rollbacks}
    if distributed.is_main():
        save(run.folder.checkpoints, run.step, rooms, run.experiment.checkpoint.keep)


def restore(run: Run) -> None:
    """Take back the state of the last whole checkpoint; without any, the run begins anew.

    Raises:
        BadInput: When there are checkpoints, and all of them are damaged.
    """
    distributed.wait_for_all()  # the main process may still be writing
    for found in load_latest(run.folder.checkpoints):
        if isinstance(found, BadInput):
            _say(f"[yellow]skipped a damaged checkpoint:[/] {found}")
            continue
        run.step, rooms = found
        break
    else:
        if complete(run.folder.checkpoints):
            raise BadInput("every checkpoint of this run is damaged", place=str(run.folder.checkpoints))
        return  # stopped before its first checkpoint: begin anew
    for name, each in _rooms(run).items():
        each.load_state_dict(rooms[name])
    for name, optimizer in run.optimizers.items():
        saved = rooms["optimizers"][name]
        optimizer.load_state_dict(saved | {"state": {int(key): each for key, each in saved["state"].items()}})
        _lay_out(optimizer)
    run.game.memory = {name: each.to(run.device) for name, each in rooms["memory"].items()}
    run.images, run.rollbacks = rooms["progress"]["images"], rooms["progress"]["rollbacks"]
    run.resumed = True
    run.hooks.hook.on_checkpoint_load(run=run, state=rooms["hooks"])


def roll_back(run: Run, problem: NotFinite) -> None:
    """Go back to the last whole checkpoint, from where the data come in another order.

    Raises:
        NotFinite: When the config wants the run to stop, or it has gone back as often as it may.
    """
    train = run.experiment.train
    if train.on_nonfinite == "stop":
        raise problem
    rollbacks = run.rollbacks + 1
    if rollbacks > train.max_rollbacks:
        raise NotFinite(f"{problem}; the run went back {run.rollbacks} times already (train.max_rollbacks)")
    failed = run.step
    for optimizer in run.optimizers.values():
        optimizer.zero_grad()
    restore(run)
    run.rollbacks = rollbacks
    _say(f"[yellow]went back from step {failed} to {run.step}:[/] {problem}")


def _say(text: str) -> None:
    Console(stderr=True, quiet=not distributed.is_main()).print(text)


def _lay_out(optimizer: Any) -> None:
    """Give the state of each parameter the parameter's memory order, which fused steps take for granted."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _rooms(run: Run) -> dict[str, Any]:
    """Everything of a run that has a state dict, by a name of its own."""
    players = {f"player.{name}": player for name, player in run.game.players.items()}
    terms = {f"term.{name}": term for name, term in run.assembly.objective.stateful().items()}
    averages = {"averages": run.averages} if run.averages else {}
    return players | terms | averages | {"augmentations": run.assembly.augmentations}


def _optimizer_states(run: Run) -> dict[str, Any]:
    states = {name: optimizer.state_dict() for name, optimizer in run.optimizers.items()}
    # JSON has no integer keys.
    return {
        name: state | {"state": {str(key): each for key, each in state["state"].items()}}
        for name, state in states.items()
    }
