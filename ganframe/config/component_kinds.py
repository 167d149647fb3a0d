"""The kinds of components that are neither networks nor terms: games, data sets, augmentations, metrics and others.

The base class of a kind, such as `LossConfig` or `GameConfig`, has no `type`. As the annotation of a field, it stands
for all configs of its kind that the installed packages register. The field takes a mapping with a `type`, the name of a
type alone, or an instance. Importing this module, or any module that only defines configs, never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, cast

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ganframe.config.tensor_specs import DataSpec, TensorSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganframe.data.dataset import Dataset
    from ganframe.game import protocols
    from ganframe.game.game import Game
    from ganframe.game.round import Round
from ganframe.config.component import Component
from ganframe.config.networks import DiscriminatorConfig, EncoderConfig, GeneratorConfig
from ganframe.config.schedules import Bounds, ScheduleConfig, Scheduled, value_at
from ganframe.config.terms import LabelPolicyConfig, LossConfig, RegularizerConfig, non_empty
from ganframe.config.validation_errors import error_detail, validation_error


class GameConfig(Component):
    """The game of a run: its networks, the named tensors that are made from a batch, and the turns of training."""

    kind: ClassVar[str] = "game"
    share_round: bool = False
    """Make the named tensors once for all turns of a step, so that the generator runs once per step."""

    def example_specs(self) -> DataSpec | None:
        """Return the specs of the data with which the conformance kit tests the game.

        With None, the kit gives images under any name that the game asks for, and class labels under the name `label`.
        A game that reads anything else overrides this: `{"text": TensorSpec((16,)), "age": TensorSpec((), classes=9)}`.
        """
        return None

    def example_objective(self, game_round: Round) -> Tensor | None:
        """Return a scalar in place of the terms of `game_round.turn`, for the conformance kit.

        The kit tests that this scalar gives every player of the turn a gradient. With None, the kit makes the scalar
        from the logits of the turn's contests and the tensors that the game makes. A game overrides this if it has a
        player that influences none of them, because only terms call the player's network.
        """
        return None

    def build(self, data: DataSpec) -> Game:
        """Make the game for data with these tensors. Its networks are set later, with `set_players`.

        Raises:
            BadInput: When the data lacks a tensor that the game needs.
        """
        raise NotImplementedError


class DatasetConfig(Component):
    """A source of named tensors."""

    kind: ClassVar[str] = "dataset"

    def spec(self) -> DataSpec:
        """Return the spec of each tensor of an example, by name, without reading the whole data set.

        Raises:
            BadInput: When the data is missing or cannot be read.
        """
        raise NotImplementedError

    def build(self) -> Dataset:
        """Open the data set.

        Raises:
            BadInput: When the data is missing or cannot be read.
        """
        raise NotImplementedError

    def held_out(self) -> DatasetConfig | None:
        """Return the config of a data set with the held-out examples of the same source; None if there are none."""
        return None


class AugmentationConfig(Component):
    """A differentiable change to every sample that a discriminator sees."""

    kind: ClassVar[str] = "augmentation"
    batch_coupled: ClassVar[bool] = False
    """Whether the change of one sample depends on the rest of the batch."""
    identity_settings: ClassVar[Mapping[str, Any]] = {}
    """Settings with which the augmentation leaves every sample unchanged. The conformance kit tests this."""
    contests: Annotated[tuple[str, ...], AfterValidator(non_empty)] | None = None
    """Names of the contests whose discriminators see changed samples; all contests of the game when left out."""

    def example_specs(self) -> TensorSpec:
        """Return the spec of the samples with which the conformance kit tests the augmentation."""
        return TensorSpec((3, 16, 16))

    def check(self, game: Game, losses: Sequence[LossConfig]) -> None:
        """Refuse a game or losses with which the augmentation cannot be used.

        Args:
            game: The game, before its networks are built. The augmentation is given samples of the shapes that
                `game.discriminator_inputs()` lists.
            losses: The losses of the run.

        Raises:
            BadInput: When the augmentation cannot be used. The error's `path` leads to a setting, relative to this
                config.
        """

    def build(self) -> nn.Module:
        """Make the augmentation, which follows the protocol `ganframe.game.protocols.Augmentation`."""
        raise NotImplementedError


class MetricConfig(Component):
    """A measure of samples, most often against real data."""

    kind: ClassVar[str] = "metric"
    samples: int = Field(default=2000, ge=1)
    """Number of examples to measure."""

    @classmethod
    def example_data(cls) -> DatasetConfig | None:
        """Return the data set that the conformance kit measures; with None, it measures the kit's labelled images."""
        return None

    def perfect_samples(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that the metric reads, as perfect generators would make them from a batch of the data."""
        return {name: batch[name] if name in batch else batch["real"] for name in self.tensors()}

    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """Return the lowest and highest value that each result may have for `perfect_samples`, by the result's name."""
        return {}

    def tensors(self) -> tuple[str, ...]:
        """Return the names of the tensors that the metric reads."""
        raise NotImplementedError

    def check(self, game: Game) -> None:
        """Refuse a game that lacks what the metric reads apart from `tensors()`.

        Raises:
            BadInput: When the game lacks it. The error's `path` leads to a setting, relative to this config.
        """

    def build(self, data: DatasetConfig) -> protocols.Metric:
        """Make the metric for this data set; no examples have been added to it yet."""
        raise NotImplementedError


class TurnConditionConfig(Component):
    """A condition under which a turn is taken; otherwise the turn is skipped in that step."""

    kind: ClassVar[str] = "turn condition"

    def check(self, game: Game) -> None:
        """Refuse a game that lacks what the condition reads.

        Raises:
            BadInput: When the game lacks it. The error's `path` leads to the setting, relative to this config.
        """

    def build(self) -> protocols.TurnCondition:
        """Make the condition."""
        raise NotImplementedError


class BalancerConfig(Component):
    """A rule that computes the weights of a turn's terms from the gradients of the terms."""

    kind: ClassVar[str] = "balancer"

    at: str
    """What the gradients are taken with respect to: a named tensor such as `fake`, or a parameter of a player such as
    `generator.decoder.conv_out.weight`. The name of a player alone means the parameter `last_layer` of its network."""
    terms: tuple[str, ...] = Field(min_length=1)
    """Names of the terms that are given weights, as in the log."""

    def gradient_terms(self) -> tuple[str, ...]:
        """Return the names of the terms whose gradients the rule reads."""
        return self.terms

    def check(self, game: Game) -> None:
        """Refuse a game that lacks anything that the rule reads apart from `at` and `terms`.

        Raises:
            BadInput: When the game lacks it. The error's `path` leads to the setting, relative to this config.
        """

    def build(self) -> nn.Module:
        """Make the rule: a `protocols.Balancer`. Its buffers are saved in checkpoints."""
        raise NotImplementedError


class LoggerConfig(Component):
    """A receiver of the scalars and pictures of a run."""

    kind: ClassVar[str] = "logger"

    def build(self) -> object:
        """Make an object whose methods marked with `ganframe.hookimpl` are called during a run."""
        raise NotImplementedError


class OptimizerConfig(Component):
    """The optimizer of players of a turn."""

    kind: ClassVar[str] = "optimizer"
    default_type = "adam"
    lr: Annotated[Scheduled, Bounds(ge=0)] = 2e-4
    """Learning rate; a number or a schedule."""
    clip_gradient_norm: float | None = Field(default=None, gt=0)
    """The largest L2 norm of the gradient of all parameters of this optimizer together; a longer gradient is scaled
    down to it. No limit when left out. The logged `gradient norm` is the norm before clipping."""
    groups: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    """Settings of single parameter groups, which replace those of the optimizer: `{mapping: {lr: 2.0e-5}}`. A key is
    the name that a network gives a group in its method `parameter_groups`."""

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        """Check the settings of each group like those of the optimizer, and keep them as plain data."""
        for name, settings in self.groups.items():
            for key in sorted(settings.keys() & _NOT_OF_A_GROUP):
                message = f"a group has the {key!r} of its optimizer" if key != "groups" else "a group has no groups"
                raise validation_error("unknown_setting", message, ("groups", name, key), settings[key])
            try:
                checked = self.of_group(name).model_dump(mode="json")
            except ValidationError as problem:
                details = [
                    error_detail(error["type"], error["msg"], ("groups", name, *error["loc"]), error["input"])
                    for error in problem.errors(include_url=False)
                ]
                raise ValidationError.from_exception_data(self._own_name(), details) from None
            settings.update({key: checked[key] for key in settings})
        return self

    def of_group(self, name: str) -> Self:
        """Return the config of a parameter group: this one, with the group's settings in place of the optimizer's.

        Args:
            name: The name of the group, a key of `groups`.
        """
        return type(self).model_validate(self.model_dump(exclude={"groups"}) | self.groups[name])

    def build(self, parameters: Sequence[nn.Parameter]) -> protocols.Optimizer:
        """Make the optimizer of these parameters, in one parameter group that holds the settings.

        This method ignores the settings `groups` and `clip_gradient_norm`, which the trainer applies.
        """
        raise NotImplementedError

    @classmethod
    def default(cls) -> OptimizerConfig:
        """Return the config of the optimizer of a turn for which an experiment names none."""
        return cast(OptimizerConfig, cls.from_value({}))

    def is_scheduled(self) -> bool:
        """Return whether any setting is a schedule. If so, the trainer calls `settings` before each optimizer step."""
        values = (each for _, value in self for each in (value if isinstance(value, tuple) else (value,)))
        return any(isinstance(each, ScheduleConfig) for each in values)

    def settings(self, images: int, total: int) -> dict[str, Any]:
        """Return the values of the parameter group after `images` of the `total` real examples of a run were seen."""
        return {"lr": value_at(self.lr, images, total)}


_NOT_OF_A_GROUP = frozenset({"type", "clip_gradient_norm", "groups"})
"""The settings of a whole optimizer, which a parameter group cannot have."""

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
"""The base class of every kind, in the order in which kinds are listed."""
