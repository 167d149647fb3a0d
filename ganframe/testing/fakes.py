"""Stand-ins: small networks, games and data sets, so that a component can be checked without any other plugin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import torch
from torch import Tensor, nn
from typing_extensions import override

from ganframe.config.component import Component
from ganframe.config.component_kinds import DatasetConfig, GameConfig
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.tensor_specs import DataSpec, SampleSpec, TensorSpec, parts
from ganframe.data.dataset import Dataset
from ganframe.data.tensor_data import TensorData
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.samples import Sample, sample_parts
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness

CLASSES = 4
BATCH = 4
IMAGE = TensorSpec((3, 16, 16))
LABEL = TensorSpec((), classes=CLASSES)
LATENT = TensorSpec((3,))
CPU = torch.device("cpu")
RANDOMNESS = Randomness(0)


def example_config(cls: type[Component], folder: Path) -> Component:
    """Return a config to check: the class's `example()`, with stand-ins for required components that it leaves out.

    Args:
        cls: The config class.
        folder: An empty folder, in which a data set may write the files that it reads.

    Raises:
        AssertionError: When a required field has no example and no stand-in.
    """
    settings: dict[str, Any] = cls.example(folder)
    hints = get_type_hints(cls)
    for name, field in cls.model_fields.items():
        if field.is_required() and name not in settings:
            settings[name] = _fake_component(cls, name, hints[name])
    return cls.model_validate(settings)


def _fake_component(cls: type[Component], name: str, annotation: Any) -> Component:
    for base, fake in (
        (GeneratorConfig, FakeGenerator),
        (DiscriminatorConfig, FakeDiscriminator),
        (DatasetConfig, FakeData),
        (GameConfig, FakeGameConfig),
    ):
        if base is annotation or base in get_args(annotation):
            return fake()
    raise AssertionError(f"`{name}` is required: return a value for it from {cls.__name__}.example()")


class FakeGenerator(GeneratorConfig):
    """A stand-in for a generator: one linear layer that makes a sample from a latent or from another sample."""

    type: Literal["stub"] = "stub"
    conditional = True
    several_conditions = True
    provides = frozenset({"log_prob"})
    from_sample: bool = False
    """Whether the network starts from a sample instead of a latent."""

    @property
    def starts_from(self) -> Literal["latent", "sample"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The input of the network: a latent, or a sample of another domain."""
        return "sample" if self.from_sample else "latent"

    @override
    def latent_specs(self) -> Mapping[str, TensorSpec]:
        return {} if self.from_sample else {"latent": LATENT}

    @override
    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: SampleSpec | None = None
    ) -> nn.Module:
        return _Generator(output, source, condition)


class _Generator(nn.Module):
    def __init__(self, output: TensorSpec, source: TensorSpec | None, condition: SampleSpec | None) -> None:
        super().__init__()
        self.latent_shape = LATENT.shape
        self.shape = output.shape
        self.layer = nn.Linear(math.prod((source or LATENT).shape), math.prod(output.shape))
        self.embed = _embeddings(condition, math.prod(output.shape))

    def forward(self, source: Tensor, condition: Sample | None = None) -> Tensor:
        output = self.layer(source.flatten(1)) + _embedded(self.embed, condition)
        return output.tanh().unflatten(1, self.shape)

    def log_prob(self, sample: Tensor, condition: Sample | None = None) -> Tensor:
        """Return the log density of each sample, `(B,)`, under independent normal distributions of its numbers.

        Each has standard deviation 1; its mean is the layer's bias plus the embedded condition.
        """
        deviation = sample.flatten(1) - self.layer.bias - _embedded(self.embed, condition)
        return -0.5 * (deviation.square() + math.log(2 * math.pi)).sum(1)


class FakeDiscriminator(DiscriminatorConfig):
    """A stand-in for a discriminator: two linear layers from a sample to a logit and class logits."""

    type: Literal["stub"] = "stub"
    conditional = True
    several_conditions = True
    provides = frozenset({"features", "class_logits"})
    classes: int = CLASSES
    """Number of class logits."""

    @override
    def build(self, *, sample: SampleSpec, condition: SampleSpec | None = None) -> nn.Module:
        return _Discriminator(sample, condition, self.classes)


class _Discriminator(nn.Module):
    def __init__(self, sample: SampleSpec, condition: SampleSpec | None, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Linear(sum(math.prod(part.shape) for part in parts(sample)), 8)
        self.judge = nn.Linear(8, 1)
        self.classify = nn.Linear(8, classes)
        self.embed = _embeddings(condition, 1)

    def forward(self, sample: Sample, condition: Sample | None = None) -> DiscriminatorOutput:
        flat = torch.cat([part.flatten(1) for part in sample_parts(sample)], dim=1)
        hidden = self.trunk(flat).tanh()
        logits = self.judge(hidden) + _embedded(self.embed, condition)
        return DiscriminatorOutput(logits.flatten(), features=(hidden,), class_logits=self.classify(hidden))


def _embeddings(condition: SampleSpec | None, size: int) -> nn.ModuleList:
    """Return a layer for each tensor of the condition, from it to `size` numbers."""
    return nn.ModuleList(
        nn.Linear(math.prod(part.shape), size) if part.classes is None else nn.Embedding(part.classes, size)
        for part in (() if condition is None else parts(condition))
    )


def _embedded(embed: nn.ModuleList, condition: Sample | None) -> Tensor:
    total = torch.zeros(())
    for layer, part in zip(embed, () if condition is None else sample_parts(condition), strict=False):
        total = total + layer(part if isinstance(layer, nn.Embedding) else part.flatten(1))
    return total


class AnyData(Mapping[str, TensorSpec]):
    """A data spec that has a tensor of every name: class labels for `label`, images for any other name."""

    def __init__(self) -> None:
        self._specs: dict[str, TensorSpec] = {}

    def __getitem__(self, name: str) -> TensorSpec:
        """Return the spec of the tensor of this name."""
        return self._specs.setdefault(name, LABEL if name == "label" else IMAGE)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a tensor of this name: True for every string."""
        return isinstance(name, str) and bool(self[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the tensors whose specs were looked up so far."""
        return iter(self._specs)

    def __len__(self) -> int:
        """Return the number of tensors whose specs were looked up so far."""
        return len(self._specs)


def random_batch(data: DataSpec, size: int = BATCH, seed: int = 0) -> dict[str, Tensor]:
    """Return a random batch of these tensors: numbers in [-1, 1), and labels that cycle through the classes."""
    return {
        name: torch.arange(size) % spec.classes
        if spec.classes is not None
        else Randomness(seed).uniform(name, (size, *spec.shape)) * 2 - 1
        for name, spec in data.items()
    }


class FakeData(DatasetConfig):
    """A stand-in for a data set: 400 images in four classes, which differ in mean brightness."""

    type: Literal["stub"] = "stub"

    def spec(self) -> DataSpec:
        """Return the specs of `real` and `label`."""
        return {"real": IMAGE, "label": LABEL}

    @override
    def build(self) -> Dataset:
        labels = torch.arange(400) % CLASSES
        level = (labels.float() / (CLASSES - 1) * 1.6 - 0.8)[:, None, None, None]
        noise = RANDOMNESS.normal("stub data", (400, *IMAGE.shape)) * 0.1
        return TensorData({"real": (level + noise).clamp(-1, 1), "label": labels})

    @override
    def held_out(self) -> DatasetConfig:
        return self


class FakeGame(Game):
    """A stand-in for a game: it has one contest, a discriminator's turn and a generator's turn.

    The game makes no tensor itself: its batch has all of them, `fake` too.

    Args:
        names: Names of tensors in the batch, other than `real` and `fake`.
    """

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

    @override
    def player_specs(self) -> dict[str, PlayerSpec]:
        return {
            "generator": PlayerSpec(FakeGenerator(), ("generator",), IMAGE),
            "discriminator": PlayerSpec(FakeDiscriminator(), ("discriminator",), IMAGE),
        }


class _TwoPlayerGame(Game):
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
        """Draw latents and return the generator's samples."""
        return self.players["generator"](game_round.randomness.normal("latent", (game_round.size, 3)))


class FakeGameConfig(GameConfig):
    """A stand-in for a game: one stand-in generator against one stand-in discriminator."""

    type: Literal["stub"] = "stub"

    @override
    def build(self, data: DataSpec) -> Game:
        return _TwoPlayerGame(data)


def with_built_players(game: Game) -> Game:
    """Build the players of a game from a fixed seed, and return the game.

    Raises:
        BadInput: When a network does not fit its player spec.
    """
    torch.manual_seed(0)
    game.set_players({name: spec.build() for name, spec in game.player_specs().items()})
    return game


def make_round(
    game: Game, batch: Mapping[str, Tensor], turn: Turn | None = None, *, shared: bool = False, **options: Any
) -> Round:
    """Return a round over a batch.

    Args:
        game: The game.
        batch: The tensors of the batch, each `(B, ...)`.
        turn: The turn of the round; None for a round outside training.
        shared: Whether several turns read the tensors of the round.
        options: Further arguments of `Round.in_turn`, for a round in a turn.
    """
    size = len(next(iter(batch.values())))
    game_round = Round(game, batch, size=size, device=CPU, randomness=RANDOMNESS, shared=shared)
    if turn is not None:
        game_round = game_round.in_turn(turn, **options)
    return game_round
