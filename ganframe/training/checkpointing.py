"""The state of a run: what a checkpoint holds, and how a run takes it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from ganframe.distributed.collectives import barrier, distribute_like, full_tensor
from ganframe.distributed.notices import print_notice
from ganframe.distributed.shard import is_main_process
from ganframe.errors import BadInput, NotFinite
from ganframe.runs.checkpoints import load_latest, mark_damaged, save
from ganframe.training import optimizer_state
from ganframe.training.run import Run

NAMED = 3
"""Tensors of one part of the state that a message names at the most."""


def save_checkpoint(run: Run) -> None:
    """Save everything that the run needs to go on.

    Raises:
        NotFinite: When a number in it is not finite; nothing is saved then.
        RunFailed: When it cannot be written.
    """
    check_finite(run)
    state: dict[str, object] = {}
    run.hooks.call("on_checkpoint_save", run=run, state=state)
    sections = {name: each.state_dict() for name, each in _rooms(run).items()}
    optimizers = {turn: optimizer_state.state_dict(optimizer) for turn, optimizer in run.optimizers.items()}
    sections |= {"optimizers": optimizers, "memory": run.game.memory, "hooks": state}
    sections["progress"] = {"images": run.images, "rollbacks": run.rollbacks, "looked": run.evaluation_done}
    sections["settings"] = {"optimizers": _optimizer_settings(run)}
    sections = _whole(sections)
    if is_main_process():
        save(run.folder.checkpoints, run.step, sections, run.experiment.checkpoint.keep)


def check_finite(run: Run) -> None:
    """Refuse a state with a number that is not finite, wherever in it.

    Raises:
        NotFinite: Names the parts of the state, and their tensors.
    """
    spoilt: dict[str, list[str]] = {}
    for part, name, held in _held(run):
        value = full_tensor(held)
        # The least and the largest number tell, in a thirtieth of the time that it takes to ask each.
        if value.is_floating_point() and value.numel() and not torch.stack(value.aminmax()).isfinite().all():
            spoilt.setdefault(part, []).append(name)
    if spoilt:
        raise NotFinite(f"step {run.step}: not finite: {'; '.join(map(_listed, spoilt, spoilt.values()))}")


def restore(run: Run) -> None:
    """Take back the state of the last whole checkpoint; without any, the run begins anew.

    Raises:
        BadInput: When there are checkpoints and all of them are damaged, or the state does not fit the config.
    """
    barrier()  # the main process may still be writing
    found = load_latest(run.folder.checkpoints)
    if found is None:
        return  # stopped before its first checkpoint
    step, sections = found
    for name, each in _rooms(run).items():
        if name in sections:
            _load(name, each, sections[name])
        elif name.startswith("term."):
            print_notice("begins without a past", name.replace(".", " ", 1))
        else:
            raise _does_not_fit(name, "the run did not have it")
    for name in run.optimizers:
        _load_optimizer(run, name, sections)
    if is_main_process():
        mark_damaged(run.folder.checkpoints, after=step)
    run.step = step
    run.game.memory = {name: each.to(run.device) for name, each in sections["memory"].items()}
    progress = sections["progress"]
    run.images, run.rollbacks, run.evaluation_done = (
        int(progress["images"]),
        int(progress["rollbacks"]),
        progress["looked"],
    )
    run.resumed = True
    run.hooks.call("on_checkpoint_load", run=run, state=sections["hooks"])


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
    print_notice(f"went back from step {failed} to {run.step}", str(problem))


def _load(name: str, live: Any, state: Mapping[str, Any]) -> None:
    try:
        live.load_state_dict(_laid_out(state, live.state_dict()))
    except (RuntimeError, ValueError, KeyError) as problem:
        lines = str(problem).splitlines()
        raise _does_not_fit(name, lines[min(1, len(lines) - 1)].strip()) from None


def _does_not_fit(name: str, why: str) -> BadInput:
    part = name.replace(".", " ", 1)
    remedy = "Start a new run with another --out."
    return BadInput(f"what the run has learnt does not fit this config: {part}: {why}", remedy=remedy)


def _load_optimizer(run: Run, turn: str, sections: Mapping[str, Any]) -> None:
    """Take back an optimizer's state; its settings too, unless the config was changed since."""
    name = f"optimizer.{turn}"
    if turn not in sections["optimizers"]:
        raise _does_not_fit(name, "the run did not have it")
    before, now = sections["settings"]["optimizers"][turn], _optimizer_settings(run)[turn]
    if before["type"] != now["type"]:
        raise _does_not_fit(name, f"the run had {before['type']!r}, and this is {now['type']!r}")
    config = run.assembly.optimizer_configs()[turn]
    try:
        optimizer_state.load_state_dict(
            run.optimizers[turn], config, sections["optimizers"][turn], settings=before == now
        )
    except (RuntimeError, ValueError, KeyError, TypeError) as problem:
        raise _does_not_fit(name, str(problem).splitlines()[0]) from None


def _whole(tree: Any) -> Any:
    """The state with all of every tensor, of which each rank may have a part."""
    if isinstance(tree, Tensor):
        return full_tensor(tree)
    if isinstance(tree, Mapping):
        return {name: _whole(each) for name, each in cast(Mapping[str, Any], tree).items()}
    if isinstance(tree, (list, tuple)):
        return [_whole(each) for each in cast(list[Any], tree)]
    return tree


def _laid_out(state: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """A saved state, of which each rank has what it has of the present one."""
    return {
        name: distribute_like(value, model) if isinstance(model := present.get(name), Tensor) else value
        for name, value in state.items()
    }


def _rooms(run: Run) -> dict[str, Any]:
    """Everything of a run that has a state dict, by a name of its own."""
    players = {f"player.{name}": player for name, player in run.game.players.items()}
    terms = {f"term.{name}": term for name, term in run.assembly.objective.stateful_terms().items()}
    averages = {"averages": run.averages} if run.averages else {}
    return players | terms | averages | {"augmentations": run.assembly.augmentations}


def _optimizer_settings(run: Run) -> dict[str, Any]:
    return {turn: config.model_dump(mode="json") for turn, config in run.assembly.optimizer_configs().items()}


def _held(run: Run) -> Iterator[tuple[str, str, Tensor]]:
    """The tensors of the state: the part that each belongs to, in words, its name in it, and the tensor."""
    for name, player in run.game.players.items():
        yield from _leaves(f"the player {name!r}", player.state_dict())
    for name, player in (run.averages.players if run.averages else {}).items():
        yield from _leaves(f"the average of {name!r}", player.state_dict())
    names = {
        each: f"{name}.{key}" for name, player in run.game.players.items() for key, each in player.named_parameters()
    }
    for turn in run.game.turns:
        moved = run.game.trainable_parameters(turn.players)
        for index, state in run.optimizers[turn.name].state_dict()["state"].items():
            yield from _leaves(f"the optimizer of the turn {turn.name!r}", state, f" of {names[moved[index]]}")
    for name, term in run.assembly.objective.stateful_terms().items():
        yield from _leaves(f"the term {name!r}", term.state_dict())
    yield from _leaves("the augmentations", run.assembly.augmentations.state_dict())
    yield from _leaves("the memory of the game", run.game.memory)


def _leaves(part: str, tree: Any, ending: str = "", key: str = "") -> Iterator[tuple[str, str, Tensor]]:
    if isinstance(tree, Tensor):
        yield part, f"{key}{ending}", tree
    elif isinstance(tree, Mapping):
        for name, each in tree.items():
            yield from _leaves(part, each, ending, f"{key}.{name}" if key else str(name))
    elif isinstance(tree, (list, tuple)):
        for index, each in enumerate(tree):
            yield from _leaves(part, each, ending, f"{key}.{index}" if key else str(index))


def _listed(part: str, names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{part} ({', '.join(names[:NAMED])}{more})"
