"""The config of a run as a whole. Free of torch; what must fit together is checked in `assembly`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt

from ganframe.config.kinds import (
    AugmentationConfig,
    DatasetConfig,
    GameConfig,
    LoggerConfig,
    MetricConfig,
    OptimizerConfig,
)
from ganframe.config.settings import Settings
from ganframe.config.terms import LossConfig, RegularizerConfig, non_empty


class Ema(Settings):
    """Exponential moving average of the players that make samples, used for every picture and metric."""

    half_life_images: float = Field(gt=0)
    """Images after which a weight's share in the average has halved."""


class Train(Settings):
    """How long and how fast to train."""

    images: PositiveInt
    """Real examples to draw in all; the run ends with the step that reaches them."""
    batch_size: PositiveInt = 64
    """Examples in one forward pass; several devices share them equally, so that their number changes no result."""
    accumulate: PositiveInt = 1
    """Forward and backward passes whose gradients are averaged into one optimizer step."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Autocast precision of forward passes; parameters stay in fp32. `auto` is bf16 where the device computes in it
    natively, and fp32 elsewhere."""
    compile: bool = False
    """Compile each player with `torch.compile`. Turns that differentiate through a player, as those with a gradient
    penalty do, run uncompiled: with `every: 16` that is one in sixteen."""
    shard: bool = False
    """On several devices, spread parameters, gradients and optimizer state over them (FSDP), for networks that do not
    fit one. Turns that differentiate through a player, as those with a gradient penalty do, gather it meanwhile."""
    channels_last: bool = False
    """Keep images and convolution weights in channels-last memory order."""
    ema: Ema | None = None
    """Averaging of the weights; none when left out."""
    device: str = "auto"
    """A torch device, or `auto` for CUDA where there is one."""
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    """What to do when a loss or gradient is not finite: end the run, or go back to the last checkpoint, from where the
    data come in another order."""
    max_rollbacks: int = Field(default=3, ge=1)
    """How often a run may go back before it ends after all."""
    workers: int = Field(default=0, ge=0)
    """Loader processes; 0 loads in the training process."""


class Evaluate(Settings):
    """What to measure, and how often."""

    metrics: Annotated[tuple[MetricConfig, ...], AfterValidator(non_empty)]
    """The metrics, each over samples of its own."""
    every_images: PositiveInt | None = None
    """Images between measurements; only at the end when left out."""


class Snapshot(Settings):
    """Pictures of samples while training."""

    every_images: PositiveInt | None = None
    """Images between pictures; a tenth of the run when left out."""
    count: PositiveInt = 100
    """Examples in a picture."""


class Checkpoint(Settings):
    """When the state of the run is saved."""

    every_images: PositiveInt | None = None
    """Images between checkpoints; a tenth of the run when left out."""
    keep: PositiveInt = 2
    """How many of the latest checkpoints stay."""


class Experiment(Settings):
    """Everything that defines a run: the same config and seed give the same weights."""

    summary: str = ""
    """One line for listings."""
    game: GameConfig
    """Who plays what."""
    losses: tuple[LossConfig, ...] = ()
    """Adversarial losses, summed with their weights."""
    regularizers: tuple[RegularizerConfig, ...] = ()
    """All other terms, summed with their weights."""
    augmentations: tuple[AugmentationConfig, ...] = ()
    """Changes to what discriminators see, in order."""
    data: DatasetConfig
    """What to train on."""
    optimizers: dict[str, OptimizerConfig] = Field(default_factory=dict[str, OptimizerConfig])
    """The optimizer of each turn, by the turn's name; `adam` where none is given."""
    train: Train
    """How long and how fast to train."""
    evaluate: Evaluate | None = None
    """What to measure; nothing when left out."""
    snapshot: Snapshot = Snapshot()
    """Pictures while training."""
    checkpoint: Checkpoint = Checkpoint()
    """When the state is saved."""
    loggers: tuple[LoggerConfig, ...] = Field(default=("jsonl",), validate_default=True)
    """Who is told of scalars and pictures."""
    seed: int = Field(default=0, ge=0)
    """Every random draw of the run is a function of it."""

    def dump(self) -> dict[str, Any]:
        """The config as plain data, without what equals the defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def differences(self, other: Experiment) -> list[str]:
        """Dotted paths at which two configs differ."""
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
