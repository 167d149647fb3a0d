"""A round over all ranks: this one is the second of two, and what the first has is 100 more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ranks import pretend_rank
from torch import Tensor

from ganframe.distributed.shard import Shard
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.gathered_round import GatheredRound, gather_round
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness


class Own:
    """The round of one rank."""

    def __init__(self) -> None:
        self.size, self.randomness, self.device = 2, Randomness(3, ("step",), Shard(1, 2)), "here"
        self.game, self.turn, self.logits = None, None, dict[tuple[str, str], Tensor]()
        self.asked = list[object]()

    def __getitem__(self, name: str) -> Any:
        self.asked.append(name)
        return {"real": torch.tensor([1.0, 2.0]), "pair": (torch.tensor([3.0]), torch.tensor([4.0]))}[name]

    def discriminator_output(self, contest: Contest, side: str) -> DiscriminatorOutput:
        self.asked.append((contest.name, side))
        base = {"real": 0.0, "fake": 10.0}[side]
        numbers = [torch.tensor([base + each]) for each in range(7)]
        return DiscriminatorOutput(
            numbers[0], (numbers[1], numbers[2]), numbers[3], (numbers[4],), numbers[5], numbers[6]
        )

    def discriminate(self, discriminator: str, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:
        self.asked.append((discriminator, sample, condition))
        return DiscriminatorOutput(torch.tensor([5.0]))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    sent = list[list[float]]()

    def gather(values: Tensor) -> Tensor:
        sent.append(values.tolist())
        return torch.cat([values + 100, values])

    pretend_rank(monkeypatch, 1, 2)
    monkeypatch.setattr("ganframe.game.gathered_round.gather", gather)
    return sent


CONTEST = Contest("discriminator", real="real", fake="fake")


def test_a_round_over_all_ranks_has_their_examples_each_gathered_once(sent: list[list[float]]) -> None:
    own: Any = Own()
    game_round = gather_round(own)
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


def test_an_output_over_all_ranks_has_all_of_each_part(sent: list[list[float]]) -> None:
    own: Any = Own()
    game_round = gather_round(own)
    for side, base in (("real", 0), ("fake", 10), ("real", 0)):
        found: Any = game_round.discriminator_output(CONTEST, side)  # pyright: ignore[reportArgumentType]
        parts = [found.logits, *found.features, found.class_logits, *found.sample, found.condition, found.target]
        assert [part.tolist() for part in parts] == [[base + each + 100, base + each] for each in range(7)]
        assert isinstance(found.features, tuple)
    assert own.asked == [("discriminator", "real"), ("discriminator", "fake")]
    game_round.discriminator_output(Contest("discriminator", real="real", fake="fake", name="other"), "real")
    assert own.asked[2:] == [("other", "real")]
    assert len(sent) == 21


def test_each_rank_discriminates_its_own_rows(sent: list[list[float]]) -> None:
    own: Any = Own()
    game_round = gather_round(own)
    found = game_round.discriminate("discriminator", torch.arange(4), torch.arange(4, 8))
    assert found.logits.tolist() == [105, 5]
    assert (found.features, found.class_logits, found.sample, found.condition, found.target) == ((), *[None] * 4)
    ((name, sample, condition),) = own.asked
    assert (name, sample.tolist(), condition.tolist()) == ("discriminator", [2, 3], [6, 7])
    game_round.discriminate("discriminator", (torch.arange(4), torch.arange(8)))
    _, sample, condition = own.asked[1]
    assert [part.tolist() for part in sample] == [[2, 3], [4, 5, 6, 7]]
    assert isinstance(sample, tuple)
    assert condition is None


def test_a_round_over_all_ranks_is_of_the_same_turn_with_the_logits_and_makings_of_its_rank(
    sent: list[list[float]],
) -> None:
    own: Any = Own()
    own.turn = Turn("discriminator", ("discriminator",))
    own.made = lambda: {"fake": "made"}
    game_round = gather_round(own)
    assert game_round.turn is own.turn
    assert game_round.logits is own.logits
    assert game_round.made() == {"fake": "made"}


def test_alone_a_round_is_itself() -> None:
    own: Any = Own()
    assert gather_round(own) is own
