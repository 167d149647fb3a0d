"""The identity of a run comes back as it was written, and names what is different in a config."""

from __future__ import annotations

import json
import math

import pytest

from ganframe import BadInput, load_config
from ganframe.config.experiment import Experiment
from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.identity import DataIdentity
from ganframe.files import parse_json
from ganframe.runs.identity import ALLOWED_CHANGES, RUN_IDENTITY, AllowedChanges, RunIdentity, to_json
from ganframe.runs.log_lines import LogLines

SPECS = {"real": TensorSpec((3, 8, 8)), "label": TensorSpec((), 2, ("a", "b"))}
WHOLE = RunIdentity({"x": math.inf, "y": [1, None]}, DataIdentity(SPECS, 9, "12"), {"log": LogLines([(1, 9, 2)], [7])})


@pytest.fixture
def experiment() -> Experiment:
    return load_config("ring")


def test_an_identity_comes_back_as_it_was() -> None:
    assert parse_json(to_json(WHOLE), RUN_IDENTITY, "") == WHOLE
    allowed = AllowedChanges(7, WHOLE)
    assert parse_json(to_json(allowed), ALLOWED_CHANGES, "") == allowed


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"config": 3}', b"[" * 9999, b'{"config": {}, "data": {}}'])
def test_what_no_run_writes_is_refused_with_its_place(content: bytes) -> None:
    with pytest.raises(BadInput, match="not what a run writes") as problem:
        parse_json(content, RUN_IDENTITY, "run/identity.json")
    assert problem.value.place == "run/identity.json"


def test_names_of_classes_that_cannot_be_are_refused_with_their_place() -> None:
    saved = json.loads(to_json(WHOLE))
    saved["data"]["tensors"]["label"]["class_names"] = ["a", "a"]
    with pytest.raises(BadInput, match="two classes have the name 'a'") as problem:
        parse_json(json.dumps(saved).encode(), RUN_IDENTITY, "run/identity.json")
    assert problem.value.place == "run/identity.json"


def test_settings_that_differ_are_named_with_both_values(experiment: Experiment) -> None:
    config = experiment.dump()
    assert RunIdentity(config).config_changes(experiment) == {}
    other = config | {"seed": 7, "summary": "\x1b" + "x" * 100}
    changes = RunIdentity(other).config_changes(experiment)
    assert changes["seed"] == "7 -> 0"
    before = changes["summary"].partition(" -> ")[0]
    assert before == '"\\u001b' + "x" * 30 + "..."
    assert changes.keys() == {"seed", "summary"}


def test_a_config_of_a_type_that_is_gone_is_compared_as_it_stands(experiment: Experiment) -> None:
    config = experiment.dump()
    config["game"] = config["game"] | {"type": "no-such-game"}
    assert RunIdentity(config).config_changes(experiment) == {"game.type": '"no-such-game" -> "adversarial"'}
