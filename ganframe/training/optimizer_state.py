"""The state of an optimizer: as a checkpoint holds it, and as it is taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.kinds import OptimizerConfig
from ganframe.distributed.collectives import distribute_like


def state_dict(optimizer: Any) -> dict[str, Any]:
    """The state, with keys that JSON has."""
    state = optimizer.state_dict()
    return state | {"state": {str(index): each for index, each in state["state"].items()}}


def load_state_dict(optimizer: Any, config: OptimizerConfig, saved: Mapping[str, Any], *, settings: bool) -> None:
    """Take a state back.

    Args:
        optimizer: The optimizer.
        config: What built it.
        saved: What `state_dict` gave.
        settings: Whether its settings are taken back too, or stay what they are.

    Raises:
        ValueError: When this optimizer would not have made such a state.
    """
    own = [_settings(group) for group in optimizer.param_groups]
    optimizer.load_state_dict({**saved, "state": {int(index): each for index, each in saved["state"].items()}})
    if not settings:
        for group, wanted in zip(optimizer.param_groups, own, strict=True):
            group.update(wanted)
    _check(optimizer, config)
    _lay_out(optimizer)


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _check(optimizer: Any, config: OptimizerConfig) -> None:
    """Refuse a state that differs in kind from what a first step makes.

    Fused kernels take the shapes of a state for granted, and write past the end of one that is too small.
    """
    known = [each for group in optimizer.param_groups for each in group["params"]]
    if not set(optimizer.state) <= set(known):
        raise ValueError(f"there is a state for more than its {len(known)} parameters")
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter)
            if not state:
                continue  # it has not moved yet
            for name, made in _first_state(config, parameter, _settings(group)).items():
                if _kind(state.get(name)) != _kind(made):
                    raise ValueError(f"{name!r} is {_kind(state.get(name))}, and should be {_kind(made)}")


def _first_state(config: OptimizerConfig, parameter: nn.Parameter, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What an optimizer with these settings holds of such a parameter after a step."""
    like = nn.Parameter(torch.zeros(parameter.shape, dtype=parameter.dtype, device=parameter.device))
    like.grad = torch.zeros_like(like)
    optimizer: Any = config.build([like])
    optimizer.param_groups[0].update(settings)
    optimizer.step()
    return optimizer.state[like]


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of the shape {tuple(value.shape)}"
    return "missing" if value is None else type(value).__name__


def _lay_out(optimizer: Any) -> None:
    """Give the state of each parameter the parameter's memory order, which fused steps take for granted."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                own = distribute_like(value, parameter)
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(own)
