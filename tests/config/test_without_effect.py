"""Settings that change nothing in a run are named with their place, in `explain` and at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ganframe
from ganframe.config.experiment import Experiment
from ganframe.config.settings import RunLength
from ganframe.config.without_effect import describe_without_effect

PLAIN: dict[str, Any] = {
    "game": {
        "type": "adversarial",
        "generator": {"type": "mlp", "hidden": [8], "latent": 4, "output": "linear"},
        "discriminator": {"type": "mlp", "hidden": [8]},
    },
    "losses": ["non-saturating"],
    "data": "ring",
    "train": {"total_images": 100, "batch_size": 10, "device": "cpu"},
}
STAGES = {"stages": [{"downscale": 2}, {"downscale": 1, "from_images": 100}]}
RAMP = {"type": "linear", "start": 1, "end": 0}
PIECES = {"type": "piecewise", "steps": [{"after_images": 0, "value": 1}, {"after_images": 100, "value": 2}]}


def found(**changes: Any) -> list[str]:
    return describe_without_effect(Experiment.model_validate(PLAIN | changes), RunLength(100, 10))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"regularizers": [{"type": "r1", "from_images": 100}]}, "regularizers.0.from_images"),
        ({"regularizers": ["r1", {"type": "r1", "weight": 0}]}, "regularizers.1.weight"),
        ({"losses": [{"type": "hinge", "weight": RAMP | {"start": 0}}]}, "losses.0.weight"),
        ({"losses": [{"type": "hinge", "weight": RAMP | {"after_images": 100}}]}, "losses.0.weight.after_images"),
        ({"losses": [{"type": "hinge", "weight": PIECES}]}, "losses.0.weight.steps.1.after_images"),
        ({"optimizers": {"generator": {"type": "adam", "lr": PIECES}}}, "optimizers.generator.lr.steps.1.after_images"),
        ({"growth": STAGES}, "growth.stages.1.from_images"),
        ({"freeze": [{"part": "generator", "until_images": 100}]}, "freeze.0.until_images"),
        ({"augmentations": [{"type": "ada", "interval": 11}]}, "augmentations.0.interval"),
        ({"train": PLAIN["train"] | {"ema": {"half_life_images": 1e12}}}, "train.ema.half_life_images"),
    ],
)
def test_what_has_no_effect_is_named_with_its_place(changes: dict[str, Any], place: str) -> None:
    (sentence,) = found(**changes)
    assert sentence.startswith((f"{place} is ", f"{place} lies beyond the end of the run, 100, "))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"regularizers": [{"type": "r1", "from_images": 99, "every": 1000}]},
        {"losses": [{"type": "hinge", "weight": RAMP | {"after_images": 99}}]},
        {"freeze": [{"part": "generator", "until_images": 99}, "discriminator"]},
        # A picture, a checkpoint and a measurement come at the end at the latest: long intervals are not in vain.
        {"snapshot": {"every_images": 1000}, "checkpoint": {"every_images": 1000}},
        {"evaluate": {"metrics": ["mode-coverage"], "every_images": 1000}},
        {"augmentations": [{"type": "ada", "interval": 10}]},
        {"augmentations": [{"type": "ada", "interval": 11, "adapt": False, "p": 0.5}]},
        {"train": PLAIN["train"] | {"ema": {"half_life_images": 100}}},
    ],
)
def test_what_has_an_effect_is_not(changes: dict[str, Any]) -> None:
    assert found(**changes) == []


def test_it_is_said_in_the_explanation_and_at_the_start(cli: Any, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    late = PLAIN | {"regularizers": [{"type": "r1", "from_images": 500}, {"type": "r1", "weight": 0}]}
    config.write_text(repr(late))  # YAML as well
    sentences = [
        "regularizers.0.from_images lies beyond the end of the run, 100, so the term never takes part",
        "regularizers.1.weight is 0, so the term never takes part",
    ]
    explained = cli("explain", config)
    assert (explained.code, explained.err) == (0, "")
    assert [line.strip() for line in explained.out.splitlines()[-2:]] == sentences
    started = cli("train", config, "--out", tmp_path / "run")
    assert (started.code, started.err.splitlines()) == (0, [f"without effect: {each}" for each in sentences])
    assert ganframe.load(tmp_path / "run").step == 10
