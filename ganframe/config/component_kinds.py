"""The kinds of components that are neither networks nor terms: games, data sets, augmentations, metrics and others.

A *kind base* (`LossConfig`, `GameConfig`, ...) has no `type`. Used as a field annotation it stands for the union of
all configs of its kind that the installed packages register: a mapping with a `type`, a bare type name, or an
instance. Importing this module, or any module that only defines configs, never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

from pydantic import AfterValidator, Field

from ganframe.config.tensor_specs import DataSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganframe.data.dataset import Dataset
    from ganframe.game import protocols
    from ganframe.game.game import Game
from ganframe.config.component import Component
from ganframe.config.networks import DiscriminatorConfig, EncoderConfig, GeneratorConfig
from ganframe.config.schedules import Bounds, ScheduleConfig, Scheduled, value_at
from ganframe.config.terms import LabelPolicyConfig, LossConfig, RegularizerConfig, non_empty


class GameConfig(Component):
    """Which networks play, which tensors a batch becomes, and in which turns the networks train."""

    kind: ClassVar[str] = "game"
    share_round: bool = False
    """Make the tensors of a step once and share them between its turns: one generator forward pass a step."""

    def build(self, data: DataSpec) -> Game:
        """Make the game for data of this shape; its networks are set later.

        Raises:
            BadInput: When the data lacks a tensor that the game needs.
        """
        raise NotImplementedError


class DatasetConfig(Component):
    """A source of named tensors."""

    kind: ClassVar[str] = "dataset"

    def spec(self) -> DataSpec:
        """Return the tensors of one example, without reading all data.

        Raises:
            BadInput: When the data is missing or cannot be read.
        """
        raise NotImplementedError

    def build(self) -> Dataset:
        """Open the data.

        Raises:
            BadInput: When the data is missing or cannot be read.
        """
        raise NotImplementedError

    def held_out(self) -> DatasetConfig | None:
        """Return the data set of held-out examples of the same source; None if it has none."""
        return None


class AugmentationConfig(Component):
    """A differentiable change to every sample that a discriminator sees."""

    kind: ClassVar[str] = "augmentation"
    identity_settings: ClassVar[Mapping[str, Any]] = {}
    """Settings at which the augmentation is the identity."""
    contests: Annotated[tuple[str, ...], AfterValidator(non_empty)] | None = None
    """Names of the contests whose discriminators see changed samples; all of the game's when left out."""

    def check(self, game: Game, losses: Sequence[LossConfig]) -> None:
        """Refuse a game or losses that do not go with the augmentation.

        Args:
            game: The game, before its networks are built; what is augmented is the `sample` of a discriminator's spec.
            losses: The losses of the run.

        Raises:
            BadInput: With the path of the setting, from this config on.
        """

    def build(self) -> nn.Module:
        """Make the augmentation: a `protocols.Augmentation`."""
        raise NotImplementedError


class MetricConfig(Component):
    """A measure of samples, most often against real data."""

    kind: ClassVar[str] = "metric"
    samples: int = Field(default=2000, ge=1)
    """Number of examples to measure."""

    @classmethod
    def example_data(cls) -> DatasetConfig | None:
        """Return data for the conformance kit to measure; labelled images when None."""
        return None

    def perfect_samples(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that the metric reads, as perfect generators would make them from a batch of the data."""
        return {name: batch[name] if name in batch else batch["real"] for name in self.tensors()}

    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """Return the bounds of each result for perfect samples."""
        return {}

    def tensors(self) -> tuple[str, ...]:
        """Return the names of the tensors that the metric reads."""
        raise NotImplementedError

    def build(self, data: DatasetConfig) -> protocols.Metric:
        """Make a metric over this data, with no examples yet."""
        raise NotImplementedError


class TurnConditionConfig(Component):
    """A condition under which a turn is taken; otherwise the turn is skipped in that step."""

    kind: ClassVar[str] = "turn condition"

    def check(self, game: Game) -> None:
        """Refuse a game that lacks what the condition reads.

        Raises:
            BadInput: With the path of the setting, from this config on.
        """

    def build(self) -> protocols.TurnCondition:
        """Make the condition."""
        raise NotImplementedError


class BalancerConfig(Component):
    """A rule that gives the terms of a turn their weights, from the gradient of each term."""

    kind: ClassVar[str] = "balancer"

    at: str
    """Where gradients are taken: a named tensor such as `fake`, a parameter of a player such as
    `generator.decoder.conv_out.weight`, or a player alone for the weight of its last layer, its `last_layer`."""
    terms: Annotated[tuple[str, ...], AfterValidator(non_empty)]
    """Names of the terms that are given weights, as they are in the log."""

    def gradient_terms(self) -> tuple[str, ...] | None:
        """Return the names of the terms whose gradients the rule reads; None for all terms of the turn."""
        return self.terms

    def build(self) -> nn.Module:
        """Make the rule: a `protocols.Balancer`. Its buffers are saved in checkpoints."""
        raise NotImplementedError


class LoggerConfig(Component):
    """A receiver of the scalars and pictures of a run."""

    kind: ClassVar[str] = "logger"

    def build(self) -> object:
        """Make an object with `ganframe.hookimpl` methods for the life of a run."""
        raise NotImplementedError


class OptimizerConfig(Component):
    """The optimizer of the players of a turn."""

    kind: ClassVar[str] = "optimizer"
    default_type = "adam"
    lr: Annotated[Scheduled, Bounds(ge=0)] = 2e-4
    """Learning rate; a number or a schedule."""

    def build(self, parameters: Sequence[nn.Parameter]) -> protocols.Optimizer:
        """Make the optimizer over these parameters."""
        raise NotImplementedError

    @classmethod
    def default(cls) -> OptimizerConfig:
        """Return the optimizer of a turn for which a config names none."""
        return cast(OptimizerConfig, cls.from_value({}))

    def is_scheduled(self) -> bool:
        """Return whether a setting follows a schedule, so that `settings` is read before each step."""
        values = (each for _, value in self for each in (value if isinstance(value, tuple) else (value,)))
        return any(isinstance(each, ScheduleConfig) for each in values)

    def settings(self, images: int, total: int) -> dict[str, Any]:
        """Return the values of the parameter group once `images` of `total` were seen."""
        return {"lr": value_at(self.lr, images, total)}


KINDS: tuple[type[Component], ...] = (
    GameConfig,
    GeneratorConfig,
    DiscriminatorConfig,
    LossConfig,
    RegularizerConfig,
    LabelPolicyConfig,
    AugmentationConfig,
    DatasetConfig,
    MetricConfig,
    EncoderConfig,
    LoggerConfig,
    OptimizerConfig,
    TurnConditionConfig,
    BalancerConfig,
    ScheduleConfig,
)
"""All kind bases, in the order of listings."""
