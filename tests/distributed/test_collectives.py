"""What one of several ranks sends, and what it makes of what the others send, with the others played by the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ganframe import BadInput, RunFailed
from ganframe.distributed import collectives as distributed
from ganframe.distributed.shard import Shard
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.gathered_round import GatheredRound, gathered
from ganframe.randomness import Randomness


@pytest.fixture
def be(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Tensor]]:
    """Be a rank: what it sends is listed, and `others` says what comes back of it."""

    def become(rank: int, ranks: int, others: Callable[[Tensor], Tensor]) -> list[Tensor]:
        sent = list[Tensor]()

        def all_reduce(values: Tensor, op: Any = dist.ReduceOp.SUM) -> None:
            sent.append(values.clone())
            came = others(values)
            values.copy_(torch.maximum(values, came) if op == dist.ReduceOp.MAX else values + came)

        monkeypatch.setattr(distributed, "this_shard", lambda: Shard(rank, ranks))
        monkeypatch.setattr(dist, "all_reduce", all_reduce)
        return sent

    return become


def test_a_rank_has_its_rows() -> None:
    rows = torch.arange(6)
    assert [Shard(rank, 3).of(rows).tolist() for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert Shard().of(rows) is rows


def test_alone_nothing_is_sent() -> None:
    values = torch.ones(2)
    for function in (distributed.sum_over_ranks, distributed.mean_over_ranks, distributed.gather, distributed.full_tensor):
        assert function(values) is values
    assert distributed.distribute_like(values, torch.zeros(3)) is values
    assert distributed.max_over_ranks(3) == 3
    assert distributed.broadcast_text("x") == "x"
    assert distributed.this_shard() == Shard(0, 1)
    distributed.barrier()


def test_sums_and_means_are_over_ranks_and_so_are_their_slopes(be: Any) -> None:
    sent = be(1, 4, lambda values: torch.full_like(values, 10))
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    total, mean = distributed.sum_over_ranks(values), distributed.mean_over_ranks(values)
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
    assert torch.equal(distributed.gather(own), expected)
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
    distributed.all_reduce_gradients(parameters)
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
    distributed.all_reduce_buffers(players)
    assert len(sent) == 2
    assert [(each.mean.item(), each.count.item()) for each in players] == [(4, 5), (4, 5)]


def test_the_largest_number_of_all_ranks_is_found(be: Any) -> None:
    be(0, 2, lambda values: torch.tensor(7))
    assert distributed.max_over_ranks(3) == 7
    assert distributed.max_over_ranks(9) == 9


def test_only_the_main_process_is_heard(be: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "runs/é"

    def main(values: Tensor) -> Tensor:
        return torch.tensor(7) if values.ndim == 0 else torch.tensor([*said.encode()])

    monkeypatch.setenv("RANK", "1")
    sent = be(1, 2, main)
    assert distributed.broadcast_text("something longer than that") == said
    assert sent[1].tolist() == [0] * 7
    monkeypatch.setenv("RANK", "0")
    sent = be(0, 2, torch.zeros_like)
    assert distributed.broadcast_text(said) == said
    assert bytes(sent[1].tolist()) == said.encode()


def test_the_first_rank_that_cannot_go_on_says_why(be: Any) -> None:
    problem = BadInput("gone")

    def failed(*places: int) -> Callable[[Tensor], Tensor]:
        return lambda values: torch.tensor([int(each in places) for each in range(3)])

    be(1, 3, failed())
    with distributed.fail_together():
        pass
    for others in ((), (2,)):
        be(1, 3, failed(*others))
        with pytest.raises(BadInput) as raised, distributed.fail_together():
            raise problem
        assert raised.value is problem
    be(1, 3, failed(0))
    with pytest.raises(SystemExit) as ended, distributed.fail_together():
        raise problem
    assert ended.value.code == 2
    with pytest.raises(SystemExit), distributed.fail_together():
        pass


def test_a_rank_that_is_gone_ends_the_run(be: Any) -> None:
    def gone(values: Tensor) -> Tensor:
        raise RuntimeError("Connection closed by peer\nat 0x12")

    be(0, 2, gone)
    with pytest.raises(RunFailed, match=r"cannot be reached \(Connection closed by peer\).*--resume"):
        distributed.barrier()


def test_a_process_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert distributed.local_device("cuda") == "cuda"
    monkeypatch.setattr(distributed, "this_shard", lambda: Shard(5, 8))
    assert [distributed.local_device(name) for name in ("cuda", "cuda:1", "cpu")] == ["cuda:2", "cuda:1", "cpu"]
    monkeypatch.delenv("LOCAL_RANK")
    assert distributed.local_device("cuda") == "cuda:0"


def test_a_group_is_joined_where_there_are_others_and_none_is_joined_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    done = list[str]()
    monkeypatch.setattr(dist, "init_process_group", lambda: done.append("join"))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: done.append("leave"))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed.process_group():
        done.append("alone")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ZeroDivisionError), distributed.process_group():
        done.append("in")
        raise ZeroDivisionError
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    with distributed.process_group():
        done.append("joined before")
    assert done == ["alone", "join", "in", "leave", "joined before"]


def test_the_main_process_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, main in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        assert distributed.is_main_process() is main
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    assert distributed.is_main_process()
    assert distributed.this_shard() == Shard(0, 3)


# A round over all ranks: this one is the second of two, and what the first has is 100 more.


class Own:
    """The round of one rank."""

    size = 2
    device = "here"
    randomness = Randomness(3, ("step",), Shard(1, 2))

    def __init__(self) -> None:
        self.size, self.randomness, self.device = 2, Own.randomness, "here"
        self.asked = list[object]()

    def __getitem__(self, name: str) -> Any:
        self.asked.append(name)
        return {"real": torch.tensor([1.0, 2.0]), "pair": (torch.tensor([3.0]), torch.tensor([4.0]))}[name]

    def output(self, contest: Contest, side: str) -> DiscriminatorOutput:
        self.asked.append((contest.name, side))
        base = {"real": 0.0, "fake": 10.0}[side]
        numbers = [torch.tensor([base + each]) for each in range(7)]
        return DiscriminatorOutput(numbers[0], (numbers[1], numbers[2]), numbers[3], (numbers[4],), numbers[5], numbers[6])

    def judge(self, discriminator: str, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:
        self.asked.append((discriminator, sample, condition))
        return DiscriminatorOutput(torch.tensor([5.0]))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    sent = list[list[float]]()

    def gather(values: Tensor) -> Tensor:
        sent.append(values.tolist())
        return torch.cat([values + 100, values])

    monkeypatch.setattr(distributed, "this_shard", lambda: Shard(1, 2))
    monkeypatch.setattr(distributed, "gather", gather)
    return sent


CONTEST = Contest("judge", real="real", fake="fake")


def test_a_round_over_all_ranks_has_their_examples_each_gathered_once(sent: list[list[float]]) -> None:
    own: Any = Own()
    game_round = gathered(own)
    assert isinstance(game_round, GatheredRound)
    assert (game_round.size, game_round.device) == (4, "here")
    assert (own.size, own.randomness) == (2, Randomness(3, ("step",), Shard(1, 2)))
    assert game_round.randomness == Randomness(3, ("step",))
    for _ in range(2):
        assert game_round["real"].tolist() == [101, 102, 1, 2]
        assert [part.tolist() for part in game_round["pair"]] == [[103, 3], [104, 4]]
    assert isinstance(game_round["pair"], tuple)
    assert own.asked == ["real", "pair"]
    assert sent == [[1, 2], [3], [4]]


def test_a_verdict_over_all_ranks_has_all_of_each_part(sent: list[list[float]]) -> None:
    own: Any = Own()
    game_round = gathered(own)
    for side, base in (("real", 0), ("fake", 10), ("real", 0)):
        found: Any = game_round.discriminator_output(CONTEST, side)  # pyright: ignore[reportArgumentType]
        parts = [found.logits, *found.features, found.class_logits, *found.sample, found.condition, found.target]
        assert [part.tolist() for part in parts] == [[base + each + 100, base + each] for each in range(7)]
        assert isinstance(found.features, tuple)
    assert own.asked == [("judge", "real"), ("judge", "fake")]
    game_round.discriminator_output(Contest("judge", real="real", fake="fake", name="other"), "real")
    assert own.asked[2:] == [("other", "real")]
    assert len(sent) == 21


def test_each_rank_judges_its_own_rows(sent: list[list[float]]) -> None:
    own: Any = Own()
    game_round = gathered(own)
    found = game_round.judge("judge", torch.arange(4), torch.arange(4, 8))
    assert found.logits.tolist() == [105, 5]
    assert (found.features, found.class_logits, found.sample, found.condition, found.target) == ((), *[None] * 4)
    ((name, sample, condition),) = own.asked
    assert (name, sample.tolist(), condition.tolist()) == ("judge", [2, 3], [6, 7])
    game_round.judge("judge", (torch.arange(4), torch.arange(8)))
    _, sample, condition = own.asked[1]
    assert [part.tolist() for part in sample] == [[2, 3], [4, 5, 6, 7]]
    assert isinstance(sample, tuple)
    assert condition is None


def test_alone_a_round_is_itself() -> None:
    own: Any = Own()
    assert gathered(own) is own
