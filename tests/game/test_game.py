"""Rounds, contests and turns: what is made, how often, with which graph, and who moves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganframe.config.tensor_specs import TensorSpec
from ganframe.errors import BadInput
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness

CPU = torch.device("cpu")


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.calls = 0

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        self.calls += 1
        return DiscriminatorOutput(self.layer(sample).flatten())


class TwoGenerators(Game):
    """Two generators, each fooling its own judge in its own turn, and a third contest that only trains a judge."""

    inputs = ("real",)
    output = "fake_a"
    pictures = ("fake_a",)
    contests = (
        Contest("d_a", real="real", fake="fake_a", generators=("g_a",)),
        Contest("d_b", real="real", fake="fake_b", generators=("g_b",), replay="past_b"),
        Contest("d_b", real="real", fake="noise", generators=(), weight=0.5, name="noise"),
    )
    turns = (Turn("judges", ("d_a", "d_b")), Turn("first", ("g_a",)), Turn("second", ("g_b",)))

    def __init__(self) -> None:
        super().__init__({"real": TensorSpec((2,))})
        self.made: list[str] = []
        torch.manual_seed(0)
        self.set_players({"g_a": nn.Linear(2, 2), "g_b": nn.Linear(2, 2), "d_a": Judge(), "d_b": Judge()})

    @tensor
    def fake_a(self, game_round: Round) -> Tensor:
        """Made by g_a."""
        self.made.append("fake_a")
        return self.players["g_a"](game_round.randomness.normal("a", (game_round.size, 2)))

    @tensor
    def fake_b(self, game_round: Round) -> Tensor:
        """Made by g_b."""
        self.made.append("fake_b")
        return self.players["g_b"](game_round.randomness.normal("b", (game_round.size, 2)))

    @tensor
    def past_b(self, game_round: Round) -> Tensor:
        """An earlier fake."""
        self.made.append("past_b")
        return torch.full((game_round.size, 2), 7.0)

    @tensor
    def noise(self, game_round: Round) -> Tensor:
        """Noise that only the judge sees."""
        return torch.zeros(game_round.size, 2)


def open_round(game: Game, turn: str, shared: bool = False, given: dict[str, Tensor] | None = None) -> Round:
    batch = {"real": torch.ones(3, 2), **(given or {})}
    game_round = Round(game, batch, size=3, device=CPU, randomness=Randomness(0), shared=shared)
    game_round = game_round.in_turn(next(each for each in game.turns if each.name == turn))
    return game_round


def test_nothing_is_made_until_it_is_read_and_then_once() -> None:
    game = TwoGenerators()
    game_round = open_round(game, "judges")
    assert game.made == []
    assert game_round["fake_a"] is game_round["fake_a"]
    assert game.made == ["fake_a"]


def test_a_given_tensor_stands_for_a_made_one() -> None:
    game = TwoGenerators()
    given = torch.zeros(3, 2)
    assert open_round(game, "first", given={"fake_a": given})["fake_a"] is given
    assert game.made == []


def test_contests_count_in_the_turns_of_their_judge_or_generators() -> None:
    game = TwoGenerators()
    judges, first, second = game.turns
    assert [each.name for each in game.contests_of(judges)] == ["d_a", "d_b", "noise"]
    assert [each.name for each in game.contests_of(first)] == ["d_a"]
    assert [each.name for each in game.contests_of(second)] == ["d_b"]


def test_past_fakes_are_shown_in_the_judges_turn_only() -> None:
    game = TwoGenerators()
    contest = game.contests[1]
    own = open_round(game, "judges").discriminator_output(contest, "fake")
    assert isinstance(own.sample, Tensor)
    assert bool((own.sample == 7).all())
    theirs = open_round(game, "second").discriminator_output(contest, "fake")
    assert isinstance(theirs.sample, Tensor)
    assert not bool((theirs.sample == 7).all())


def test_a_pending_verdict_is_judged_when_it_is_read() -> None:
    game = TwoGenerators()
    game_round = open_round(game, "first")
    pending = game_round.deferred_output(game.contests[0], "real")
    assert game.players["d_a"].calls == 0
    assert pending.logits is pending.logits
    assert game.players["d_a"].calls == 1


@pytest.mark.parametrize("shared", [False, True])
def test_only_who_moves_gets_a_gradient(shared: bool) -> None:
    game = TwoGenerators()
    for turn in game.turns:
        for player in game.players.values():
            player.zero_grad(set_to_none=True)
        with game.only_trainable(turn.players):
            game_round = open_round(game, turn.name, shared)
            total = sum(game_round.discriminator_output(each, "fake").logits.sum() for each in game_round.contests)
            total.backward()
        touched = {name for name, each in game.players.items() if any(p.grad is not None for p in each.parameters())}
        assert touched == set(turn.players)


def test_a_shared_round_makes_fakes_once_detached_for_the_judge_and_with_their_graph_for_the_generator() -> None:
    game = TwoGenerators()
    game_round = open_round(game, "judges", shared=True)
    with game.only_trainable(("d_a", "d_b")):
        assert not game_round["fake_a"].requires_grad
    game_round = game_round.in_turn(game.turns[1])
    with game.only_trainable(("g_a",)):
        assert game_round["fake_a"].requires_grad
        game_round.discriminator_output(game.contests[0], "fake").logits.sum().backward()
    assert game.made == ["fake_a"]
    assert game.players["g_a"].weight.grad is not None
    assert game.players["d_a"].layer.weight.grad is None


def test_parameters_that_never_move_stay_frozen() -> None:
    game = TwoGenerators()
    game.players["d_a"].layer.bias.requires_grad = False
    game.set_players(game.players)
    with game.only_trainable(("d_a",)):
        assert not game.players["d_a"].layer.bias.requires_grad
        assert game.players["d_a"].layer.weight.requires_grad
        assert not game.players["g_a"].weight.requires_grad
    assert game.players["g_a"].weight.requires_grad


def test_judging_with_other_weights_leaves_the_player_alone() -> None:
    game = TwoGenerators()
    game_round = open_round(game, "first")
    judge = game.players["d_a"]
    zeros = {name: torch.zeros_like(each) for name, each in judge.named_parameters()}
    game_round = game_round.with_discriminator_weights({"d_a": zeros})
    assert bool((game_round.discriminator_output(game.contests[0], "fake").logits == 0).all())
    assert bool(judge.layer.weight.any())


def test_reals_and_fakes_are_augmented_by_draws_of_their_own() -> None:
    game = TwoGenerators()
    seen: list[Tensor] = []

    def noisy(discriminator: str, sample: Any, randomness: Randomness) -> Any:
        seen.append(torch.randn(3, 2, generator=randomness.generator("noise")))
        return sample + seen[-1]

    game_round = Round(game, {"real": torch.ones(3, 2)}, size=3, device=CPU, randomness=Randomness(0), augment=noisy)
    for turn in game.turns[:2]:
        game_round = game_round.in_turn(turn)
        for side in ("real", "fake"):
            game_round.discriminator_output(game.contests[0], side)
    assert len({tuple(each.flatten().tolist()) for each in seen}) == 4


def test_samples_can_be_differentiated_by_where_a_term_asks_for_it() -> None:
    game = TwoGenerators()
    game_round = open_round(game, "judges")
    game_round = game_round.in_turn(game.turns[0], grad_wrt_sides=frozenset({"real"}))
    real, fake = (game_round.discriminator_output(game.contests[0], side) for side in ("real", "fake"))
    assert real.sample.requires_grad
    (slope,) = torch.autograd.grad(real.logits.sum(), real.sample)
    assert torch.allclose(slope, game.players["d_a"].layer.weight.expand(3, 2))
    game.players["g_a"].requires_grad_(False)
    assert fake.sample is game_round["fake_a"]


def test_sampling_with_other_players_leaves_the_game_alone() -> None:
    game = TwoGenerators()
    game.memory["pool"] = torch.ones(1)
    other = game.with_players({"g_a": nn.Linear(2, 2)})
    assert other.players["d_a"] is game.players["d_a"]
    assert other.players["g_a"] is not game.players["g_a"]
    assert other.memory == {}
    assert "pool" in game.memory


def test_data_without_the_inputs_is_refused() -> None:
    class Needy(TwoGenerators):
        inputs = ("real", "label")

    with pytest.raises(BadInput, match="reads label"):
        Needy()
