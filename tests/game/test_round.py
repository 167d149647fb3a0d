"""Tensors and discriminator outputs of a round, and the players that train; each number worked out by hand."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.tensor_specs import SampleSpec, TensorSpec
from ganframe.errors import BadInput
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness

CPU = torch.device("cpu")
POINT = TensorSpec((1,))


class Scale(nn.Module):
    """Gives `weight` times what it is given."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, source: Tensor) -> Tensor:
        return self.weight * source


class Judge(Scale):
    """Says `weight * sample + condition`, and remembers what it was shown."""

    def __init__(self, weight: float) -> None:
        super().__init__(weight)
        self.shown = list[tuple[float, ...]]()

    def forward(self, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:  # pyright: ignore[reportIncompatibleMethodOverride]
        flat = sum(sample) if isinstance(sample, tuple) else sample
        self.shown.append(tuple(flat.flatten().tolist()))
        logits = self.weight * flat.flatten()
        return DiscriminatorOutput(logits if condition is None else logits + condition)


class Field(Game):
    """Two generators with a judge each; `both` is a tuple, `echo` is made from `fake`, `tag` is of whole numbers."""

    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    contests = (
        Contest("d", real="real", fake="fake", real_condition="one", fake_condition="two", generators=("g",)),
        Contest("d", real="real", fake="echo", real_condition="one", weight=0.5, name="echo"),
        Contest("e", real="real", fake="fake", real_condition="one", replay="past", generators=("g", "h"), name="old"),
    )
    turns = (Turn("judges", ("d", "e")), Turn("first", ("g",)), Turn("second", ("h",)), Turn("mixed", ("e", "g")))

    def __init__(self) -> None:
        super().__init__({"real": POINT, "fake": POINT})
        self.set_players({"g": Scale(2.0), "h": Scale(3.0), "d": Judge(5.0), "e": Judge(7.0)})
        self.movable = dict[str, set[str]]()

    def note(self, name: str) -> None:
        self.movable[name] = {key for key, each in self.players.items() if each.weight.requires_grad}

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        return torch.tensor([[1.0], [2.0]])

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        self.note("fake")
        return self.players["g"](game_round["latent"])

    @tensor
    def echo(self, game_round: Round) -> Tensor:
        return self.players["h"](game_round["fake"])

    @tensor
    def past(self, game_round: Round) -> Tensor:
        return torch.tensor([[-1.0], [-2.0]])

    @tensor
    def both(self, game_round: Round) -> tuple[Tensor, Tensor]:
        return game_round["fake"], game_round["latent"]

    @tensor
    def tag(self, game_round: Round) -> Tensor:
        return torch.tensor([1, 2])

    @tensor
    def broken(self, game_round: Round) -> Tensor:
        raise ValueError("not made")


def open_round(game: Game, turn: int | None = None, **settings: Any) -> Round:
    batch = {"real": torch.tensor([[10.0], [20.0]]), "one": torch.tensor([1.0, 1.0]), "two": torch.tensor([2.0, 2.0])}
    game_round = Round(game, batch, size=2, device=CPU, randomness=Randomness(0), **settings)
    if turn is not None:
        game_round = game_round.in_turn(game.turns[turn])
    return game_round


def movable(game: Game) -> set[str]:
    return {name for name, each in game.players.items() if each.weight.requires_grad}


# Contests and turns


def test_contests_count_by_judge_where_one_moves_and_by_generator_elsewhere() -> None:
    game = Field()
    counted = {turn.name: [each.name for each in game.contests_of(turn)] for turn in game.turns}
    assert counted == {
        "judges": ["d", "echo", "old"],
        "first": ["d", "echo", "old"],
        "second": ["echo", "old"],
        "mixed": ["old"],
    }


def test_a_turn_is_a_discriminators_where_any_judge_moves() -> None:
    game = Field()
    assert [game.is_discriminator_turn(turn) for turn in game.turns] == [True, False, False, True]
    assert game.discriminators == {"d", "e"}


def test_outside_of_a_turn_all_contests_count() -> None:
    game = Field()
    assert [each.name for each in open_round(game).contests] == ["d", "echo", "old"]
    assert [each.name for each in open_round(game, 3).contests] == ["old"]


def test_a_contest_is_called_after_its_judge_and_reads_its_tensors() -> None:
    assert Contest("d", real="a", fake="b").name == "d"
    assert Contest("d", real="a", fake="b", name="c").name == "c"
    named = Contest("d", real="a", fake="b", real_condition="c", fake_condition="d", replay="e").tensors()
    assert named == ("a", "b", "c", "d", "e")
    assert Contest("d", real="a", fake="b").tensors() == ("a", "b")


class Sides:
    """A loss that says which side was asked, and of what."""

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return 100 + 10 * real.logits + fake.logits

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return 200 + 10 * real.logits + fake.logits


def test_a_judges_turn_scores_the_discriminators_side_and_others_the_generators() -> None:
    game = Field()
    real, fake = DiscriminatorOutput(torch.tensor(3.0)), DiscriminatorOutput(torch.tensor(4.0))
    assert [float(game.score(Sides(), turn, real, fake)) for turn in game.turns] == [134.0, 234.0, 234.0, 134.0]


def test_to_play_is_to_take_the_objective_over_the_round() -> None:
    game = Field()
    game_round = open_round(game)
    given: list[Any] = []
    assert game.play(game_round, lambda *all_: given.append(all_) or "value") == "value"
    assert given == [(game_round,)]


# Verdicts


def test_a_verdict_is_judged_once_for_a_judge_a_tensor_and_a_condition() -> None:
    game = Field()
    game_round = open_round(game, 0)
    own, echo, old = game.contests
    real = game_round.discriminator_output(own, "real")
    assert real.logits.tolist() == [51.0, 101.0]
    assert game_round.discriminator_output(echo, "real") is real
    assert game.players["d"].shown == [(10.0, 20.0)]
    assert game_round.discriminator_output(old, "real").logits.tolist() == [71.0, 141.0]
    assert game_round.discriminator_output(own, "fake").logits.tolist() == [12.0, 22.0]
    assert game_round.discriminator_output(echo, "fake").logits.tolist() == [30.0, 60.0]
    assert game.players["d"].shown == [(10.0, 20.0), (2.0, 4.0), (6.0, 12.0)]


def test_one_tensor_under_two_conditions_is_judged_twice() -> None:
    game = Field()
    game.contests = (Contest("d", real="real", fake="real", real_condition="one", fake_condition="two"),)
    game_round = open_round(game, 0)
    assert game_round.discriminator_output(game.contests[0], "real").logits.tolist() == [51.0, 101.0]
    assert game_round.discriminator_output(game.contests[0], "fake").logits.tolist() == [52.0, 102.0]


def test_a_verdict_says_what_was_judged_under_which_condition() -> None:
    game = Field()
    game_round = open_round(game, 0)
    own, echo, _ = game.contests
    assert game_round.discriminator_output(own, "real").sample is game_round["real"]
    assert game_round.discriminator_output(own, "real").condition is game_round["one"]
    assert game_round.discriminator_output(own, "fake").sample is game_round["fake"]
    assert game_round.discriminator_output(own, "fake").condition is game_round["two"]
    assert game_round.discriminator_output(echo, "fake").condition is None


def test_a_replay_stands_for_the_fake_where_the_judge_moves() -> None:
    game = Field()
    old = game.contests[2]
    assert open_round(game, 0).discriminator_output(old, "fake").logits.tolist() == [-7.0, -14.0]
    assert open_round(game, 0).discriminator_output(old, "real").logits.tolist() == [71.0, 141.0]
    assert open_round(game, 1).discriminator_output(old, "fake").logits.tolist() == [14.0, 28.0]
    assert open_round(game).discriminator_output(old, "fake").logits.tolist() == [14.0, 28.0]


def test_a_fake_and_its_replay_are_judged_apart() -> None:
    game = Field()
    plain, old = (Contest("d", real="real", fake="fake", replay=replay, name=replay or "") for replay in (None, "past"))
    game.contests = (plain, old)
    game_round = open_round(game, 0)
    assert game_round.discriminator_output(plain, "fake").logits.tolist() == [10.0, 20.0]
    assert game_round.discriminator_output(old, "fake").logits.tolist() == [-5.0, -10.0]


def test_a_new_turn_judges_anew_and_makes_nothing_anew() -> None:
    game = Field()
    game_round = open_round(game, 1)
    own = game.contests[0]
    first, fake = game_round.discriminator_output(own, "fake"), game_round["fake"]
    game_round = game_round.in_turn(game.turns[2])
    assert game_round.discriminator_output(own, "fake") is not first
    assert game_round["fake"] is fake


def test_a_turn_that_ends_lets_go_of_verdicts_and_keeps_logits() -> None:
    game = Field()
    game_round = open_round(game, 1)
    own = game.contests[0]
    first = game_round.discriminator_output(own, "fake")
    game_round.free_outputs()
    assert game_round.logits["d", "fake"].tolist() == [12.0, 22.0]
    assert game_round.discriminator_output(own, "fake") is not first


def test_logits_are_kept_by_contest_and_side_without_a_graph_until_the_next_turn() -> None:
    game = Field()
    game_round = open_round(game, 0)
    own, echo, _ = game.contests
    assert game_round.logits == {}
    game_round.discriminator_output(own, "real")
    assert set(game_round.logits) == {("d", "real")}
    game_round.discriminator_output(echo, "real")
    game_round.discriminator_output(echo, "fake")
    assert {key: each.tolist() for key, each in game_round.logits.items()} == {
        ("d", "real"): [51.0, 101.0],
        ("echo", "real"): [51.0, 101.0],
        ("echo", "fake"): [30.0, 60.0],
    }
    assert not any(each.requires_grad for each in game_round.logits.values())
    game_round = game_round.in_turn(game.turns[1])
    assert game_round.logits == {}


def test_a_pending_verdict_is_that_of_its_contest_and_side() -> None:
    game = Field()
    game_round = open_round(game, 0)
    own, echo, _ = game.contests
    waiting = (
        game_round.deferred_output(own, "real"),
        game_round.deferred_output(own, "fake"),
        game_round.deferred_output(echo, "fake"),
    )
    assert game.players["d"].shown == []
    assert [each.logits.tolist() for each in waiting] == [[51.0, 101.0], [12.0, 22.0], [30.0, 60.0]]


def test_other_weights_judge_with_the_condition_and_count_for_their_player_only() -> None:
    game = Field()
    game_round = open_round(game, 0)
    own, _, old = game.contests
    game_round = game_round.with_discriminator_weights({"d": {"weight": torch.tensor(-1.0)}})
    assert game_round.discriminator_output(own, "real").logits.tolist() == [-9.0, -19.0]
    assert game_round.discriminator_output(old, "real").logits.tolist() == [71.0, 141.0]


def test_a_round_with_other_weights_is_of_the_same_turn_and_sides_and_its_turns_keep_the_weights() -> None:
    game = Field()
    old = game.contests[2]
    other = {"e": {"weight": torch.tensor(-1.0)}}
    game_round = open_round(game).in_turn(game.turns[3], grad_wrt_sides=frozenset({"fake"}))
    ahead = game_round.with_discriminator_weights(other)
    assert ahead.turn is game.turns[3]
    assert [each.name for each in ahead.contests] == ["old"]
    fake = ahead.discriminator_output(old, "fake")
    assert fake.logits.tolist() == [1.0, 2.0]
    assert isinstance(fake.sample, Tensor)
    assert fake.sample.requires_grad
    in_turn = ahead.in_turn(game.turns[1])
    assert in_turn.discriminator_output(old, "real").logits.tolist() == [-9.0, -19.0]
    assert game_round.discriminator_output(old, "fake").logits.tolist() == [-7.0, -14.0]


def test_a_judge_sees_the_augmented_sample_and_the_verdict_names_the_plain_one() -> None:
    game = Field()
    places: list[tuple[str | int, ...]] = []

    def doubled(discriminator: str, sample: Any, randomness: Randomness) -> Any:
        places.append(randomness.counters)
        return sample * 2

    game_round = open_round(game, 0, augment=doubled)
    own = game.contests[0]
    real, fake = game_round.discriminator_output(own, "real"), game_round.discriminator_output(own, "fake")
    assert real.logits.tolist() == [101.0, 201.0]
    assert fake.logits.tolist() == [22.0, 42.0]
    assert real.sample is game_round["real"]
    game_round = game_round.in_turn(game.turns[1])
    game_round.discriminator_output(own, "real")
    assert places == [("judged", 0), ("judged", 1), ("judged", 2)]


def test_a_side_is_something_to_differentiate_by_in_the_turn_that_asks_for_it() -> None:
    game = Field()
    game.contests = (Contest("d", real="real", fake="past"), Contest("d", real="both", fake="real", name="tuple"))
    pair, several = game.contests
    game_round = open_round(game)
    game_round = game_round.in_turn(game.turns[0], grad_wrt_sides=frozenset({"fake"}))
    sides: dict[Any, Any] = {side: game_round.discriminator_output(pair, side).sample for side in ("real", "fake")}
    assert (sides["real"].requires_grad, sides["fake"].requires_grad) == (False, True)
    assert not game_round["past"].requires_grad
    game_round = game_round.in_turn(game.turns[0], grad_wrt_sides=frozenset({"real"}))
    parts: Any = game_round.discriminator_output(several, "real").sample
    assert [each.requires_grad for each in parts] == [True, True]
    assert not game_round.discriminator_output(pair, "fake").sample.requires_grad  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    game_round = game_round.in_turn(game.turns[0])
    assert not game_round.discriminator_output(pair, "real").sample.requires_grad  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


# Tensors


def test_leaves_require_a_gradient_and_the_batch_stays_as_it_is() -> None:
    game = Field()
    batch = {"real": torch.ones(2, 1)}
    game_round = Round(
        game, batch, size=2, device=CPU, randomness=Randomness(0), requires_grad_tensors=frozenset({"real"})
    )
    game_round = game_round.in_turn(game.turns[1], requires_grad_tensors=frozenset({"latent", "tag", "fake", "both"}))
    game_round = game_round.in_turn(game.turns[1])
    assert game_round["real"].is_leaf
    assert game_round["real"].requires_grad
    assert not batch["real"].requires_grad
    assert game_round["latent"].requires_grad
    assert not game_round["tag"].requires_grad
    assert not game_round["past"].requires_grad
    (slope,) = torch.autograd.grad(game_round["fake"].sum(), game_round["latent"])
    assert slope.tolist() == [[2.0], [2.0]]
    assert game_round["both"][0] is game_round["fake"]
    assert game_round["real"] is game_round["real"]


def test_each_part_of_a_tuple_is_a_leaf() -> None:
    game = Field()
    game_round = open_round(game, requires_grad_tensors=frozenset({"both"}))
    with game.only_trainable(()):
        assert [each.requires_grad for each in game_round["both"]] == [True, True]
    assert not game_round["latent"].requires_grad


def test_a_round_has_the_tensors_of_the_data_and_of_the_game_each_once() -> None:
    game_round = open_round(Field())
    names = ["real", "fake", "latent", "echo", "past", "both", "tag", "broken"]
    assert list(game_round) == names
    assert len(game_round) == 8
    game_round["echo"]
    assert set(game_round.made()) == {"latent", "fake", "echo"}


def test_what_a_batch_brings_is_not_made() -> None:
    game = Field()
    given = {"fake": torch.tensor([[5.0], [6.0]])}
    game_round = Round(game, given, size=2, device=CPU, randomness=Randomness(0))
    assert game_round["fake"] is given["fake"]
    assert game.movable == {}
    assert game_round["echo"].tolist() == [[15.0], [18.0]]


def test_a_tensor_that_there_is_not_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        open_round(Field())["nothing"]


def test_makers_of_a_base_come_first_and_keep_their_place_when_overridden() -> None:
    class Further(Field):
        @tensor
        def further(self, game_round: Round) -> Tensor:
            return game_round["past"]

        @tensor
        def past(self, game_round: Round) -> Tensor:
            return torch.tensor([[4.0], [8.0]])

    assert tuple(Further.makers) == (*Field.makers, "further")
    assert open_round(Further())["further"].tolist() == [[4.0], [8.0]]


def test_an_alone_round_makes_with_whoever_moves() -> None:
    game = Field()
    game_round = open_round(game, 0)
    with game.only_trainable(("d", "e")):
        assert not game_round["fake"].requires_grad
    assert game.movable == {"fake": {"d", "e"}}


def test_a_shared_round_makes_with_the_generators_though_a_judge_moves() -> None:
    game = Field()
    game_round = open_round(game, 0, shared=True)
    with game.only_trainable(("d", "e")):
        assert not game_round["echo"].requires_grad
        assert not game_round["fake"].requires_grad
        assert [each.requires_grad for each in game_round["both"]] == [False, False]
        assert movable(game) == {"d", "e"}
    assert game.movable == {"fake": {"g", "h"}}
    game_round = game_round.in_turn(game.turns[1])
    # echo = h * g * latent with g = 2, h = 3: what `echo` read was not cut off either.
    slopes = torch.autograd.grad(game_round["echo"].sum(), [game.players["g"].weight, game.players["h"].weight])
    assert [float(each) for each in slopes] == [9.0, 6.0]


def test_a_generator_that_does_not_move_in_the_turn_is_made_with_all_the_same() -> None:
    game = Field()
    game_round = open_round(game, 1, shared=True)
    with game.only_trainable(("g",)):
        game_round["echo"]
    assert game.movable == {"fake": {"g", "h"}}


def test_a_shared_round_outside_of_a_turn_cuts_nothing_off() -> None:
    assert open_round(Field(), shared=True)["fake"].requires_grad
    assert open_round(Field(), 0)["fake"].requires_grad


def test_a_maker_that_fails_leaves_a_shared_round_as_it_was() -> None:
    game = Field()
    game_round = open_round(game, 0, shared=True)
    with game.only_trainable(("d",)):
        with pytest.raises(ValueError, match="not made"):
            game_round["broken"]
        assert movable(game) == {"d"}
        assert not game_round["fake"].requires_grad


# Players


def test_who_does_not_move_is_frozen_and_afterwards_free_again() -> None:
    game = Field()
    with game.only_trainable(("d", "g")):
        assert movable(game) == {"d", "g"}
        with game.only_trainable(("h",)):
            assert movable(game) == {"h"}
        assert movable(game) == {"d", "g"}
    assert movable(game) == {"g", "h", "d", "e"}


def test_players_are_free_again_after_a_failure() -> None:
    game = Field()
    with pytest.raises(ValueError, match="in the turn"), game.only_trainable(("d",)):
        raise ValueError("in the turn")
    assert movable(game) == {"g", "h", "d", "e"}


def test_who_may_move_comes_in_the_order_asked_for() -> None:
    game = Field()
    game.players["e"].weight.requires_grad = False
    game.set_players(game.players)
    assert [each.item() for each in game.trainable_parameters(["h", "e", "g"])] == [3.0, 2.0]


def test_a_player_is_had_by_its_name() -> None:
    game, player = Field(), Scale(4.0)
    game.set_players({"g": player})
    assert game.players == {"g": player}
    with pytest.raises(AttributeError):
        _ = game.g  # pyright: ignore[reportAttributeAccessIssue]


def test_other_players_play_beside_those_that_stay() -> None:
    game = Field()
    other = game.with_players({"g": Scale(-1.0)})
    other.memory["pool"] = torch.ones(1)
    assert open_round(other)["echo"].tolist() == [[-3.0], [-6.0]]
    assert open_round(game)["echo"].tolist() == [[6.0], [12.0]]
    assert [each.item() for each in other.trainable_parameters(["g"])] == [-1.0]
    assert game.memory == {}


class Network(GeneratorConfig):
    """Notes what it is built for."""

    type: Literal["network"] = "network"

    def build(self, **given: Any) -> nn.Module:
        made = nn.Identity()
        made.given = given  # pyright: ignore[reportArgumentType]
        return made


class FromSample(Network):
    """Starts from a sample."""

    starts_from = "sample"
    conditional = True


class Judging(DiscriminatorConfig):
    """Notes what it is built for."""

    type: Literal["judging"] = "judging"
    conditional = True

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        made = nn.Identity()
        made.given = sample, condition  # pyright: ignore[reportArgumentType]
        return made


def test_a_player_is_built_for_its_role() -> None:
    wide, label = TensorSpec((2,)), TensorSpec((), classes=3)
    made: Any = PlayerSpec(FromSample(), ("g",), POINT, source=wide, condition=label).build()
    assert made.given == {"output": POINT, "source": wide, "condition": label}
    judging: Any = PlayerSpec(Judging(), ("d",), (POINT, wide), condition=label).build()
    assert judging.given == ((POINT, wide), label)


@pytest.mark.parametrize(
    ("role", "message"),
    [
        (
            PlayerSpec(Network(), ("g",), POINT, condition=POINT),
            "'network' takes no condition, but the game is conditional",
        ),
        (PlayerSpec(Network(), ("g",), POINT, source=POINT), "'network' starts from a latent"),
        (PlayerSpec(FromSample(), ("g",), POINT), "'network' starts from a sample"),
    ],
)
def test_a_network_that_does_not_fit_its_role_is_refused(role: PlayerSpec, message: str) -> None:
    with pytest.raises(BadInput) as problem:
        role.build()
    assert problem.value.message == message
    assert problem.value.path == ("g",)


def test_what_is_judged_is_listed_by_judge_part_by_part() -> None:
    class Judged(Field):
        def player_specs(self) -> dict[str, PlayerSpec]:
            wide = TensorSpec((2,))
            return {
                "e": PlayerSpec(Judging(), ("e",), wide),
                "d": PlayerSpec(Judging(), ("d",), (POINT, wide)),
                "g": PlayerSpec(Network(), ("g",), TensorSpec((9,))),
            }

    assert Judged().discriminator_inputs() == (POINT, TensorSpec((2,)), TensorSpec((2,)))


def test_the_data_has_to_bring_each_input() -> None:
    class Needy(Field):
        inputs = ("real", "label", "fake", "mask")

    with pytest.raises(BadInput) as problem:
        Needy()
    assert problem.value.message == "the game reads label, mask, which the data set does not give"
    assert problem.value.path == ("data",)
