"""Checking the state of a run, saving it in a checkpoint, and restoring it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganframe.distributed.collectives import barrier, distribute_like, full_tensor
from ganframe.distributed.notices import print_notice
from ganframe.distributed.shard import is_main_process
from ganframe.errors import BadInput, NotFinite
from ganframe.runs.best_measurement import BestMeasurement
from ganframe.runs.checkpoint_files import checkpoint_path, load_latest, mark_damaged, save
from ganframe.training import optimizer_state
from ganframe.training.frozen_players import check_digests
from ganframe.training.identity import describe_identity
from ganframe.training.optimizers import TurnOptimizer
from ganframe.training.parameter_changes import change_parameters
from ganframe.training.run_state import Run

MAX_NAMED_TENSORS = 3
"""Maximum number of tensors that an error message names for one part of the state."""


def save_checkpoint(run: Run) -> None:
    """Save a checkpoint with everything that is needed to resume the run.

    Raises:
        NotFinite: When a number in the state is not finite. Nothing is saved then.
        RunFailed: When the checkpoint cannot be written.
    """
    check_finite(run)
    state: dict[str, object] = {}
    run.hooks.call("on_checkpoint_save", run=run, state=state)
    sections = {name: part.state_dict() for name, part in _stateful_parts(run).items()}
    sections |= {"optimizers": _optimizer_states(run), "memory": run.game.memory, "hooks": state}
    sections["progress"] = {
        "images": run.images,
        "turn_counts": run.turn_counts,
        "rollbacks": run.rollbacks,
        "looked": run.evaluation_done,
    }
    if run.assembly.frozen_digests:
        sections["frozen_players"] = dict(run.assembly.frozen_digests)
    sections["settings"] = {"optimizers": _optimizer_settings(run)}
    sections = _full_tensors(sections)
    if run.best is not None:
        sections["best"] = run.best.dump()
    if is_main_process():
        save(
            run.folder.checkpoints,
            run.step,
            sections,
            run.experiment.checkpoint.keep,
            describe_identity(run),
            best_step=None if run.best is None else run.best.step,
        )


def check_finite(run: Run) -> None:
    """Refuse a state with a number that is not finite.

    Raises:
        NotFinite: When there is one. The message names the tensors and the parts of the state that they belong to.
    """
    found: dict[str, list[str]] = {}
    for part, name, tensor in _state_tensors(run):
        value = full_tensor(tensor)
        # Checking the minimum and maximum takes a thirtieth of the time of checking every number.
        if value.is_floating_point() and value.numel() and not torch.stack(value.aminmax()).isfinite().all():
            found.setdefault(part, []).append(name)
    if found:
        raise NotFinite(f"step {run.step}: not finite: {'; '.join(map(_describe_part, found, found.values()))}")


def restore(run: Run, check: Callable[[int], None] | None = None) -> None:
    """Restore the latest checkpoint that is not damaged; do nothing if there is no checkpoint.

    Args:
        run: The run.
        check: Called with the step of the checkpoint before anything is restored; may raise an error to refuse it.

    Raises:
        BadInput: When there are checkpoints but all are damaged, or the state does not fit the config.
    """
    barrier()  # the main process may still be writing
    checkpoint = load_latest(run.folder.checkpoints)
    if checkpoint is None:
        return  # stopped before its first checkpoint
    step, sections = checkpoint
    if check is not None:
        check(step)
    progress = sections["progress"]
    check_digests(sections.get("frozen_players", {}), run.assembly.frozen_digests)
    change_parameters(run, int(progress["images"]))
    for name, part in _stateful_parts(run).items():
        if name in sections:
            _load_state(name, part, sections[name])
        elif name.startswith("term."):
            print_notice("no saved state; initialised fresh", name.replace(".", " ", 1))
        else:
            raise _does_not_fit(name, "the run did not have it")
    for plan in run.assembly.turn_optimizers():
        _load_optimizer(run, plan, sections)
    if is_main_process():
        mark_damaged(run.folder.checkpoints, after=step)
    run.step = step
    run.game.memory = {name: tensor.to(run.device) for name, tensor in sections["memory"].items()}
    run.images, run.rollbacks = int(progress["images"]), int(progress["rollbacks"])
    run.evaluation_done = progress["looked"]
    # Checkpoints of version 0.1.0 lack the counts; there, every turn was taken in every step.
    taken = {turn.name: step * turn.repeats for turn in run.game.turns}
    run.turn_counts = {turn: int(count) for turn, count in progress.get("turn_counts", taken).items()}
    if run.best is not None:
        run.best = _restored_best(run, run.best, sections.get("best"))
    run.resumed = True
    run.hooks.call("on_checkpoint_load", run=run, state=sections["hooks"])


def _restored_best(run: Run, best: BestMeasurement, saved: Any) -> BestMeasurement:
    """Return the best measurement of a checkpoint; none yet if its own checkpoint is gone, or it measured otherwise."""
    found = best.resumed(saved)
    if found.step is None and saved is not None and saved["step"] is not None:
        reason = f"{saved['result']} {saved['value']:.4g} was measured under other settings, or with another goal"
        print_notice("the search for the best checkpoint begins anew", reason)
    if found.step is not None and not checkpoint_path(run.folder.checkpoints, found.step).is_dir():
        print_notice("the best checkpoint is gone, and the search begins anew", found.describe())
        return found.anew()
    return found


def roll_back(run: Run, problem: NotFinite) -> None:
    """Go back to the latest checkpoint that is not damaged. From there, examples are drawn in another order.

    Args:
        run: The run.
        problem: The error that caused this.

    Raises:
        NotFinite: When `train.on_nonfinite` is `stop`, or the run has already gone back `train.max_rollbacks` times.
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
    for tally in run.log_tallies.values():
        tally.reset()  # the lines of the steps after the checkpoint were dropped
    run.rollbacks = rollbacks
    print_notice(f"went back from step {failed} to {run.step}", str(problem))


def _load_state(name: str, live: Any, state: Mapping[str, Any]) -> None:
    current = live.state_dict()
    _check_types(name, state, current)
    try:
        live.load_state_dict(_distribute_state(state, current))
    except (RuntimeError, ValueError, KeyError) as problem:
        lines = str(problem).splitlines()
        raise _does_not_fit(name, lines[min(1, len(lines) - 1)].strip()) from None


def _check_types(name: str, state: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Refuse saved tensors that are not finite, or whose dtype differs from the current one (loading would convert it).

    Raises:
        BadInput: When there is one. The error names the part of the state and the tensor.
    """
    for key, live in current.items():
        saved = state.get(key)
        if not isinstance(live, Tensor) or saved is None:
            continue
        if not isinstance(saved, Tensor) or saved.dtype != live.dtype:
            found = str(saved.dtype) if isinstance(saved, Tensor) else type(saved).__name__
            raise _does_not_fit(name, f"{key!r} is {found} and not {live.dtype}".replace("torch.", ""))
        if not torch.isfinite(saved).all():
            raise _does_not_fit(name, f"{key!r} is not finite")


def _does_not_fit(name: str, reason: str) -> BadInput:
    part = name.replace(".", " ", 1)
    remedy = "Start a new run with another --out."
    return BadInput(f"the saved state does not fit this config: {part}: {reason}", remedy=remedy)


def _load_optimizer(run: Run, plan: TurnOptimizer, sections: Mapping[str, Any]) -> None:
    """Restore the state of an optimizer; restore its settings too if its config is the saved one."""
    name = f"optimizer.{plan.name}"
    if plan.name not in sections["optimizers"]:
        raise _does_not_fit(name, "the run did not have it")
    before, now = sections["settings"]["optimizers"][plan.name], plan.config.type_name()
    if before["type"] != now:
        raise _does_not_fit(name, f"the run had {before['type']!r}, and this is {now!r}")
    saved = sections["optimizers"][plan.name]
    try:
        # Settings that are newer than the run get their defaults.
        same = type(plan.config).model_validate(before) == plan.config
        parameters = plan.all_parameters()
        optimizer_state.load_state_dict(run.optimizers[plan.name], plan.config, parameters, saved, settings=same)
    except (RuntimeError, ValueError, KeyError, TypeError) as problem:
        raise _does_not_fit(name, str(problem).splitlines()[0]) from None


def _full_tensors(tree: Any) -> Any:
    """Return a nested state with whole tensors in place of sharded ones."""
    if isinstance(tree, Tensor):
        return full_tensor(tree)
    if isinstance(tree, Mapping):
        return {name: _full_tensors(child) for name, child in cast(Mapping[str, Any], tree).items()}
    if isinstance(tree, (list, tuple)):
        return [_full_tensors(child) for child in cast(list[Any], tree)]
    return tree


def _distribute_state(state: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Shard a saved state over the ranks, like the current one."""
    return {
        name: distribute_like(value, like) if isinstance(like := current.get(name), Tensor) else value
        for name, value in state.items()
    }


def _stateful_parts(run: Run) -> dict[str, Any]:
    """Return the parts of a run that have a state dict, by the name of their section in a checkpoint."""
    players = {f"player.{name}": player for name, player in run.game.trained_players.items()}
    terms = {f"term.{name}": term for name, term in run.assembly.objective.stateful_terms().items()}
    balancers = {f"balancer.{turn}": balancer for turn, balancer in run.assembly.balancers.items()}
    averages = {"averages": run.averages} if run.averages else {}
    return players | terms | balancers | averages | {"augmentations": run.assembly.augmentations}


def _optimizer_states(run: Run) -> dict[str, dict[str, Any]]:
    plans = run.assembly.turn_optimizers()
    return {plan.name: optimizer_state.state_dict(run.optimizers[plan.name], plan.all_parameters()) for plan in plans}


def _optimizer_settings(run: Run) -> dict[str, Any]:
    return {name: config.model_dump(mode="json") for name, config in run.assembly.optimizer_configs().items()}


def _state_tensors(run: Run) -> Iterator[tuple[str, str, Tensor]]:
    """Yield each tensor of the state, as (the part of the state, the name in that part, the tensor)."""
    for name, player in run.game.trained_players.items():
        yield from _nested_tensors(f"the player {name!r}", player.state_dict())
    for name, player in (run.averages.players if run.averages else {}).items():
        yield from _nested_tensors(f"the average of {name!r}", player.state_dict())
    terms = {f"term {name}": term for name, term in run.assembly.objective.stateful_terms().items()}
    names = {
        parameter: f"{name}.{key}"
        for name, owner in (run.game.players | terms).items()
        for key, parameter in (owner.named_parameters() if isinstance(owner, nn.Module) else ())
    }
    for plan in run.assembly.turn_optimizers():
        parameters, part = plan.all_parameters(), f"the optimizer of the turn {plan.name!r}"
        state = optimizer_state.state_dict(run.optimizers[plan.name], parameters)["state"]
        for number, own in state.items():
            yield from _nested_tensors(part, own, f" of {names[parameters[int(number)]]}")
    for name, term in run.assembly.objective.stateful_terms().items():
        yield from _nested_tensors(f"the term {name!r}", term.state_dict())
    for turn, balancer in run.assembly.balancers.items():
        yield from _nested_tensors(f"the balancer of the turn {turn!r}", balancer.state_dict())
    yield from _nested_tensors("the augmentations", run.assembly.augmentations.state_dict())
    yield from _nested_tensors("the memory of the game", run.game.memory)


def _nested_tensors(part: str, tree: Any, suffix: str = "", key: str = "") -> Iterator[tuple[str, str, Tensor]]:
    """Yield each tensor of a nested state, as (`part`, dotted key with `suffix`, the tensor)."""
    if isinstance(tree, Tensor):
        yield part, f"{key}{suffix}", tree
    elif isinstance(tree, Mapping):
        for name, child in tree.items():
            yield from _nested_tensors(part, child, suffix, f"{key}.{name}" if key else str(name))
    elif isinstance(tree, (list, tuple)):
        for index, child in enumerate(tree):
            yield from _nested_tensors(part, child, suffix, f"{key}.{index}" if key else str(index))


def _describe_part(part: str, names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED_TENSORS} more" if len(names) > MAX_NAMED_TENSORS else ""
    return f"{part} ({', '.join(names[:MAX_NAMED_TENSORS])}{more})"
