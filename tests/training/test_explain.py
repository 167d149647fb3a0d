"""What `ganframe explain` says of data, learning rates, balancers, augmentations and tensors of one pass."""

from __future__ import annotations

from typing import Any

import pytest
from line_game import Line, begin
from torch import Tensor

from ganframe.config.experiment import Experiment
from ganframe.game.makers import tensors
from ganframe.game.round import Round
from ganframe.training.explain import _tensors, explain  # pyright: ignore[reportPrivateUsage]

NETWORK = {"type": "mlp", "hidden": [8]}


def table(title: str, **settings: Any) -> list[tuple[str, ...]]:
    """The rows of a table of the explanation of a small game on the ring."""
    game = {"type": "adversarial", "generator": NETWORK, "discriminator": NETWORK}
    usual = {"game": game, "losses": ["non-saturating"], "data": "ring", "train": {"total_images": 500}}
    return explain(Experiment.model_validate(usual | settings)).tables.get(title, [])[1:]


def test_the_examples_of_the_data_are_counted() -> None:
    data = {"type": "ring", "samples": 2000}
    assert table("data", data=data, train={"total_images": 5000}) == [("ring", "2,000", "2.5")]


def test_learning_rates_are_those_of_the_first_and_last_image() -> None:
    schedule = {"type": "linear", "start": 0.002, "end": 0, "duration_images": 1000}
    turns = table("turns", optimizers={"generator": {"type": "adam", "lr": schedule}})
    assert [row[4] for row in turns] == ["adam (lr 0.0002)", "adam (lr linear 0.002 to 0.001 over the run)"]


def test_a_scheduled_weight_and_condition_say_where_they_go() -> None:
    ramp = {"type": "linear", "start": 0, "end": 0.5}
    losses = [{"type": "non-saturating", "weight": ramp}]
    assert table("terms", losses=losses)[0][1] == "linear 0 to 0.5 over the run"
    conditions = {"generator": {"type": "probability", "p": ramp}}
    assert table("turns", turn_conditions=conditions)[1][2] == "probability (p linear 0 to 0.5 over the run)"


def test_a_balancer_says_where_it_looks_and_what_it_weighs() -> None:
    balancer = {"type": "adaptive-weight", "at": "fake", "terms": ["hinge"], "reference_terms": ["non-saturating"]}
    settings = {"losses": ["non-saturating", "hinge"], "balancers": {"generator": balancer | {"max": 10}}}
    expected = ("generator", "adaptive-weight", "fake", "hinge", "reference_terms non-saturating, max 10")
    assert table("balancers", **settings) == [expected]
    assert table("balancers") == []


def test_augmentations_say_who_sees_them() -> None:
    augmentations = [
        {"type": "instance-noise", "sigma": 0.5},
        {"type": "instance-noise", "contests": ["discriminator"]},
    ]
    assert table("augmentations", augmentations=augmentations) == [
        ("instance-noise", "discriminator", "sigma 0.5"),
        ("instance-noise", "discriminator", ""),
    ]
    assert table("augmentations") == []


class Encoding(Line):
    @tensors("mean", "deviation")
    def encode(self, game_round: Round) -> tuple[Tensor, Tensor]:
        """Return both parts of a code."""
        return game_round["real"], game_round["real"]


def test_what_one_maker_makes_is_described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("line_game.Line", Encoding)
    rows = {name: origin for name, _, origin in _tensors(begin().run.assembly, {})[1:]}
    assert rows == {
        "real": "the data",
        "latent": "the data",
        "fake": "",
        "mean": "Return both parts of a code.",
        "deviation": "made with mean",
    }
