"""Scheduled settings of live components: each follows its schedule, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from torch import Tensor, nn

from ganframe import BadInput, Experiment, hookimpl, load_config, train
from ganframe.builtin.schedules import Linear, Piecewise
from ganframe.config.component_kinds import AugmentationConfig
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.schedules import Bounds, Scheduled, initial_value
from ganframe.game.game import Game
from ganframe.testing.components import CHECKS
from ganframe.testing.fakes import FakeGameConfig
from ganframe.training.run_state import Run
from ganframe.training.scheduled_settings import ScheduledSettings

CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [8], latent: 4, output: linear}
  discriminator: {type: mlp, hidden: [8], dropout: 0, input_dropout: 0}
losses: [non-saturating]
data: ring
train: {images: 64, batch_size: 16, device: cpu}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


class Watch:
    """The value of a live object's attribute in each step."""

    def __init__(self, live: str, name: str) -> None:
        self.live, self.name, self.seen = live, name, list[float]()

    @hookimpl
    def on_step_end(self, run: Run, scalars: Mapping[str, float]) -> None:
        if self.live == "augmentation":
            self.seen.append(getattr(run.assembly.augmentations[0], self.name))
        else:
            term: Any = run.assembly.objective.terms[0]
            self.seen.append(getattr(term.policies[0], self.name))


def test_an_augmentation_follows_its_schedule(config: Path, tmp_path: Path) -> None:
    watch = Watch("augmentation", "sigma")
    noise = "augmentations=[{type: instance-noise, sigma: {type: linear, start: 0.4, end: 0}}]"
    train(load_config(str(config), noise), out=tmp_path / "run", hooks=[watch])
    assert watch.seen == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_a_label_policy_follows_its_schedule(config: Path, tmp_path: Path) -> None:
    watch = Watch("policy", "probability")
    steps = "[{images: 0, value: 0.25}, {images: 32, value: 0}]"
    flipping = f"labels: [{{type: label-flipping, probability: {{type: piecewise, steps: {steps}}}}}]"
    train(
        load_config(str(config), f"losses=[{{type: non-saturating, {flipping}}}]"), out=tmp_path / "run", hooks=[watch]
    )
    assert watch.seen == [0.25, 0.25, 0, 0]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-0.1", "-0.1 is below 0"),
        ("{type: linear, start: 0.2, end: -0.5}", "-0.5 is below 0"),
        ("{type: piecewise, steps: [{images: 0, value: 0.1}, {images: 9, value: -2}]}", "-2 is below 0"),
    ],
)
def test_what_leaves_its_bounds_is_refused_at_its_place(config: Path, value: str, message: str) -> None:
    with pytest.raises(BadInput) as problem:
        load_config(str(config), f"augmentations=[{{type: instance-noise, sigma: {value}}}]")
    assert message in str(problem.value)
    assert "augmentations.0.sigma" in str(problem.value)


class Deaf(AugmentationConfig):
    """Changes nothing, and forgets its setting."""

    type: Literal["deaf"] = "deaf"
    strength: Annotated[Scheduled, Bounds(ge=0, le=1)] = 0.5
    """How much."""

    def build(self) -> nn.Module:
        return nn.Identity()


def test_a_live_object_without_the_setting_is_an_error_of_its_author() -> None:
    with pytest.raises(TypeError, match="Identity has no attribute 'strength'"):
        ScheduledSettings([(Deaf(strength=Linear(start=1, end=0)), nn.Identity())])
    ScheduledSettings([(Deaf(strength=0.25), nn.Identity())])


def test_a_setting_begins_with_the_first_value_of_its_schedule() -> None:
    assert initial_value(0.3) == 0.3
    assert initial_value(Linear(start=0.7, end=0, after=100)) == 0.7


def test_extremes_bound_the_values() -> None:
    ramp = Linear(start=0.2, end=3)
    assert ramp.extremes() == (0.2, 3)
    steps = Piecewise.model_validate({"steps": [{"images": 0, "value": 2}, {"images": 5, "value": -1}]})
    assert steps.extremes() == (-1, 2)


class Listening(nn.Module):
    """An augmentation that counts the turns, and what it was told of the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = list[tuple[str, float]]()

    @hookimpl
    def on_turn_end(self, turn: Any, rounds: Any) -> None:
        """Count."""
        real = rounds[0].logits.get(("discriminator", "real"))
        self.heard.append((turn.name, 0.0 if real is None else float(real.mean())))

    def forward(self, sample: Tensor, generator: Any) -> Tensor:
        """The sample as it is."""
        return sample


class ListeningConfig(AugmentationConfig):
    """Listens."""

    type: Literal["listening"] = "listening"

    def build(self) -> nn.Module:
        BUILT.append(Listening())
        return BUILT[-1]


BUILT: list[Listening] = []


def test_a_live_object_with_hooks_takes_part_in_the_run_and_sees_the_logits(config: Path, tmp_path: Path) -> None:
    experiment = load_config(str(config)).model_copy(update={"augmentations": (ListeningConfig(),)})
    assert isinstance(experiment, Experiment)
    folder = train(experiment, out=tmp_path / "run")
    turns = [name for name, _ in BUILT[-1].heard]
    assert turns == ["discriminator", "generator"] * 4
    assert all((value != 0.0) == (name == "discriminator") for name, value in BUILT[-1].heard)
    assert folder.report.is_file()


class Weighted(AugmentationConfig):
    """With a setting whose name only ends like that of a term's weight."""

    type: Literal["weighted"] = "weighted"
    noise_weight: Scheduled = 1.0


def test_a_setting_that_is_only_called_something_weight_follows_its_schedule() -> None:
    live: Any = nn.Module()
    live.noise_weight = 0.0
    ScheduledSettings([(Weighted(noise_weight=Linear(start=0, end=8)), live)]).apply(25, 100)
    assert live.noise_weight == 2


# What the conformance kit says of settings that may follow a schedule.


class Leveled(nn.Module):
    """A network with a level; a broken one keeps it in what its copies share."""

    shared: ClassVar[list[float]] = [0.0]

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        if fault != "deaf":
            self.level = 0.25 if fault != "late" else 0.0

    @property
    def level(self) -> float:
        return self.shared[0] if self.fault == "shared" else self.own

    @level.setter
    def level(self, value: float) -> None:
        self.shared[0] = self.own = value


class LeveledGenerator(GeneratorConfig):
    """Has a level."""

    type: Literal["leveled"] = "leveled"
    level: Annotated[Scheduled, Bounds(ge=0.1, le=0.9)] = 0.25
    fault: str = ""

    def build(self, **_: Any) -> nn.Module:
        return Leveled(self.fault)


class LeveledDiscriminator(DiscriminatorConfig):
    """Has a level."""

    type: Literal["leveled"] = "leveled"
    level: Annotated[Scheduled, Bounds(ge=0.1, le=0.9)] = 0.25
    fault: str = ""

    def build(self, **_: Any) -> nn.Module:
        return Leveled(self.fault)


class LeveledGame(FakeGameConfig):
    """Has a level."""

    type: Literal["leveled"] = "leveled"  # pyright: ignore[reportIncompatibleVariableOverride]
    level: Scheduled = 0.25
    fault: str = ""

    def build(self, data: Any) -> Game:
        game: Any = super().build(data)
        if self.fault != "deaf":
            game.level = 0.0 if self.fault == "late" else 0.25
        return game


@pytest.mark.parametrize("config", [LeveledGenerator, LeveledDiscriminator, LeveledGame])
def test_the_kit_looks_at_scheduled_settings_of_networks_and_games(config: Any) -> None:
    check = CHECKS[config.kind]["scheduled settings are live"]
    check(config())
    with pytest.raises(AttributeError, match="level"):
        check(config(fault="deaf"))
    with pytest.raises(AssertionError, match=r"'level' of .* is 0.0, not 0.25"):
        check(config(fault="late"))


@pytest.mark.parametrize("config", [LeveledGenerator, LeveledDiscriminator])
def test_the_kit_finds_a_setting_that_an_average_shares_with_the_network(config: Any) -> None:
    with pytest.raises(AssertionError, match=r"'level' of Leveled is 0.5, not 0.25"):
        CHECKS[config.kind]["scheduled settings are live"](config(fault="shared"))


def test_a_weight_that_is_no_weight_of_a_term_follows_its_schedule() -> None:
    class Heavy(AugmentationConfig):
        type: Literal["heavy"] = "heavy"
        weight: Scheduled = 1.0

    live: Any = nn.Module()
    live.weight = 0.0
    ScheduledSettings([(Heavy(weight=Linear(start=0, end=8)), live)]).apply(25, 100)
    assert live.weight == 2
