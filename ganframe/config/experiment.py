"""The config of a whole run. Whether its components fit together is checked when they are built, not here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, field_validator, model_validator

from ganframe.config.component_kinds import (
    AugmentationConfig,
    BalancerConfig,
    DatasetConfig,
    GameConfig,
    LoggerConfig,
    MetricConfig,
    OptimizerConfig,
    TurnConditionConfig,
)
from ganframe.config.growth import Growth
from ganframe.config.schedules import Bounds, ScheduleConfig, Scheduled, value_at
from ganframe.config.settings import RunLength, Settings
from ganframe.config.terms import LossConfig, RegularizerConfig, non_empty
from ganframe.config.validation_errors import validation_error
from ganframe.config.weights import FreezeOrName, WeightSource

FROZEN_SHARE = 0.9
"""If this share or more of the final average comes from the weights of the first step, its half-life is too long."""

DECAYS = 1000
"""Number of points of a run at which the decay is evaluated to compute that share."""


class Ema(Settings):
    """Exponential moving average of the weights of all players but discriminators; every picture and metric uses it."""

    half_life_images: Annotated[Scheduled, Bounds(ge=0)]
    """Half-life of past weights in the average, in images seen: a number above 0, or a schedule. While a schedule is 0,
    the average equals the latest weights."""
    ramp_up: float | None = Field(default=None, gt=0)
    """Maximum half-life, as a share of the images seen so far. It shortens the average early in the run, when weights
    change fast. StyleGAN2 uses 0.05. No maximum if left out."""

    @field_validator("half_life_images")
    @classmethod
    def _check_half_life(cls, half_life: float | ScheduleConfig) -> float | ScheduleConfig:
        if half_life == 0:
            raise ValueError(
                "a half-life of 0 averages nothing; leave `ema` out, or give a schedule that begins with 0"
            )
        return half_life

    def idle(self, length: RunLength) -> Mapping[str, str]:
        """Return the setting `half_life_images`, with the reason, if it is so long that the average hardly moves."""
        total, points = length.images, min(DECAYS, length.images)
        share = math.prod(self.decay(total * point // points, total / points, total) for point in range(points))
        if share < FROZEN_SHARE:
            return {}
        reason = (
            f"is so long that {share:.0%} of the average is still the weights of the first step at the end of the run, "
            f"after {total:,} images; pictures, metrics and samples show those"
        )
        return {"half_life_images": reason}

    def decay(self, images: int, step_images: float, total: int) -> float:
        """Return the weight of the old average in the update of a step, in [0, 1).

        Args:
            images: Real examples seen before the step.
            step_images: Real examples of the step.
            total: Real examples of the whole run.

        References:
            Karras et al. 2020, arXiv:1912.04958, and the authors' code for the ramp-up.
        """
        half_life = value_at(self.half_life_images, images, total)
        if self.ramp_up is not None:
            half_life = min(half_life, images * self.ramp_up)
        return 0.5 ** (step_images / half_life) if half_life else 0.0


class Train(Settings):
    """How long and how fast to train."""

    renamed: ClassVar[Mapping[str, str]] = {
        "images": "total_images",
        "accumulate": "gradient_accumulation_steps",
        "shard": "fsdp",
    }

    total_images: PositiveInt
    """Number of real examples in the whole run. The run ends with the step that reaches this number."""
    batch_size: PositiveInt = 64
    """Number of examples in one forward pass, on all devices together. Each device gets an equal share; the number of
    devices does not change the results."""
    gradient_accumulation_steps: PositiveInt = 1
    """Number of forward and backward passes whose gradients are averaged for one optimizer step."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Autocast precision of forward passes; parameters stay in fp32, and losses and penalties see the logits in fp32.
    `auto` is bf16 on devices with native bf16, else fp32."""
    compile: bool = False
    """Compile each player with `torch.compile`. Optimizer steps that need second derivatives, such as those with a
    gradient penalty, run uncompiled; if the penalty has `every: 16`, that is one in sixteen."""
    fsdp: bool = False
    """Shard parameters, gradients and optimizer state over all devices (FSDP), for networks that do not fit on one.
    During optimizer steps that need second derivatives, such as those with a gradient penalty, each device holds all
    parameters."""
    channels_last: bool = False
    """Keep images and convolution weights in channels-last memory format."""
    ema: Ema | None = None
    """Moving average of the weights; none if left out."""
    device: str = "auto"
    """A torch device, or `auto`: CUDA if available, else the CPU."""
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    """Reaction to a loss or gradient that is not finite: `stop` ends the run, `rollback` goes back to the last
    checkpoint and continues with the examples in another order."""
    max_rollbacks: int = Field(default=3, ge=1)
    """Maximum number of rollbacks in a run; after these, a number that is not finite ends the run."""
    balance_classes: str | None = None
    """Name of a class label of the data, such as `label`, whose classes are all drawn equally often: examples of small
    classes are seen more often than others, each of them once before any is seen again. When left out, every example is
    seen equally often."""
    workers: int = Field(default=0, ge=0)
    """Number of processes that load data; if 0, the training process loads it."""


class Best(Settings):
    """The result by which the best checkpoint is kept."""

    result: str
    """Name of the result, as in the log: the metric and its result, as in `frechet/lenet-digits`."""
    goal: Literal["lowest", "highest"]
    """Whether the lowest or the highest value is the best."""
    patience: PositiveInt | None = None
    """Number of measurements without a better value after which the run ends. It goes on to its end when left out."""


class Evaluate(Settings):
    """The metrics of a run, and how often they are measured."""

    metrics: Annotated[tuple[MetricConfig, ...], AfterValidator(non_empty)]
    """The metrics to measure. The setting `samples` of each is the number of examples."""
    every_images: PositiveInt | None = None
    """Number of images seen between measurements. If left out, metrics are measured only at the end of the run."""
    best: Best | None = None
    """The result by which the best checkpoint is kept, however old it is; and whether to stop the run early. A value
    that is not finite is never the best. If left out, only the latest checkpoints are kept."""

    @model_validator(mode="after")
    def _check_best(self) -> Self:
        names = metric_names(self.metrics)
        metric, _, result = ("", "", "") if self.best is None else self.best.result.partition("/")
        if self.best is not None and (metric not in names or not result):
            known = ", ".join(f"{name}/RESULT" for name in names)
            message = f"no metric gives {self.best.result!r}; the results are: {known}"
            raise validation_error("unknown_result", message, ("best", "result"), self.best.result)
        return self

    def idle(self, length: RunLength) -> Mapping[str, str]:
        """Return `best` if there is one measurement to choose from, and `best.patience` if it cannot end the run."""
        if self.best is None:
            return {}
        measurements = -(-length.images // (self.every_images or length.images))
        if measurements == 1:
            return {"best": "has one measurement to choose from, that at the end of the run: set `every_images`"}
        if self.best.patience is not None and self.best.patience >= measurements - 1:
            return {"best.patience": f"cannot end the run before its last measurement, which is number {measurements}"}
        return {}


def metric_names(metrics: Sequence[MetricConfig]) -> list[str]:
    """Return the name of each metric in the log: its type, and `TYPE-2` for the second metric of one type."""
    types = [metric.type_name() for metric in metrics]
    counts = [types[: index + 1].count(name) for index, name in enumerate(types)]
    return [name if count == 1 else f"{name}-{count}" for name, count in zip(types, counts, strict=True)]


class Snapshot(Settings):
    """Pictures of samples during training."""

    every_images: PositiveInt | None = None
    """Number of images seen between pictures; a tenth of the run if left out."""
    count: PositiveInt = 100
    """Number of samples in a picture."""


class Checkpoint(Settings):
    """How often checkpoints are saved, and how many are kept."""

    every_images: PositiveInt | None = None
    """Number of images seen between checkpoints; a tenth of the run if left out."""
    every_minutes: float | None = Field(default=10, gt=0)
    """Maximum time between checkpoints, in minutes; null for no maximum. It does not affect the training results."""
    keep: PositiveInt = 2
    """Number of checkpoints to keep, the latest ones. The best one is kept too if the config sets `evaluate.best`."""


class Experiment(Settings):
    """Everything that defines a run: the same config and seed give the same weights."""

    summary: str = ""
    """One line that describes the config in listings."""
    game: GameConfig
    """The game: which networks play, which tensors they make, and which optimizer steps train them."""
    losses: tuple[LossConfig, ...] = ()
    """Adversarial losses, summed with their weights."""
    regularizers: tuple[RegularizerConfig, ...] = ()
    """All other terms, summed with their weights."""
    augmentations: tuple[AugmentationConfig, ...] = ()
    """Changes to every sample before a discriminator sees it, applied in this order."""
    data: DatasetConfig
    """The data set."""
    optimizers: dict[str, OptimizerConfig] = Field(default_factory=dict[str, OptimizerConfig])
    """The optimizer of each turn of the game, by the turn's name; `adam` by default. The key `TURN.PLAYER` gives a
    player a separate optimizer in that turn. The key `PLAYER` gives it one in each turn that trains it, unless a turn
    has the same name."""
    turn_conditions: dict[str, TurnConditionConfig] = Field(default_factory=dict[str, TurnConditionConfig])
    """Rules that decide in each training step whether a turn (optimizer step) is taken or skipped, by the turn's name.
    If left out, the game's own rule applies; without one, the turn is taken in every step."""
    balancers: dict[str, BalancerConfig] = Field(default_factory=dict[str, BalancerConfig])
    """Rules that weigh the terms of a turn (optimizer step) by their gradients. The key is the turn's name."""
    init_from: dict[str, WeightSource] = Field(default_factory=dict[str, WeightSource])
    """Initial weights of players, or of parts of them such as `generator.trunk`, from another run or a file. They are
    read once, when a new run starts; those of frozen players again whenever the run is resumed or loaded."""
    freeze: tuple[FreezeOrName, ...] = ()
    """Players, or parts of them such as `discriminator.blocks.0`, that do not train. They stay in eval mode, so that
    running statistics do not change."""
    growth: Growth | None = None
    """Stages in which images and networks grow in resolution; a single resolution if left out."""
    train: Train
    """How long and how fast to train."""
    evaluate: Evaluate | None = None
    """The metrics, and how often they are measured; none if left out."""
    snapshot: Snapshot = Field(default=Snapshot())
    """Pictures of samples during training."""
    checkpoint: Checkpoint = Field(default=Checkpoint())
    """How often checkpoints are saved, and how many are kept."""
    loggers: tuple[LoggerConfig, ...] = Field(default=("jsonl",), validate_default=True)
    """Receivers of the scalars and pictures of the run."""
    seed: int = Field(default=0, ge=0)
    """Seed of every random draw of the run."""

    def dump(self) -> dict[str, Any]:
        """Return the config as plain data, without settings at their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def differences(self, other: Experiment) -> list[str]:
        """Return the dotted paths of the settings that differ from those of another config."""
        return list(self.changes(other))

    def changes(self, other: Experiment) -> dict[str, tuple[Any, Any]]:
        """Return the value of this config and of the other one for each setting that differs, by dotted path."""
        return plain_changes(self.model_dump(mode="json"), other.model_dump(mode="json"))


def plain_changes(mine: Any, theirs: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Return both values of each setting in which two configs, given as plain data, differ, sorted by dotted path."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        keys: list[str] = sorted({*mine, *theirs})
        inner = [plain_changes(mine.get(key), theirs.get(key), f"{path}.{key}" if path else key) for key in keys]
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        pairs: list[tuple[Any, Any]] = list(zip(mine, theirs, strict=True))
        inner = [plain_changes(a, b, f"{path}.{i}") for i, (a, b) in enumerate(pairs)]
    else:
        return {} if mine == theirs else {path: (mine, theirs)}
    return dict(sorted((at, values) for each in inner for at, values in each.items()))
