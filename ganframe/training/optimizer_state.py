"""Saving, checking and restoring the state of an optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.component_kinds import OptimizerConfig
from ganframe.distributed.collectives import distribute_like


def state_dict(optimizer: Any, parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    """Return the state dict of an optimizer, with parameters numbered by their index in `parameters`.

    The numbering does not depend on the parameter groups, so the state can be loaded into an optimizer that groups the
    same parameters differently. The numbers are strings, because JSON needs string keys.

    Args:
        optimizer: The optimizer.
        parameters: All parameters of the optimizer, in an order that does not depend on the parameter groups.
    """
    state = optimizer.state_dict()
    numbers = {parameter: number for number, parameter in enumerate(parameters)}
    groups = [
        group | {"params": [numbers[parameter] for parameter in live["params"]]}
        for group, live in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    renumbered = {
        old: new
        for group, numbered in zip(state["param_groups"], groups, strict=True)
        for old, new in zip(group["params"], numbered["params"], strict=True)
    }
    by_number = {str(renumbered[index]): value for index, value in state["state"].items()}
    return state | {"state": by_number, "param_groups": groups}


def load_state_dict(
    optimizer: Any,
    config: OptimizerConfig,
    parameters: Sequence[nn.Parameter],
    saved: Mapping[str, Any],
    *,
    settings: bool,
) -> None:
    """Restore the state of an optimizer, after checking that it fits.

    Args:
        optimizer: The optimizer.
        config: The config of the optimizer.
        parameters: All parameters of the optimizer, in the same order as for `state_dict`.
        saved: A result of `state_dict`.
        settings: Whether to restore the saved settings, such as the learning rate, too. If False, keep the current
            ones.

    Raises:
        ValueError: When the state has another number of parameters, or other dtypes or shapes, than this optimizer.
    """
    count = sum(len(group["params"]) for group in saved["param_groups"])
    if count != len(parameters):
        raise ValueError(f"it had {count} parameters, and has {len(parameters)}")
    current = [_settings(group) for group in optimizer.param_groups]
    kept = [_settings(group) for group in saved["param_groups"]] if settings else current
    numbers = {parameter: number for number, parameter in enumerate(parameters)}
    groups = [
        group | {"params": [numbers[parameter] for parameter in live["params"]]}
        for group, live in zip(kept, optimizer.param_groups, strict=True)
    ]
    state = {int(index): value for index, value in saved["state"].items()}
    if not state.keys() <= set(range(count)):
        raise ValueError(f"there is a state for more than its {count} parameters")
    optimizer.load_state_dict({**saved, "state": state, "param_groups": groups})
    # The saved state is checked, because the loaded one was converted to the dtypes of the parameters.
    _check_state(optimizer, config, {parameters[number]: value for number, value in state.items()})
    _match_memory_format(optimizer)


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _check_state(optimizer: Any, config: OptimizerConfig, saved: Mapping[nn.Parameter, Mapping[str, Any]]) -> None:
    """Refuse a state whose dtypes or shapes differ from those that the optimizer has after its first step.

    Fused kernels do not check shapes, and write past the end of a tensor that is too small.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = saved.get(parameter)
            if not state:
                continue  # not updated yet
            for name, value in _state_after_step(config, parameter, _settings(group)).items():
                found, expected = _describe(state.get(name)), _describe(value)
                if found != expected:
                    raise ValueError(f"{name!r} is {found}, and should be {expected}")


def _state_after_step(config: OptimizerConfig, parameter: nn.Parameter, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state after one step of a new optimizer with these settings, for a parameter like this one."""
    like = nn.Parameter(torch.zeros(parameter.shape, dtype=parameter.dtype, device=parameter.device))
    like.grad = torch.zeros_like(like)
    optimizer: Any = config.build([like])
    optimizer.param_groups[0].update(settings)
    optimizer.step()
    return optimizer.state[like]


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of the shape {tuple(value.shape)}"
    return "missing" if value is None else type(value).__name__


def _match_memory_format(optimizer: Any) -> None:
    """Convert the state of each parameter to the parameter's sharding and memory format, which fused kernels assume."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                distributed = distribute_like(value, parameter)
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(distributed)
