"""The config of a whole run. Whether its parts fit together is checked when they are assembled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PositiveInt

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
from ganframe.config.settings import Settings
from ganframe.config.terms import LossConfig, RegularizerConfig, non_empty


class Ema(Settings):
    """Exponential moving average of the generators' weights, used for every picture and metric."""

    half_life_images: float = Field(gt=0)
    """Images after which the share of a past weight in the average has halved."""


class Train(Settings):
    """How long and how fast to train."""

    renamed: ClassVar[Mapping[str, str]] = {
        "images": "total_images",
        "accumulate": "gradient_accumulation_steps",
        "shard": "fsdp",
    }

    total_images: PositiveInt
    """Real examples of the whole run; it ends with the step that reaches them."""
    batch_size: PositiveInt = 64
    """Examples in one forward pass, shared equally by all devices, so that the number of devices changes no result."""
    gradient_accumulation_steps: PositiveInt = 1
    """Forward and backward passes whose gradients are averaged into one optimizer step."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Autocast precision of forward passes; parameters stay in fp32. `auto` is bf16 on devices with native bf16, else
    fp32."""
    compile: bool = False
    """Compile each player with `torch.compile`. Turns that differentiate through a player, such as those
    with a gradient penalty, run uncompiled: with `every: 16` that is one in sixteen."""
    fsdp: bool = False
    """Shard parameters, gradients and optimizer state over all devices (FSDP), for networks that do not fit on one.
    Turns that differentiate through a player, such as those with a gradient penalty, gather it for their duration."""
    channels_last: bool = False
    """Keep images and convolution weights in channels-last memory order."""
    ema: Ema | None = None
    """Averaging of weights; none when left out."""
    device: str = "auto"
    """A torch device, or `auto`: CUDA if available, else the CPU."""
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    """Reaction to a loss or gradient that is not finite: end the run, or go back to the last checkpoint and go on with
    the data in another order."""
    max_rollbacks: int = Field(default=3, ge=1)
    """Rollbacks of a run before it ends."""
    workers: int = Field(default=0, ge=0)
    """Loader processes; 0 loads in the training process."""


class Evaluate(Settings):
    """Which metrics to measure, and how often."""

    metrics: Annotated[tuple[MetricConfig, ...], AfterValidator(non_empty)]
    """The metrics, each over its own samples."""
    every_images: PositiveInt | None = None
    """Images between measurements; only at the end when left out."""


class Snapshot(Settings):
    """Pictures of samples while training."""

    every_images: PositiveInt | None = None
    """Images between pictures; a tenth of the run when left out."""
    count: PositiveInt = 100
    """Examples in a picture."""


class Checkpoint(Settings):
    """When to save the state of the run."""

    every_images: PositiveInt | None = None
    """Images between checkpoints; a tenth of the run when left out."""
    keep: PositiveInt = 2
    """Number of checkpoints that are kept, the latest ones."""


class Experiment(Settings):
    """Everything that defines a run: the same config and seed give the same weights."""

    summary: str = ""
    """One line for listings."""
    game: GameConfig
    """The game: its networks, named tensors, contests and turns."""
    losses: tuple[LossConfig, ...] = ()
    """Adversarial losses, summed with their weights."""
    regularizers: tuple[RegularizerConfig, ...] = ()
    """All other terms, summed with their weights."""
    augmentations: tuple[AugmentationConfig, ...] = ()
    """Changes to what discriminators see, in order."""
    data: DatasetConfig
    """The data set."""
    optimizers: dict[str, OptimizerConfig] = Field(default_factory=dict[str, OptimizerConfig])
    """The optimizer of each turn, by the turn's name; `adam` by default."""
    turn_conditions: dict[str, TurnConditionConfig] = Field(default_factory=dict[str, TurnConditionConfig])
    """When a turn is taken, by the turn's name; in every step, or as the game says, when left out."""
    balancers: dict[str, BalancerConfig] = Field(default_factory=dict[str, BalancerConfig])
    """Rules that weigh the terms of a turn by their gradients, by the turn's name."""
    train: Train
    """How long and how fast to train."""
    evaluate: Evaluate | None = None
    """Metrics; none when left out."""
    snapshot: Snapshot = Snapshot()
    """Pictures of samples while training."""
    checkpoint: Checkpoint = Checkpoint()
    """When to save the state."""
    loggers: tuple[LoggerConfig, ...] = Field(default=("jsonl",), validate_default=True)
    """Receivers of scalars and pictures."""
    seed: int = Field(default=0, ge=0)
    """Seed of every random draw of the run."""

    def dump(self) -> dict[str, Any]:
        """Return the config as plain data, without values that equal the defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def differences(self, other: Experiment) -> list[str]:
        """Return the dotted paths at which two configs differ."""
        return sorted(_differences(self.model_dump(mode="json"), other.model_dump(mode="json"), ""))


def _differences(mine: Any, theirs: Any, path: str) -> list[str]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        keys: list[str] = sorted({*mine, *theirs})
        return [
            found
            for key in keys
            for found in _differences(mine.get(key), theirs.get(key), f"{path}.{key}" if path else key)
        ]
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        pairs: list[tuple[Any, Any]] = list(zip(mine, theirs, strict=True))
        return [found for i, (a, b) in enumerate(pairs) for found in _differences(a, b, f"{path}.{i}")]
    return [] if mine == theirs else [path]
