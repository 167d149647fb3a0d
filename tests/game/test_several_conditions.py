"""Contests whose discriminator is given several conditions, with logits worked out by hand."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from ranks import pretend_ranks
from torch import Tensor, nn

from ganframe.config import BadInput, DiscriminatorConfig, SampleSpec, TensorSpec
from ganframe.game import Contest, DiscriminatorOutput, Game, PlayerSpec, Turn
from ganframe.game.gathered_round import GatheredRound
from ganframe.testing.fakes import FakeDiscriminator, FakeGenerator, make_round, with_built_players

LABEL, CAPTION = TensorSpec((), classes=5), TensorSpec((2,))
BATCH = {
    "real": torch.tensor([[1.0], [2.0]]),
    "fake": torch.tensor([[3.0], [4.0]]),
    "label": torch.tensor([1, 4]),
    "caption": torch.tensor([[10.0, 20.0], [30.0, 40.0]]),
}


class Judge(nn.Module):
    """Returns the sample plus 100 times the label, plus 1000 times the sum of the caption."""

    def forward(self, sample: Tensor, condition: Any) -> DiscriminatorOutput:
        label, caption = condition
        return DiscriminatorOutput(sample[:, 0] + 100 * label + 1000 * caption.sum(1))


class Captioned(Game):
    inputs = ("real", "fake", "label", "caption")
    output = "fake"
    pictures = ()
    contests = (
        Contest(
            "judge",
            real="real",
            fake="fake",
            real_condition=("label", "caption"),
            fake_condition=("label", "caption"),
        ),
    )
    turns = (Turn("judge", ("judge",)),)
    judge: DiscriminatorConfig = FakeDiscriminator()

    def player_specs(self) -> dict[str, PlayerSpec]:
        sample, condition = self.data["real"], (self.data["label"], self.data["caption"])
        return {
            "generator": PlayerSpec(FakeGenerator(), ("generator",), sample, condition=condition),
            "judge": PlayerSpec(self.judge, ("judge",), sample, condition=condition),
        }


def game() -> Captioned:
    point = TensorSpec((1,))
    return Captioned({"real": point, "fake": point, "label": LABEL, "caption": CAPTION})


def test_a_discriminator_is_given_its_conditions_in_the_order_of_their_names() -> None:
    played = game()
    played.set_players({"judge": Judge()})
    game_round = make_round(played, BATCH, played.turns[0])
    (contest,) = played.contests
    assert game_round.discriminator_output(contest, "real").logits.tolist() == [30101, 70402]
    output = game_round.discriminator_output(contest, "fake")
    assert output.logits.tolist() == [30103, 70404]
    assert isinstance(output.condition, tuple)
    assert [part.tolist() for part in output.condition] == [[1, 4], [[10, 20], [30, 40]]]
    assert contest.tensors() == ("real", "fake", "label", "caption", "label", "caption")


def test_conditions_of_all_ranks_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    played = game()
    played.set_players({"judge": Judge()})
    pretend_ranks(monkeypatch, 0, 2, torch.zeros_like)  # the other rank has nothing but zeros
    gathered = GatheredRound(make_round(played, BATCH, played.turns[0]))
    (contest,) = played.contests
    output = gathered.discriminator_output(contest, "real")
    assert output.logits.tolist() == [30101, 70402, 0, 0]
    assert isinstance(output.condition, tuple)
    assert [part.tolist() for part in output.condition] == [[1, 4, 0, 0], [[10, 20], [30, 40], [0, 0], [0, 0]]]
    conditions = gathered["label"], gathered["caption"]
    assert gathered.discriminate("judge", gathered["real"], conditions).logits.tolist() == [30101, 70402, 0, 0]


def test_networks_are_built_for_the_specs_of_all_conditions() -> None:
    players = with_built_players(game()).players
    for name in ("generator", "judge"):
        # An embedding of 5 labels and a matrix for 2 numbers.
        shapes = [tuple(layer.weight.shape)[::-1] for layer in players[name].embed]
        assert shapes == [(1, 5), (2, 1)]


class One(DiscriminatorConfig):
    type: Literal["takes-one"] = "takes-one"
    conditional = True

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        raise AssertionError("not checked first")


def test_a_network_that_takes_one_condition_is_not_given_two() -> None:
    played = game()
    played.judge = One()
    with pytest.raises(BadInput, match="'takes-one' takes one condition, but the game gives one of 5 classes and 2"):
        with_built_players(played)


def test_the_label_is_found_among_several_conditions() -> None:
    assert game().label_spec() == ("label", LABEL)
