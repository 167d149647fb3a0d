"""The exchanges of one of several ranks: what it sends and computes, with the other ranks played by the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ranks import pretend_ranks
from torch import Tensor, nn

from ganframe import RunFailed
from ganframe.distributed.collectives import (
    all_reduce_buffers,
    all_reduce_gradients,
    barrier,
    broadcast_text,
    distribute_like,
    full_tensor,
    gather,
    max_over_ranks,
    mean_over_ranks,
    sum_over_ranks,
)
from ganframe.distributed.shard import Shard, this_shard


@pytest.fixture
def be(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Tensor]]:
    """Be a rank: what it sends is listed, and `others` says what comes back of it."""
    return lambda rank, world_size, others: pretend_ranks(monkeypatch, rank, world_size, others)


def test_alone_nothing_is_sent() -> None:
    values = torch.ones(2)
    for function in (sum_over_ranks, mean_over_ranks, gather, full_tensor):
        assert function(values) is values
    assert distribute_like(values, torch.zeros(3)) is values
    assert max_over_ranks(3) == 3
    assert broadcast_text("x") == "x"
    assert this_shard() == Shard(0, 1)
    barrier()


def test_sums_and_means_are_over_ranks_and_so_are_their_slopes(be: Any) -> None:
    sent = be(1, 4, lambda values: torch.full_like(values, 10))
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    total, mean = sum_over_ranks(values), mean_over_ranks(values)
    assert total.tolist() == [11, 12]
    assert mean.tolist() == [2.75, 3]
    (slope,) = torch.autograd.grad(total, values, torch.tensor([3.0, 5.0]))
    assert sent[-1].tolist() == [3, 5]
    assert slope.tolist() == [13, 15]
    (slope,) = torch.autograd.grad(mean, values, torch.tensor([4.0, 8.0]))
    assert sent[-1].tolist() == [1, 2]
    assert values.tolist() == [1, 2]


@pytest.mark.parametrize(("rank", "place"), [(0, 0), (1, 1), (2, 2)])
def test_examples_are_gathered_in_the_order_of_the_ranks(rank: int, place: int, be: Any) -> None:
    theirs = torch.zeros(3, 2)
    theirs[[each for each in range(3) if each != place]] = 7
    sent = be(rank, 3, lambda values: theirs)
    own = torch.tensor([[1.0, 2.0]])
    expected = torch.full((3, 2), 7.0)
    expected[place] = own
    assert torch.equal(gather(own), expected)
    assert sent[0][place].tolist() == [1, 2]
    assert sent[0].sum() == 3


def test_gradients_become_means_each_of_its_dtype(be: Any) -> None:
    sent = be(0, 4, lambda values: torch.full_like(values, 2))
    parameters = [nn.Parameter(torch.zeros(2, 1)), nn.Parameter(torch.zeros(1, dtype=torch.float64))]
    parameters += [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad = torch.tensor([[2.0], [6.0]])
    parameters[1].grad = torch.tensor([10.0], dtype=torch.float64)
    parameters[2].grad = torch.tensor([14.0, 18.0, 22.0])
    before = parameters[0].grad
    all_reduce_gradients(parameters)
    assert [each.tolist() for each in sent] == [[2, 6, 14, 18, 22], [10]]
    assert [each.grad.tolist() for each in parameters[:3] if each.grad is not None] == [[[1], [2]], [3], [4, 5, 6]]
    assert parameters[0].grad is before
    assert parameters[3].grad is None


class Buffers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([2.0]))
        self.register_buffer("count", torch.tensor([5]))
        self.register_buffer("empty", torch.zeros(0))


def test_buffers_of_floats_become_means(be: Any) -> None:
    sent = be(0, 2, lambda values: torch.full_like(values, 6))
    players: Any = [Buffers(), Buffers()]
    all_reduce_buffers(players)
    assert len(sent) == 2
    assert [(each.mean.item(), each.count.item()) for each in players] == [(4, 5), (4, 5)]


def test_the_largest_number_of_all_ranks_is_found(be: Any) -> None:
    be(0, 2, lambda values: torch.tensor(7))
    assert max_over_ranks(3) == 7
    assert max_over_ranks(9) == 9


def test_only_the_main_process_is_heard(be: Any) -> None:
    said = "runs/é"

    def main(values: Tensor) -> Tensor:
        return torch.tensor(7) if values.ndim == 0 else torch.tensor([*said.encode()])

    sent = be(1, 2, main)
    assert broadcast_text("something longer than that") == said
    assert sent[1].tolist() == [0] * 7
    sent = be(0, 2, torch.zeros_like)
    assert broadcast_text(said) == said
    assert bytes(sent[1].tolist()) == said.encode()


def test_a_rank_that_is_gone_ends_the_run(be: Any) -> None:
    def gone(values: Tensor) -> Tensor:
        raise RuntimeError("Connection closed by peer\nat 0x12")

    be(0, 2, gone)
    with pytest.raises(RunFailed, match=r"cannot be reached \(Connection closed by peer\).*--resume"):
        barrier()
