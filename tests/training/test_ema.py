"""Which buffers of averaged players are means, and which the latest values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganframe.game.wrapper import Wrapper
from ganframe.training.ema import AveragedPlayers


class Turning(nn.Module):
    """A parametrization with a buffer in which a mean says nothing, one in which it does, and one of a child."""

    not_averaged = ("vector", "child.vector")

    def __init__(self, child: nn.Module | None = None) -> None:
        super().__init__()
        self.register_buffer("vector", torch.zeros(2))
        self.register_buffer("mean", torch.zeros(2))
        self.child = child

    def forward(self, weight: Tensor) -> Tensor:
        return weight


class Child(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("vector", torch.zeros(2))
        self.register_buffer("mean", torch.zeros(2))


def found_after_three_steps(network: nn.Module) -> dict[str, list[float]]:
    """The buffers of the average over values of 1, 2 and 3, each step keeping half of the old."""
    averages = AveragedPlayers({"generator": network}, decay=0.5)
    for _ in range(3):
        for each in network.buffers():
            each.add_(1)
        averages.update()
    return {name: each.tolist() for name, each in averages.players["generator"].named_buffers()}


def test_buffers_that_a_module_names_take_the_latest_value() -> None:
    assert found_after_three_steps(Turning(Child())) == {
        "vector": [3.0, 3.0],
        "mean": [2.25, 2.25],
        "child.vector": [3.0, 3.0],
        "child.mean": [2.25, 2.25],
    }


def test_each_player_names_its_own() -> None:
    averages = AveragedPlayers({"plain": Child(), "turning": Turning(Child())}, decay=0.5)
    sources = averages._sources
    for _ in range(2):
        for each in (buffer for source in sources.values() for buffer in source.buffers()):
            each.add_(1)
        averages.update()
    found = {name: player.get_buffer("vector").tolist() for name, player in averages.players.items()}
    assert found == {"plain": [1.5, 1.5], "turning": [2.0, 2.0]}


def test_a_parametrization_names_its_own() -> None:
    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Turning(Child()))
    found = found_after_three_steps(nn.Sequential(layer))
    assert {name.removeprefix("0.parametrizations.weight.0.") for name, each in found.items() if each == [3, 3]} == {
        "vector",
        "child.vector",
    }


def test_a_wrapper_does_not_name_those_of_the_network_inside() -> None:
    found = found_after_three_steps(Wrapper(Turning(Child())))
    assert {name for name, each in found.items() if each == [3, 3]} == {"network.vector", "network.child.vector"}


def test_a_name_that_is_no_buffer_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"names what is not a buffer: 0\.child\.vector"):
        AveragedPlayers({"generator": nn.Sequential(Turning())}, decay=0.5)


class GrowingTurning(nn.Module):
    """One `Turning`, and a second one after it has grown."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Turning(Child())])

    def grow(self, downscale: int) -> None:
        self.parts.append(Turning(Child()))


def test_buffers_of_parts_that_have_grown_are_those_that_their_module_names() -> None:
    network = GrowingTurning()
    averages = AveragedPlayers({"generator": network}, decay=0.5)
    network.grow(1)
    averages.grow(1)
    for _ in range(3):
        for each in network.buffers():
            each.add_(1)
        averages.update()
    found = {name: each.tolist() for name, each in averages.players["generator"].named_buffers()}
    assert {name: value for name, value in found.items() if ".child." not in name} == {
        "parts.0.vector": [3.0, 3.0],
        "parts.0.mean": [2.25, 2.25],
        "parts.1.vector": [3.0, 3.0],
        "parts.1.mean": [2.25, 2.25],
    }
