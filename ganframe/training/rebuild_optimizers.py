"""New optimizers in the middle of a run, after the parameters that train have changed."""

from __future__ import annotations

from typing import Any

from ganframe.training.run_state import Run


def rebuild_optimizers(run: Run, *, keep_state: bool = True) -> None:
    """Build the optimizer anew for each turn in which other parameters train than before.

    The parameters come in the order of the networks. Those that trained before keep their state, such as Adam's
    moments; new ones begin without. Settings such as the learning rate stay as they were. Afterwards the run needs a
    new `Trainer`.

    Args:
        run: The run, between two steps.
        keep_state: Whether that state is kept. If not, the optimizers of all turns are built anew.
    """
    for turn, optimizer in run.assembly.optimizers().items():
        before: Any = run.optimizers[turn]
        if _parameters(optimizer) == _parameters(before) and keep_state:
            continue
        _copy_settings(before, optimizer)
        if keep_state:
            _copy_state(before, optimizer)
        run.optimizers[turn] = optimizer


def _parameters(optimizer: Any) -> list[list[int]]:
    """Return the identities of the parameters of each group, since comparing parameters compares their numbers."""
    return [[id(parameter) for parameter in group["params"]] for group in optimizer.param_groups]


def _copy_settings(before: Any, optimizer: Any) -> None:
    for old, new in zip(before.param_groups, optimizer.param_groups, strict=True):
        new |= {name: value for name, value in old.items() if name != "params"}


def _copy_state(before: Any, optimizer: Any) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter in before.state:
                optimizer.state[parameter] = before.state[parameter]
