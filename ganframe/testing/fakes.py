"""Small stand-ins, so that a component can be checked without any other plugin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import torch
from torch import Tensor, nn

from ganframe.config.component import Component
from ganframe.config.kinds import DatasetConfig, GameConfig
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.specs import DataSpec, SampleSpec, TensorSpec, parts
from ganframe.data.dataset import Dataset
from ganframe.data.memory import TensorData
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game, tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness

CLASSES = 4
BATCH = 4
IMAGE = TensorSpec((3, 16, 16))
LABEL = TensorSpec((), classes=CLASSES)
CPU = torch.device("cpu")
SEEDED = Randomness(0)


def example_of(cls: type[Component], folder: Path) -> Component:
    """A config to check: the package's example, with stand-ins for required components."""
    settings: dict[str, Any] = cls.example(folder)
    hints = get_type_hints(cls)
    for name, field in cls.model_fields.items():
        if field.is_required() and name not in settings:
            settings[name] = _stand_in(cls, name, hints[name])
    return cls.model_validate(settings)


def _stand_in(cls: type[Component], name: str, annotation: Any) -> Component:
    for base, stub in (
        (GeneratorConfig, FakeGenerator),
        (DiscriminatorConfig, FakeDiscriminator),
        (DatasetConfig, FakeData),
        (GameConfig, FakeGameConfig),
    ):
        if base is annotation or base in get_args(annotation):
            return stub()
    raise AssertionError(f"`{name}` is required: let {cls.__name__}.example() give a value for it")


class FakeGenerator(GeneratorConfig):
    """One linear layer from a latent, or from a sample, to a sample."""

    type: Literal["stub"] = "stub"
    conditional = True
    provides = frozenset({"log_prob"})
    from_sample: bool = False
    """Start from a sample."""

    @property
    def starts_from(self) -> Literal["latent", "sample"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the network takes."""
        return "sample" if self.from_sample else "latent"

    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        """See base class."""
        return _Generator(output, source, condition)


class _Generator(nn.Module):
    def __init__(self, output: TensorSpec, source: TensorSpec | None, condition: TensorSpec | None) -> None:
        super().__init__()
        self.latent_shape = (3,)
        self.shape = output.shape
        size = 3 if source is None else math.prod(source.shape)
        self.layer = nn.Linear(size, math.prod(output.shape))
        self.embed = _embedding(condition, math.prod(output.shape))

    def forward(self, source: Tensor, condition: Tensor | None = None) -> Tensor:
        made = self.layer(source.flatten(1)) + _embedded(self.embed, condition)
        return made.tanh().unflatten(1, self.shape)

    def log_prob(self, sample: Tensor, condition: Tensor | None = None) -> Tensor:
        """The log-density of samples `(B,)`: that of N(bias, 1) in each number."""
        off = sample.flatten(1) - self.layer.bias - _embedded(self.embed, condition)
        return -0.5 * (off.square() + math.log(2 * math.pi)).sum(1)


class FakeDiscriminator(DiscriminatorConfig):
    """Two linear layers from a sample to a logit and class logits."""

    type: Literal["stub"] = "stub"
    conditional = True
    provides = frozenset({"features", "class_logits"})
    classes: int = CLASSES
    """How many class logits there are."""

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        """See base class."""
        return _Discriminator(sample, condition, self.classes)


class _Discriminator(nn.Module):
    def __init__(self, sample: SampleSpec, condition: TensorSpec | None, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Linear(sum(math.prod(part.shape) for part in parts(sample)), 8)
        self.judge = nn.Linear(8, 1)
        self.classify = nn.Linear(8, classes)
        self.embed = _embedding(condition, 1)

    def forward(self, sample: Tensor | tuple[Tensor, ...], condition: Tensor | None = None) -> DiscriminatorOutput:
        flat = torch.cat([part.flatten(1) for part in (sample if isinstance(sample, tuple) else (sample,))], dim=1)
        hidden = self.trunk(flat).tanh()
        logits = self.judge(hidden) + _embedded(self.embed, condition)
        return DiscriminatorOutput(logits.flatten(), features=(hidden,), class_logits=self.classify(hidden))


def _embedding(condition: TensorSpec | None, size: int) -> nn.Module | None:
    if condition is None:
        return None
    return (
        nn.Linear(math.prod(condition.shape), size)
        if condition.classes is None
        else nn.Embedding(condition.classes, size)
    )


def _embedded(embed: nn.Module | None, condition: Tensor | None) -> Tensor:
    if embed is None or condition is None:
        return torch.zeros(())
    return embed(condition) if isinstance(embed, nn.Embedding) else embed(condition.flatten(1))


class AnyData(Mapping[str, TensorSpec]):
    """A data spec that has every tensor that is asked for: labels by that name, otherwise images."""

    def __init__(self) -> None:
        self._asked: dict[str, TensorSpec] = {}

    def __getitem__(self, name: str) -> TensorSpec:
        """The spec of a tensor."""
        return self._asked.setdefault(name, LABEL if name == "label" else IMAGE)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a tensor: always."""
        return isinstance(name, str) and bool(self[name])

    def __iter__(self) -> Iterator[str]:
        """The names asked for so far."""
        return iter(self._asked)

    def __len__(self) -> int:
        """How many names were asked for so far."""
        return len(self._asked)


def batch_of(data: DataSpec, size: int = BATCH, seed: int = 0) -> dict[str, Tensor]:
    """A batch of random tensors: images in [-1, 1], labels in turn."""
    return {
        name: torch.arange(size) % spec.classes
        if spec.classes is not None
        else Randomness(seed).uniform(name, (size, *spec.shape)) * 2 - 1
        for name, spec in data.items()
    }


class FakeData(DatasetConfig):
    """Images whose mean brightness says which class they belong to."""

    type: Literal["stub"] = "stub"

    def spec(self) -> DataSpec:
        """Names `real` and `label`."""
        return {"real": IMAGE, "label": LABEL}

    def build(self) -> Dataset:
        """See base class."""
        labels = torch.arange(400) % CLASSES
        level = (labels.float() / (CLASSES - 1) * 1.6 - 0.8)[:, None, None, None]
        noise = SEEDED.normal("stub data", (400, *IMAGE.shape)) * 0.1
        return TensorData({"real": (level + noise).clamp(-1, 1), "label": labels})

    def held_out(self) -> DatasetConfig:
        """See base class."""
        return self


class FakeGame(Game):
    """A game whose batch brings every tensor, with one contest and the usual two turns."""

    inputs = ()
    output = "fake"
    pictures = ("fake",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        data = AnyData()
        for name in ("real", "fake", *names):
            _ = data[name]
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        """See base class."""
        return {
            "generator": PlayerSpec(FakeGenerator(), ("generator",), IMAGE),
            "discriminator": PlayerSpec(FakeDiscriminator(), ("discriminator",), IMAGE),
        }


class _Duel(Game):
    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def player_specs(self) -> dict[str, PlayerSpec]:
        return {
            "generator": PlayerSpec(FakeGenerator(), ("generator",), self.data["real"]),
            "discriminator": PlayerSpec(FakeDiscriminator(), ("discriminator",), self.data["real"]),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """What the generator makes."""
        return self.players["generator"](game_round.randomness.normal("latent", (game_round.size, 3)))


class FakeGameConfig(GameConfig):
    """A stand-in generator against a stand-in discriminator."""

    type: Literal["stub"] = "stub"

    def build(self, data: DataSpec) -> Game:
        """See base class."""
        return _Duel(data)


def with_built_players(game: Game) -> Game:
    """The game with freshly built players.

    Raises:
        BadInput: When a network cannot play its role.
    """
    torch.manual_seed(0)
    game.set_players({name: role.build() for name, role in game.player_specs().items()})
    return game


def round_of(
    game: Game, batch: Mapping[str, Tensor], turn: Turn | None = None, *, shared: bool = False, **entered: Any
) -> Round:
    """A round over a batch, in a turn."""
    size = len(next(iter(batch.values())))
    game_round = Round(game, batch, size=size, device=CPU, randomness=SEEDED, shared=shared)
    if turn is not None:
        game_round = game_round.in_turn(turn, **entered)
    return game_round
