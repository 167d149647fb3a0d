"""Rebuilding of optimizers in the middle of a run, after the set of parameters that train has changed."""

from __future__ import annotations

from typing import Any

from ganframe.training.run_state import Run


def rebuild_optimizers(run: Run, *, keep_state: bool = True) -> None:
    """Rebuild each optimizer whose set of parameters has changed. Afterwards the run needs a new `Trainer`.

    New parameters begin without a state. Settings such as the current learning rate are kept.

    Args:
        run: The run, between two steps.
        keep_state: Whether parameters that trained before keep their state, such as Adam's moments.
    """
    built = run.assembly.optimizers()
    for name, optimizer in built.items():
        before: Any = run.optimizers.get(name)
        if before is None:
            continue  # nothing of it trained before
        if _parameters(optimizer) == _parameters(before):
            built[name] = before
        else:
            _carry_over(before, optimizer, keep_state)
    run.optimizers = built


def _parameters(optimizer: Any) -> list[list[int]]:
    """Return the `id` of each parameter, by group, because `==` of parameters compares their elements."""
    return [[id(parameter) for parameter in group["params"]] for group in optimizer.param_groups]


def _carry_over(before: Any, optimizer: Any, keep_state: bool) -> None:
    for old, new in zip(before.param_groups, optimizer.param_groups, strict=True):
        new |= {name: value for name, value in old.items() if name != "params"}
        for parameter in new["params"]:
            if keep_state and parameter in before.state:
                optimizer.state[parameter] = before.state[parameter]
