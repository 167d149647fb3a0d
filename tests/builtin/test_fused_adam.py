"""Steps of `FusedAdam` are those of PyTorch's own fused Adam, bit for bit, and its state is the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ganframe.builtin.fused_adam import FusedAdam
from ganframe.builtin.optimizers import Adam, AdamW

PLAIN: dict[str, Any] = {"lr": 1e-2, "betas": (0.5, 0.999), "eps": 1e-8}
SETTINGS = [PLAIN, PLAIN | {"weight_decay": 0.1}, PLAIN | {"weight_decay": 0.1, "decoupled_weight_decay": True}]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    return request.param


def network(device: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 3))
    return made.to(device=device, dtype=dtype, memory_format=torch.channels_last)


def give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    """Other ones in each step; every parameter is left out in some."""
    generator = torch.Generator().manual_seed(step)
    for index, each in enumerate(parameters):
        drawn = torch.randn(each.shape, generator=generator).to(each)
        each.grad = None if (index + step) % 5 == 0 else drawn


def same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, torch.Tensor):
        return mine.dtype == theirs.dtype and mine.stride() == theirs.stride() and torch.equal(mine, theirs)
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(same(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, list):
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    return mine == theirs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("settings", SETTINGS)
def test_steps_and_state_are_those_of_pytorch(settings: dict[str, Any], dtype: torch.dtype, device: str) -> None:
    mine, theirs = (list(network(device, dtype).parameters()) for _ in range(2))
    ours, reference = FusedAdam(mine, **settings), torch.optim.Adam(theirs, **settings, fused=True)
    for step in range(8):
        for parameters, optimizer in ((mine, ours), (theirs, reference)):
            give_gradients(parameters, step)
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + step)
            optimizer.step()
        assert same([each.data for each in mine], [each.data for each in theirs])
    assert same(ours.state_dict(), reference.state_dict())


def test_either_takes_the_state_of_the_other() -> None:
    mine, theirs = (list(network("cpu").parameters()) for _ in range(2))
    ours, reference = FusedAdam(mine, **PLAIN), torch.optim.Adam(theirs, **PLAIN, fused=True)
    for step in range(6):
        for parameters, optimizer in ((mine, ours), (theirs, reference)):
            give_gradients(parameters, step)
            optimizer.step()
        states = ours.state_dict(), reference.state_dict()
        reference.load_state_dict(states[0])
        ours.load_state_dict(states[1])
    assert same([each.data for each in mine], [each.data for each in theirs])


def test_parameters_of_groups_move_by_the_settings_of_their_group() -> None:
    slow, fast = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = FusedAdam([{"params": [slow], "lr": 1e-3}, {"params": [fast], "lr": 1e-1}], **PLAIN)
    slow.grad, fast.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    # Without a past Adam steps by the learning rate, against the sign of the gradient.
    assert slow.item() == pytest.approx(-1e-3)
    assert fast.item() == pytest.approx(-1e-1)


def test_nothing_moves_without_gradients() -> None:
    parameters = list(network("cpu").parameters())
    before = [each.clone() for each in parameters]
    FusedAdam(parameters, **PLAIN).step()
    assert same(before, [each.data for each in parameters])


def test_hooks_that_would_never_be_called_are_refused() -> None:
    optimizer = FusedAdam(network("cpu").parameters(), **PLAIN)
    with pytest.raises(NotImplementedError, match="on_turn_end"):
        optimizer.register_step_pre_hook(lambda *_: None)
    with pytest.raises(NotImplementedError, match="on_turn_end"):
        optimizer.register_step_post_hook(lambda *_: None)


def test_a_scaled_loss_moves_nothing_by_its_scale() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer, scaler = FusedAdam([parameter], **PLAIN), torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(3 * parameter.sum()).backward()
    scaler.step(optimizer)
    assert optimizer.state[parameter]["exp_avg"].item() == pytest.approx(0.5 * 3)


def test_configs_fuse_where_all_parameters_are_of_one_kind() -> None:
    alike = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(2))]
    mixed = [*alike, nn.Parameter(torch.zeros(1, dtype=torch.float64))]
    assert isinstance(Adam().build(alike), FusedAdam)
    assert not isinstance(Adam().build(mixed), FusedAdam)
    assert AdamW().build(alike).param_groups[0]["decoupled_weight_decay"]
    assert AdamW().build(mixed).param_groups[0]["decoupled_weight_decay"]
