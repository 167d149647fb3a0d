"""Draws: each is a function of the seed, its purpose and its place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ganframe.distributed.shard import Shard
from ganframe.randomness import Randomness

CPU = torch.device("cpu")


def key_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") // 2


def test_the_key_of_a_draw_is_the_digest_of_its_place() -> None:
    """Runs that are resumed under another version go on with the same draws."""
    assert Randomness(5).key("latent") == key_of("(5, 'latent', ())")
    assert Randomness(5).at("step", 3).at("turn").key("x") == key_of("(5, 'x', ('step', 3, 'turn'))")
    sharded = Randomness(5, ("step", 3), Shard(1, 2))
    assert sharded.key("x") == key_of("(5, 'x', ('step', 3, 'rank', 1))")


def test_a_draw_differs_by_seed_purpose_place_and_rank() -> None:
    places = [
        Randomness(0),
        Randomness(1),
        Randomness(0).at("step", 0),
        Randomness(0).at("step", 1),
        Randomness(0).at("step").at(1, 0),
        Randomness(0, (), Shard(0, 2)),
        Randomness(0, (), Shard(1, 2)),
    ]
    drawn = {
        float(torch.rand(1, generator=place.generator(purpose))) for place in places for purpose in ("noise", "flips")
    }
    assert len(drawn) == 14


@pytest.mark.parametrize("purpose", ["latent", "order"])
def test_draws_are_those_of_a_generator_with_the_key(purpose: str) -> None:
    place = Randomness(2).at("step", 1)

    def fresh() -> torch.Generator:
        return torch.Generator().manual_seed(key_of(f"(2, '{purpose}', ('step', 1))"))

    assert torch.equal(place.normal(purpose, (3, 2)), torch.randn(3, 2, generator=fresh()))
    assert torch.equal(place.uniform(purpose, (3, 2)), torch.rand(3, 2, generator=fresh()))
    assert place.integers(purpose, 5, 8) == torch.randint(5, (8,), generator=fresh()).tolist()


def drawn(place: Randomness, rows: int) -> dict[str, list[Any]]:
    return {
        "normal": place.normal("x", (rows, 3)).tolist(),
        "uniform": place.uniform("x", (rows, 3)).tolist(),
        "integers": place.integers("x", 100, rows),
    }


def test_a_rank_draws_its_rows_of_what_one_process_would() -> None:
    whole = drawn(Randomness(0).at("step"), 6)
    for rank in range(3):
        own = drawn(Randomness(0, (), Shard(rank, 3)).at("step"), 2)
        assert own == {name: rows[2 * rank : 2 * rank + 2] for name, rows in whole.items()}


def test_without_its_shard_a_place_is_the_same() -> None:
    place = Randomness(4, ("step", 9), Shard(1, 2))
    assert place.unsharded() == Randomness(4, ("step", 9))
    assert place.at("x").shard == Shard(1, 2)
    assert Randomness(4).unsharded() == Randomness(4)


def test_the_global_generator_is_seeded_by_purpose() -> None:
    def first_of(seed: Callable[[], None]) -> float:
        with torch.random.fork_rng(devices=[]):
            seed()
            return float(torch.rand(1))

    place = Randomness(0).at("step", 2)
    expected = key_of("(0, 'step', ('step', 2))")
    by_hand = float(torch.rand(1, generator=torch.Generator().manual_seed(expected)))
    assert first_of(lambda: place.seed_torch("step", CPU)) == by_hand
    assert first_of(lambda: place.seed_torch("step")) == by_hand
    assert first_of(lambda: place.seed_torch("other")) != by_hand
