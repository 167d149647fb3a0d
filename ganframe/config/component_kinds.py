"""The kinds of components that are neither networks nor terms: games, data sets, augmentations, metrics and others.

The base class of a kind, such as `LossConfig` or `GameConfig`, has no `type`. A field that is annotated with it accepts
all configs of that kind that installed packages register: as a mapping with a `type`, as the name of a type alone, or
as an instance. Importing this module, or any module that only defines configs, never imports torch.
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
    """The game of a run: its networks, the named tensors made from each batch, and the turns (optimizer steps)."""

    kind: ClassVar[str] = "game"
    share_round: bool = False
    """Make the named tensors of a batch once for all turns (optimizer steps) of a training step, so that the generator
    runs only once."""

    def example_specs(self) -> DataSpec | None:
        """Return the specs of the data with which the conformance kit tests the game.

        If None, the kit supplies images under every name that the game asks for, and class labels under `label`. A game
        that reads anything else must override this: `{"text": TensorSpec((16,)), "age": TensorSpec((), classes=9)}`.
        """
        return None

    def example_objective(self, game_round: Round) -> Tensor | None:
        """Return a scalar in place of the objective of `game_round.turn`, for the conformance kit.

        The kit tests that this scalar gives every player of the turn a gradient. If None, the kit computes one from the
        logits of the turn's contests and the tensors that the game makes. A game must override this if it has a player
        that influences none of these, because only terms call the player's network.
        """
        return None

    def build(self, data: DataSpec) -> Game:
        """Build the game. Its networks are set later, with `set_players`.

        Args:
            data: The specs of the data's tensors, by name.

        Raises:
            BadInput: When the data lacks a tensor that the game needs.
        """
        raise NotImplementedError


class DatasetConfig(Component):
    """A data set: a source of named tensors, such as images and their class labels."""

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
        """Return the config of the held-out examples (test split) of the same source; None if there are none."""
        return None


class AugmentationConfig(Component):
    """A differentiable change to every sample that a discriminator sees."""

    kind: ClassVar[str] = "augmentation"
    batch_coupled: ClassVar[bool] = False
    """Whether the change of one sample depends on the rest of the batch."""
    identity_settings: ClassVar[Mapping[str, Any]] = {}
    """Settings with which the augmentation leaves every sample unchanged. The conformance kit tests this."""
    contests: Annotated[tuple[str, ...], AfterValidator(non_empty)] | None = None
    """Names of the contests whose discriminators see changed samples; all contests if left out."""

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
        """Build the augmentation, which must follow the protocol `ganframe.game.protocols.Augmentation`."""
        raise NotImplementedError


class MetricConfig(Component):
    """A metric of samples, most often in comparison with real data."""

    kind: ClassVar[str] = "metric"
    samples: int = Field(default=2000, ge=1)
    """Number of examples to measure."""

    @classmethod
    def example_data(cls) -> DatasetConfig | None:
        """Return the data set with which the conformance kit tests the metric; if None, the kit's labelled images."""
        return None

    def perfect_samples(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that the metric reads, as a perfect generator would make them from a batch of the data."""
        return {name: batch[name] if name in batch else batch["real"] for name in self.tensors()}

    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """Return the lowest and highest allowed value of each result for `perfect_samples`, by the result's name."""
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
        """Build the metric for this data set, before its first update."""
        raise NotImplementedError


class TurnConditionConfig(Component):
    """A rule that decides in each training step whether a turn (optimizer step) is taken or skipped."""

    kind: ClassVar[str] = "turn condition"

    def check(self, game: Game) -> None:
        """Refuse a game that lacks what the condition reads.

        Raises:
            BadInput: When the game lacks it. The error's `path` leads to the setting, relative to this config.
        """

    def build(self) -> protocols.TurnCondition:
        """Build the condition."""
        raise NotImplementedError


class BalancerConfig(Component):
    """A rule that computes the weights of losses and regularizers from their gradients."""

    kind: ClassVar[str] = "balancer"

    at: str
    """The tensor or parameter with respect to which gradients are taken: a named tensor such as `fake`, or a parameter
    of a player such as `generator.decoder.conv_out.weight`. A player alone stands for its network's `last_layer`."""
    terms: tuple[str, ...] = Field(min_length=1)
    """Names of the terms to weigh, as in the log."""

    def gradient_terms(self) -> tuple[str, ...]:
        """Return the names of the terms whose gradients the rule reads."""
        return self.terms

    def check(self, game: Game) -> None:
        """Refuse a game that lacks anything that the rule reads apart from `at` and `terms`.

        Raises:
            BadInput: When the game lacks it. The error's `path` leads to the setting, relative to this config.
        """

    def build(self) -> nn.Module:
        """Build the rule, which must follow the protocol `ganframe.game.protocols.Balancer`.

        Checkpoints save its buffers.
        """
        raise NotImplementedError


class LoggerConfig(Component):
    """A receiver of the scalars and pictures of a run."""

    kind: ClassVar[str] = "logger"

    def build(self) -> object:
        """Build the logger. Its methods marked with `ganframe.hookimpl` are called during a run."""
        raise NotImplementedError


class OptimizerConfig(Component):
    """The optimizer of the players that a turn trains."""

    kind: ClassVar[str] = "optimizer"
    default_type = "adam"
    lr: Annotated[Scheduled, Bounds(ge=0)] = 2e-4
    """Learning rate; a number or a schedule."""
    clip_gradient_norm: float | None = Field(default=None, gt=0)
    """Maximum L2 norm of the gradient of all parameters of this optimizer together; a longer gradient is scaled down to
    it. No maximum if left out. The logged `gradient norm` is the norm before clipping."""
    groups: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    """Settings of single parameter groups, which replace those of the optimizer: `{mapping: {lr: 2.0e-5}}`. The keys
    are names of groups from the networks' method `parameter_groups`."""

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        """Validate the settings of each group like those of the optimizer, and keep them as plain data."""
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
        """Build the optimizer of these parameters, with a single parameter group.

        `groups` and `clip_gradient_norm` must be ignored here: the trainer applies them.
        """
        raise NotImplementedError

    @classmethod
    def default(cls) -> OptimizerConfig:
        """Return the config of the optimizer for a turn that the setting `optimizers` does not name."""
        return cast(OptimizerConfig, cls.from_value({}))

    def is_scheduled(self) -> bool:
        """Return whether any setting is a schedule. If so, the trainer calls `settings` before each optimizer step."""
        values = (each for _, value in self for each in (value if isinstance(value, tuple) else (value,)))
        return any(isinstance(each, ScheduleConfig) for each in values)

    def settings(self, images: int, total: int) -> dict[str, Any]:
        """Return the settings of the parameter group after `images` of the `total` real examples of a run."""
        return {"lr": value_at(self.lr, images, total)}


_NOT_OF_A_GROUP = frozenset({"type", "clip_gradient_norm", "groups"})
"""Settings of an optimizer that a parameter group cannot have."""

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
