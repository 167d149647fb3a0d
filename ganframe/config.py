"""Component configs: frozen pydantic models that name their `type` and build the live object.

A *kind base* (`LossConfig`, `GameConfig`, ...) has no `type`. Used as a field annotation it stands for the union of
all configs of its kind that the installed packages register: a mapping with a `type`, a bare type name, or an
instance. Importing this module, or any module that only defines configs, never imports torch.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    ModelWrapValidatorHandler,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from ganframe.specs import DataSpec, SampleSpec, TensorSpec

if TYPE_CHECKING:
    from pydantic.annotated_handlers import GetCoreSchemaHandler, GetJsonSchemaHandler
    from torch import Tensor, nn

    from ganframe import protocols
    from ganframe.game import Game

ZeroCase = Literal["tensors are equal", "samples are equal", "the judge is flat", "the judge has slope one"]
"""Cases in which a regularizer may vanish: all tensors that it reads are the same; the samples of a batch are all the
same; the discriminator's logits are constant; their gradient has norm 1 everywhere."""

Source = Literal["latent", "sample"]
"""What a generator starts from: random numbers, or a sample of another domain."""


class Settings(BaseModel):
    """A frozen model that refuses unknown keys; field docstrings are its manual."""

    # Deferred: to list types, as `--help` does, nothing has to be validated.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True, allow_inf_nan=False
    )

    @model_validator(mode="wrap")
    @classmethod
    def _known_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse unknown keys, with the setting that was probably meant, beside whatever else is wrong."""
        if not isinstance(value, Mapping):
            return handler(value)
        given = cast(Mapping[Any, Any], value)
        known = list(cls.__pydantic_fields__)
        owner = cls._own_name()
        details: list[InitErrorDetails] = []
        meant = set[str]()
        for key in (str(key) for key in given if key not in known):
            near = difflib.get_close_matches(key, known, 1)
            meant.update(near)
            hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known)}"
            details.append(_detail("unknown_setting", f"{owner} has no setting {key!r}; {hint}", (key,), key))
        if not details:
            return handler(value)
        try:
            handler({key: each for key, each in given.items() if key in known})
        except ValidationError as problem:
            details += [
                _detail(each["type"], each["msg"], each["loc"], each["input"])
                for each in problem.errors(include_url=False)
                if each["type"] != "missing" or each["loc"][0] not in meant
            ]
        raise ValidationError.from_exception_data(owner, details)

    @classmethod
    def _own_name(cls) -> str:
        return cls.__name__.lower()


class Component(Settings):
    """One configurable part: `type` says which, `build()` makes the live object."""

    kind: ClassVar[str] = ""
    """Which kind of component this is; set by the kind base."""
    default_type: ClassVar[str | None] = None
    """The type that a mapping without a `type` is of; set by a kind base where there is one that is usual."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names under which configs may ask for this type."""
    paper: ClassVar[str] = ""
    """Where the component comes from: authors, year, title or equation."""

    @classmethod
    def example(cls, folder: FilePath) -> dict[str, Any]:
        """Settings with which the config can be built, for the conformance kit.

        Fields that are required and hold another component need not be given.

        Args:
            folder: An empty folder, where a data set may write what it is to read.
        """
        return {}

    @classmethod
    def type_name(cls) -> str:
        """The value of the `type` literal; empty for a kind base."""
        field = cls.__pydantic_fields__.get("type")
        return "" if field is None else str(field.default)

    def schedules(self) -> dict[str, ScheduleConfig]:
        """The settings that follow a schedule."""
        return {name: value for name, value in self if isinstance(value, ScheduleConfig)}

    @classmethod
    def _own_name(cls) -> str:
        return f"{cls.kind} {cls.type_name()!r}"

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return inspect.getdoc(cls).splitlines()[0] if cls.__doc__ else ""  # pyright: ignore[reportOptionalMemberAccess]

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """A concrete config validates as itself, a kind base as the union of what is installed."""
        if cls.type_name() or not cls.kind:
            return handler(source)
        return core_schema.no_info_plain_validator_function(
            cls._choose,
            serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A kind base is a placeholder that `ganframe.schema` resolves to the union."""
        if cls.type_name() or not cls.kind:
            return handler(schema)
        return {"x-ganframe-kind": cls.kind}

    @classmethod
    def _choose(cls, value: object) -> Component:
        """Turn an instance, a mapping or a type name into a config of this kind."""
        from ganframe.plugins import installed  # noqa: PLC0415  the plugins import this module

        if isinstance(value, cls):
            return value
        if isinstance(value, Component):
            message = f"{with_article(value.kind)} stands where {with_article(cls.kind)} is needed"
            raise _refused("wrong_kind", message, (), value)
        settings: dict[str, Any]
        if isinstance(value, str):
            settings = {"type": value}
        elif isinstance(value, Mapping):
            settings = dict(cast(Mapping[str, Any], value))
        else:
            raise _refused(
                "component", f"{with_article(cls.kind)} is a type name or a mapping with a `type`", (), value
            )
        registry = installed().registry
        name = settings.get("type", cls.default_type)
        if not isinstance(name, str):
            known = ", ".join(registry.types(cls.kind))
            raise _refused("missing_type", f"this {cls.kind} has no `type`; installed: {known}", (), value)
        found = registry.find(cls.kind, name)
        if isinstance(found, str):
            broken = ", ".join(plugin.package for plugin in installed().plugins if plugin.error)
            hint = f" (broken and left out: {broken}; see `ganframe plugins`)" if broken else ""
            raise _refused("unknown_type", found + hint, ("type",), name)
        return found.model_validate(settings | {"type": found.type_name()})


def with_article(kind: str) -> str:
    """A kind of component as it stands in a sentence: `an optimizer`."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _detail(code: str, message: str, loc: tuple[str | int, ...], value: object) -> InitErrorDetails:
    # Braces would be read as placeholders of pydantic's message template.
    text = message.replace("{", "{{").replace("}", "}}")
    return InitErrorDetails(type=PydanticCustomError(cast(Any, code), cast(Any, text)), loc=loc, input=value)


def _refused(code: str, message: str, loc: tuple[str | int, ...], value: object) -> ValidationError:
    return ValidationError.from_exception_data("component", [_detail(code, message, loc, value)])


def _dump(value: Component, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return value.model_dump(mode=info.mode, exclude_defaults=info.exclude_defaults) | {"type": value.type_name()}


class ScheduleConfig(Component):
    """A number that changes over a run, as a function of the images seen."""

    kind: ClassVar[str] = "schedule"

    def at(self, images: int, total: int) -> float:
        """The value once `images` of `total` real examples were seen."""
        raise NotImplementedError

    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest value that the schedule may take."""
        raise NotImplementedError


def _scheduled_tag(value: object) -> str:
    return "schedule" if isinstance(value, (ScheduleConfig, Mapping)) else "number"


Scheduled = Annotated[
    Annotated[FiniteFloat, Tag("number")] | Annotated[ScheduleConfig, Tag("schedule")],
    Discriminator(_scheduled_tag),
]
"""A number, or a schedule of numbers."""


@dataclass(frozen=True)
class Bounds:
    """What a scheduled number has to keep to: `Annotated[Scheduled, Bounds(ge=0)]`.

    Attributes:
        ge: The lowest value.
        le: The highest value.
        lt: What every value is below.
    """

    ge: float = -math.inf
    le: float = math.inf
    lt: float = math.inf

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check once the number or schedule itself is known to be one."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: float | ScheduleConfig) -> float | ScheduleConfig:
        low, high = value.extremes() if isinstance(value, ScheduleConfig) else (value, value)
        if low < self.ge:
            raise ValueError(f"{low:g} is below {self.ge:g}")
        if high > self.le:
            raise ValueError(f"{high:g} is above {self.le:g}")
        if high >= self.lt:
            raise ValueError(f"{high:g} is not below {self.lt:g}")
        return value


def some(names: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse an empty list where to name nothing would mean to do nothing."""
    if not names:
        raise ValueError("name at least one here, or leave this out")
    return names


def value_at(scheduled: float | ScheduleConfig, images: int, total: int) -> float:
    """The number that a scheduled setting has once `images` of `total` were seen."""
    return scheduled.at(images, total) if isinstance(scheduled, ScheduleConfig) else scheduled


def first_value(scheduled: float | ScheduleConfig) -> float:
    """The number that a scheduled setting begins with; `build` gives it to the live object.

    Where the setting is a schedule, the trainer sets the live object's attribute of the setting's name to the value
    of each step before the step is taken.
    """
    return value_at(scheduled, 0, 1)


class GeneratorConfig(Component):
    """A network that makes samples."""

    kind: ClassVar[str] = "generator"
    starts_from: ClassVar[Source] = "latent"
    """Whether the network takes a latent, or a sample of another domain."""
    conditional: ClassVar[bool] = False
    """Whether the network can take a condition."""
    gives: ClassVar[frozenset[str]] = frozenset()
    """What the live network offers beside `forward` that a term may need, such as `log_prob`."""

    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        """Make the network: a `protocols.Generator`.

        Args:
            output: One sample to be made.
            source: One sample to start from; None where the network starts from a latent.
            condition: The condition of one sample; None for an unconditional network.

        Raises:
            BadInput: When the network cannot have such an output.
        """
        raise NotImplementedError


class DiscriminatorConfig(Component):
    """A network that judges samples."""

    kind: ClassVar[str] = "discriminator"
    conditional: ClassVar[bool] = False
    """Whether the network can take a condition."""
    gives: ClassVar[frozenset[str]] = frozenset()
    """What a verdict has beside logits: `features`, `class_logits`."""
    second_order: ClassVar[bool] = True
    """Whether a gradient penalty can be differentiated through the network."""
    batch_coupled: ClassVar[bool] = False
    """Whether one sample's verdict depends on the rest of the batch."""

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        """Make the network: a `protocols.Discriminator`.

        Args:
            sample: What is judged: one tensor, or several together.
            condition: The condition of one sample; None for an unconditional network.

        Raises:
            BadInput: When the network does not fit the sample.
        """
        raise NotImplementedError


class LabelPolicyConfig(Component):
    """A change to the targets that the discriminator is trained towards."""

    kind: ClassVar[str] = "label policy"

    def build(self) -> protocols.LabelPolicy:
        """Make the policy."""
        raise NotImplementedError


class TermConfig(Component):
    """Something that adds a scalar to the objective of a turn."""

    weight: Scheduled = 1.0
    """Factor of the term in the objective; a number or a schedule."""
    every: int = Field(default=1, ge=1)
    """Take part in each k-th turn only, with the weight times k."""
    turns: Annotated[tuple[str, ...], AfterValidator(some)] | None = None
    """Names of the turns that the term joins; when left out, those of a regularizer's side, or of a loss's contests."""
    reads: ClassVar[frozenset[str]] = frozenset()
    """What the term reads of a verdict beside logits: `features`, `class_logits`."""
    batch_coupled: ClassVar[bool] = False
    """Whether the term is more than a mean over examples: on several devices each then computes it over all of them."""

    def check(self, game: Game) -> None:
        """Refuse a game that lacks what the term needs, beyond what its class and `tensors()` say.

        Args:
            game: The game, before its players are seated; `game.roles()` says who they will be.

        Raises:
            BadInput: With the path of the setting, from this config on.
        """


class LossConfig(TermConfig):
    """An adversarial loss: scores contests for both sides."""

    kind: ClassVar[str] = "loss"
    takes_targets: ClassVar[bool] = True
    """Whether the discriminator's side follows soft or flipped targets."""
    signed: ClassVar[bool] = True
    """Whether larger logits mean more real; a loss that compares sets knows no direction."""
    boundary: ClassVar[float | None] = 0.0
    """The logit above which a sample counts as taken for real; None where the loss has no such point."""
    contests: Annotated[tuple[str, ...], AfterValidator(some)] | None = None
    """Names of the contests to score; all of the game's when left out."""
    labels: tuple[LabelPolicyConfig, ...] = ()
    """Label policies, applied in order to the discriminator's targets."""

    def build(self) -> protocols.Loss:
        """Make the loss."""
        raise NotImplementedError


class RegularizerConfig(TermConfig):
    """Any other term: a gradient penalty, a cycle, a distance, a diversity."""

    kind: ClassVar[str] = "regularizer"
    side: ClassVar[Literal["discriminator", "generator", "both"]] = "generator"
    """Whether the term belongs to the turns of discriminators, of the other players, or of both."""
    input_gradients: ClassVar[frozenset[Literal["real", "fake"]]] = frozenset()
    """The contest sides whose samples the term differentiates by."""
    differentiates_twice: ClassVar[bool] = False
    """Whether the term differentiates by samples of its own, such as points between reals and fakes."""
    calls: ClassVar[frozenset[str]] = frozenset()
    """Methods of generators that the term calls beside `forward`, such as `log_prob`: what their `gives` must name."""
    zero_when: ClassVar[ZeroCase | None] = None
    """A case in which theory says that the term is 0; the conformance kit tries it."""

    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that the term reads from the round."""
        return ()

    def leaves(self) -> tuple[str, ...]:
        """Names of the tensors that the term differentiates by; the round makes them require a gradient."""
        return ()

    def build(self) -> protocols.Regularizer:
        """Make the regularizer."""
        raise NotImplementedError


class GameConfig(Component):
    """Who plays, what tensors a batch becomes, who judges what, and in which turns the players move."""

    kind: ClassVar[str] = "game"
    share_round: bool = False
    """Make the tensors of a step once and share them between its turns: one generator forward a step."""

    def build(self, data: DataSpec) -> Game:
        """Make the game for data of this shape; its players are seated later.

        Raises:
            BadInput: When the data lacks a tensor that the game needs.
        """
        raise NotImplementedError


class DatasetConfig(Component):
    """A source of named tensors."""

    kind: ClassVar[str] = "dataset"

    def spec(self) -> DataSpec:
        """The tensors of one example, found without reading all of the data.

        Raises:
            BadInput: When the data is missing or cannot be read.
        """
        raise NotImplementedError

    def build(self) -> protocols.Dataset:
        """Open the data.

        Raises:
            BadInput: When the data is missing or cannot be read.
        """
        raise NotImplementedError

    def held_out(self) -> DatasetConfig | None:
        """The examples of the same source that are not trained on; None where there are none."""
        return None


class AugmentationConfig(Component):
    """A differentiable change to whatever a discriminator sees."""

    kind: ClassVar[str] = "augmentation"
    off: ClassVar[Mapping[str, Any]] = {}
    """Settings at which the augmentation is the identity."""

    def check(self, game: Game, losses: Sequence[LossConfig]) -> None:
        """Refuse a game or losses that the augmentation does not fit.

        Args:
            game: The game, before its players are seated; the `sample` of a judge's role is what is augmented.
            losses: The losses of the run.

        Raises:
            BadInput: With the path of the setting, from this config on.
        """

    def build(self) -> nn.Module:
        """Make the augmentation: a `protocols.Augmentation`."""
        raise NotImplementedError


class MetricConfig(Component):
    """A measure of samples against real data."""

    kind: ClassVar[str] = "metric"
    samples: int = Field(default=2000, ge=1)
    """How many examples to measure."""

    @classmethod
    def example_data(cls) -> DatasetConfig | None:
        """Data that the conformance kit may measure; some labelled images when None."""
        return None

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that the metric reads, as perfect players would make them from a batch of the data."""
        return {name: batch[name] if name in batch else batch["real"] for name in self.tensors()}

    def at_identity(self) -> Mapping[str, tuple[float, float]]:
        """Bounds of each result for perfect samples."""
        return {}

    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that the metric reads."""
        raise NotImplementedError

    def build(self, data: DatasetConfig) -> protocols.Metric:
        """Make an empty measurement over this data."""
        raise NotImplementedError


class EncoderConfig(Component):
    """A frozen network whose activations say how alike two samples are."""

    kind: ClassVar[str] = "encoder"

    def build(self) -> nn.Module:
        """Make the network: a `protocols.Encoder`.

        Raises:
            BadInput: When its weights are missing or damaged.
        """
        raise NotImplementedError


class LoggerConfig(Component):
    """A subscriber to the scalars and pictures of a run."""

    kind: ClassVar[str] = "logger"

    def build(self) -> object:
        """Make an object with `ganframe.hookimpl` methods for the life of a run."""
        raise NotImplementedError


class OptimizerConfig(Component):
    """What moves the parameters in a turn."""

    kind: ClassVar[str] = "optimizer"
    default_type = "adam"
    lr: Annotated[Scheduled, Bounds(ge=0)] = 2e-4
    """Learning rate; a number or a schedule."""

    def build(self, parameters: Sequence[nn.Parameter]) -> protocols.Optimizer:
        """Make the optimizer over these parameters."""
        raise NotImplementedError

    def is_scheduled(self) -> bool:
        """Whether a setting follows a schedule, so that `settings` is asked anew before each step."""
        values = (each for _, value in self for each in (value if isinstance(value, tuple) else (value,)))
        return any(isinstance(each, ScheduleConfig) for each in values)

    def settings(self, images: int, total: int) -> dict[str, Any]:
        """The param-group values once `images` of `total` were seen."""
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
    ScheduleConfig,
)
"""Every kind base, in the order in which listings show them."""
