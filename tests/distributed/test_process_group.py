"""The processes of a run: how they join, find their devices, and end together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from ranks import pretend_rank, pretend_ranks
from torch import Tensor

from ganframe import BadInput
from ganframe.distributed.process_group import fail_together, local_device, process_group


@pytest.fixture
def be(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Tensor]]:
    """Be a rank: what it sends is listed, and `others` says what comes back of it."""
    return lambda rank, world_size, others: pretend_ranks(monkeypatch, rank, world_size, others)


def test_the_first_rank_that_cannot_go_on_says_why(be: Any) -> None:
    problem = BadInput("gone")

    def failed(*places: int) -> Callable[[Tensor], Tensor]:
        return lambda values: torch.tensor([int(each in places) for each in range(3)])

    be(1, 3, failed())
    with fail_together():
        pass
    for others in ((), (2,)):
        be(1, 3, failed(*others))
        with pytest.raises(BadInput) as raised, fail_together():
            raise problem
        assert raised.value is problem
    be(1, 3, failed(0))
    with pytest.raises(SystemExit) as ended, fail_together():
        raise problem
    assert ended.value.code == 2
    with pytest.raises(SystemExit), fail_together():
        pass


def test_a_process_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert local_device("cuda") == "cuda"
    pretend_rank(monkeypatch, 5, 8)
    assert [local_device(name) for name in ("cuda", "cuda:1", "cpu")] == ["cuda:2", "cuda:1", "cpu"]
    monkeypatch.delenv("LOCAL_RANK")
    assert local_device("cuda") == "cuda:0"


def test_a_group_is_joined_where_there_are_others_and_none_is_joined_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    done = list[str]()
    monkeypatch.setattr(dist, "init_process_group", lambda: done.append("join"))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: done.append("leave"))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group():
        done.append("alone")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ZeroDivisionError), process_group():
        done.append("in")
        raise ZeroDivisionError
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    with process_group():
        done.append("joined before")
    assert done == ["alone", "join", "in", "leave", "joined before"]
