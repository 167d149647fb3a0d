"""Which rows of a batch a rank has, and which process writes."""

from __future__ import annotations

import pytest
import torch
from ranks import pretend_rank

from ganframe.distributed.shard import Shard, is_main_process, this_shard


def test_a_rank_has_its_rows() -> None:
    rows = torch.arange(6)
    assert [Shard(rank, 3).of(rows).tolist() for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert Shard().of(rows) is rows


def test_the_main_process_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, main in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        assert is_main_process() is main
    pretend_rank(monkeypatch, 0, 3)
    assert is_main_process()
    assert this_shard() == Shard(0, 3)
