"""All parts that fit together train: random terms, policies, augmentations and transforms over every installed game,
with random balancers, conditions of turns, frozen players, optimizers, averages and stages of growth.

A draw that does not fit must be refused as bad input. One that fits takes three steps, compiled or not, and the same
three steps when it is stopped after two and resumed, bit for bit.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, get_args, get_type_hints

import growing_pair
import pytest
import torch
from torch import Tensor

from ganframe import BadInput, Experiment, RunFailed, hookimpl, train
from ganframe.config.component import Component
from ganframe.config.network_transforms import DiscriminatorTransform, GeneratorTransform
from ganframe.plugins.discovery import installed
from ganframe.runs.checkpoint_files import list_checkpoints, load
from ganframe.testing.components import scheduled_fields

BATCH = 4
STEPS = 3

POINTS = {"type": "mlp", "hidden": [8], "latent": 4, "output": "linear"}
POINT_JUDGE = {"type": "mlp", "hidden": [8]}
DIGITS = {"type": "dcgan", "channels": 4, "latent": 8}
DIGIT_JUDGE = {"type": "dcgan", "channels": 4}
PATCHES = {"type": "patchgan", "channels": 4, "receptive_field": 16}
EMOJI = {"type": "fluent-emoji"}

GAMES: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "adversarial": [
        ({"generator": POINTS, "discriminator": POINT_JUDGE}, "ring"),
        ({"generator": DIGITS, "discriminator": DIGIT_JUDGE}, "digits"),
        ({"generator": DIGITS, "discriminator": DIGIT_JUDGE, "condition": "label"}, "digits"),
    ],
    "cycle": [
        (
            {"generator": {"type": "resnet", "channels": 4, "blocks": 1}, "discriminator": PATCHES},
            EMOJI | {"paired": False},
        )
    ],
    "moment-matching": [({"generator": POINTS}, "ring"), ({"generator": DIGITS}, "digits")],
    "paired": [({"generator": {"type": "unet", "channels": 4}, "discriminator": PATCHES}, EMOJI)],
    "sgan": [
        (
            {"generator": DIGITS, "discriminator": {"type": "sgan", "channels": 4}},
            {"type": "partly-labelled", "data": "digits", "num_labelled": 100},
        )
    ],
    "pair": [({}, "random-images")],
}
"""Small players and data for every installed game; a game that is made of another takes one of these."""

TURNS = {"cycle": ("discriminators", "generators"), "moment-matching": ("generator",)}
CONTESTS = {"cycle": ("d_a", "d_b"), "moment-matching": ()}
OUTPUTS = {"cycle": "fake_b"}
PLAYERS = {"cycle": ("g_ab", "d_a"), "moment-matching": ("generator",)}
"""Names of the game's parts where they are not those of an ordinary game."""

STAGES = [
    {"from_images": 0, "downscale": 4},
    {"from_images": BATCH, "downscale": 2, "fade_images": BATCH},
    {"from_images": 2 * BATCH, "downscale": 1, "fade_images": BATCH},
]

EMA = {"type": "linear", "start": 0, "end": 8}

OFTEN = {"loss": (1, 2), "regularizer": (0, 3), "label policy": (0, 1), "augmentation": (0, 1)}


class _Draw:
    """One random experiment, a function of its seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        games = sorted(name for kind, name in installed().registry.classes if kind == "game")
        self.game, self.data = self._game(self.random.choice(games))
        self.inner = self.game["type"] if "of" not in self.game else self.game["of"]["type"]
        self.names = _names(self.inner)

    def experiment(self) -> dict[str, Any]:
        alone = self.game["type"] == "moment-matching"
        accumulated = self.random.choice([1, 1, 2])
        contests = CONTESTS.get(self.inner, ("discriminator",))
        losses = [] if alone else [self._component("loss") for _ in self._count("loss")]
        augmentations = [self._component("augmentation") for _ in self._count("augmentation")]
        for loss in losses:
            loss["labels"] = [self._component("label policy") for _ in self._count("label policy")]
        terms = [
            *losses,
            *([{"type": "mmd"}] if alone else []),
            *(self._component("regularizer") for _ in self._count("regularizer")),
        ]
        for term in terms:
            term["weight"] = self.random.choice([0.1, 1.0, {"type": "linear", "start": 1.0, "end": 0.1}])
            term["every"] = self.random.choice([1, 1, 1, 2])
            if self._sometimes():
                term["from_images"] = self.random.choice([BATCH, 2 * BATCH])
            if self._sometimes():
                term["until_images"] = self.random.choice([BATCH, 2 * BATCH, STEPS * BATCH])
        for part in (*terms, *augmentations):
            if contests and self._sometimes():
                part["contests"] = [self.random.choice(contests)]
        return self._more(terms) | {
            "game": self.game,
            "losses": losses,
            "regularizers": terms[len(losses) :],
            "augmentations": augmentations,
            "data": self.data,
            "train": {
                "images": STEPS * BATCH * accumulated,
                "batch_size": BATCH,
                "device": "cpu",
                "compile": self.random.random() < 0.5,
                "precision": self.random.choice(["fp32", "fp32", "bf16"]),
                "ema": self.random.choice([None, {"half_life_images": 8}, {"half_life_images": EMA, "ramp_up": 0.5}]),
                "gradient_accumulation_steps": accumulated,
            },
            "checkpoint": {"every_images": BATCH, "keep": 1},
            "snapshot": {"count": 2},
        }

    def _sometimes(self) -> bool:
        return self.random.random() < 0.15

    def _more(self, terms: list[dict[str, Any]]) -> dict[str, Any]:
        """The parts of an experiment that most runs do without, each of them sometimes."""
        turns, output = TURNS.get(self.inner, ("discriminator", "generator")), OUTPUTS.get(self.inner, "fake")
        player = self.random.choice(PLAYERS.get(self.inner, ("generator", "discriminator")))
        more: dict[str, Any] = {"growth": {"stages": STAGES}} if self.inner == "pair" else {}
        if self._sometimes():
            more["turn_conditions"] = {self.random.choice(turns): self._component("turn condition")}
        if self._sometimes():
            more["balancers"] = {turns[-1]: self._balancer([term["type"] for term in terms], output)}
        if self._sometimes():
            more["freeze"] = [{"part": player, "until_images": BATCH}]
        if self._sometimes():
            adam = {"type": "adam", "lr": {"type": "linear", "start": 0.001, "end": 0}, "clip_gradient_norm": 0.5}
            more["optimizers"] = {self.random.choice([player, self.random.choice(turns)]): adam}
        return more

    def _balancer(self, terms: list[str], output: str) -> dict[str, Any]:
        cls: Any = self.random.choice(_types("balancer"))
        self.random.shuffle(terms)
        groups = {"terms": terms[:1], "reference_terms": terms[1:]} if "reference_terms" in cls.model_fields else {}
        return {"type": cls.type_name(), "at": output, "terms": terms} | groups

    def _count(self, kind: str) -> range:
        return range(self.random.randint(*OFTEN[kind]))

    def _game(self, name: str) -> tuple[dict[str, Any], Any]:
        if name not in GAMES:
            inner, data = self._game(self.random.choice(sorted(GAMES)))
            return {"type": name, "of": inner}, data
        settings, data = self.random.choice(GAMES[name])
        game = {"type": name, **settings}
        for role, base in (("generator", GeneratorTransform), ("discriminator", DiscriminatorTransform)):
            transforms = [cls for cls in _types(role) if issubclass(cls, base)]
            if role in game and transforms and self.random.random() < 0.3:
                game[role] = self._settings(self.random.choice(transforms)) | {"of": game[role]}
        return game, data

    def _component(self, kind: str) -> dict[str, Any]:
        return self._settings(self.random.choice(_types(kind)))

    def _settings(self, cls: type[Component]) -> dict[str, Any]:
        settings: dict[str, Any] = {"type": cls.type_name()}
        hints = get_type_hints(cls)
        for name, field in cls.model_fields.items():
            if field.is_required() and name not in ("type", "of"):
                settings[name] = self._required(hints[name])
        for name in scheduled_fields(cls):
            default = cls.model_fields[name].default
            if name != "weight" and isinstance(default, float) and self.random.random() < 0.3:
                settings[name] = {"type": "linear", "start": default, "end": default / 2}
        return settings

    def _required(self, annotation: Any) -> Any:
        for base in (annotation, *get_args(annotation)):
            if isinstance(base, type) and issubclass(base, Component):
                return self._component(base.kind)
        if annotation is str:
            return self.random.choice(self.names)
        if annotation is int:
            return 10
        raise AssertionError(f"no value for a setting of type {annotation}")


def _types(kind: str) -> list[type[Component]]:
    """The installed types of a kind, but those that need a file."""
    found = [cls for cls, _ in installed().registry if cls.kind == kind]
    without = [cls for cls in found if not any(hint is Path for hint in _required_hints(cls))]
    return sorted(without, key=lambda cls: cls.type_name())


def _required_hints(cls: type[Component]) -> list[Any]:
    hints = get_type_hints(cls)
    return [hints[name] for name, field in cls.model_fields.items() if field.is_required()]


def _names(game: str) -> list[str]:
    return {"cycle": ["real_a", "fake_b", "reconstructed_a"], "paired": ["source", "target", "fake"]}.get(
        game, ["real", "fake"]
    )


class _Stop:
    @hookimpl(trylast=True)
    def on_step_end(self, step: int) -> None:
        if step == STEPS - 1:
            raise RunFailed("stopped on purpose")


@pytest.fixture(autouse=True)
def _pair(monkeypatch: pytest.MonkeyPatch) -> None:
    growing_pair.register()
    # Drawing the curves of a report takes longer than three steps.
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")


def test_every_installed_game_is_drawn_from() -> None:
    composed = {cls.type_name() for cls in _types("game") if "of" in cls.model_fields}
    assert {cls.type_name() for cls in _types("game")} == GAMES.keys() | composed


def _flat(tree: object, key: str = "") -> dict[str, object]:
    if isinstance(tree, dict):
        return {name: each for part, value in tree.items() for name, each in _flat(value, f"{key}/{part}").items()}
    if isinstance(tree, list):
        return {name: each for part, value in enumerate(tree) for name, each in _flat(value, f"{key}/{part}").items()}
    return {key: tree}


def _assert_trains(experiment: Experiment, folder: Path) -> None:
    train(experiment, out=folder / "whole")
    with pytest.raises(RunFailed, match="stopped on purpose"):
        train(experiment, out=folder / "stopped", hooks=[_Stop()])
    train(experiment, out=folder / "stopped", resume=True)
    (step, whole), (other, resumed) = (
        load(list_checkpoints(folder / name / "checkpoints")[0]) for name in ("whole", "stopped")
    )
    assert step == other == STEPS
    whole, resumed = _flat(whole), _flat(resumed)
    assert whole.keys() == resumed.keys()
    for key, value in whole.items():
        if isinstance(value, Tensor):
            assert torch.equal(value.nan_to_num(), resumed[key].nan_to_num()), key
            assert bool(value.isfinite().all()), f"{key} is not finite"
        else:
            assert value == resumed[key], key


def _fits(seed: int) -> Experiment | None:
    """The experiment of a seed; None where it is refused as bad input, as anything that does not fit must be."""
    draw = _Draw(seed).experiment()
    try:
        return Experiment.model_validate(draw)
    except ValueError:
        return None


# The compiler looks at `.grad` of every input and hides the warning itself, unless warnings are errors.
@pytest.mark.filterwarnings("default:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.slow] if number >= 8 else []) for number in range(220)]
)
def test_what_fits_together_trains(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced as for the compiler, but run eagerly: compiling C++ would take hours.
    compile_with = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compile_with(self, backend="aot_eager"))
    torch.compiler.reset()
    for attempt in range(50):
        experiment = _fits(1000 * number + attempt)
        if experiment is None:
            continue
        try:
            _assert_trains(experiment, tmp_path / str(attempt))
        except BadInput as problem:
            assert problem.path, f"{problem} names no place in {experiment.dump()}"
            continue
        except Exception as problem:
            problem.add_note(f"of {experiment.dump()}")
            raise
        return
    raise AssertionError("none of 50 draws fits together")
