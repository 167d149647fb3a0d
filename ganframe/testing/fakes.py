"""Stand-ins: small networks, games and data sets, so that a component can be checked without any other plugin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from typing_extensions import override

from ganframe.config.component import Component
from ganframe.config.component_kinds import BalancerConfig, DatasetConfig, GameConfig
from ganframe.config.networks import DiscriminatorConfig, EncoderConfig, GeneratorConfig
from ganframe.config.tensor_specs import DataSpec, SampleSpec, TensorSpec, parts
from ganframe.config.terms import LossConfig
from ganframe.data.dataset import Dataset
from ganframe.data.tensor_data import TensorData
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.protocols import Loss
from ganframe.game.round import Round
from ganframe.game.samples import Sample, sample_parts
from ganframe.game.separable_loss import SeparableLoss
from ganframe.game.turn import Turn
from ganframe.game.wrapper import Wrapper
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
    if issubclass(cls, BalancerConfig):
        settings = {"at": "fake", "terms": ["first", "second"], **settings}
    hints = get_type_hints(cls)
    for name, field in cls.model_fields.items():
        if field.is_required() and name not in settings:
            settings[name] = _fake_component(cls, name, hints[name])
    return cls.model_validate(settings)


def _fake_component(cls: type[Component], name: str, annotation: Any) -> Component:
    for base, fake in (
        (GeneratorConfig, FakeGenerator),
        (DiscriminatorConfig, FakeDiscriminator),
        (EncoderConfig, FakeEncoder),
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
    heads: int = 0
    """Number of heads of logits; 0 for a network without heads."""

    @override
    def build(self, *, sample: SampleSpec, condition: SampleSpec | None = None) -> nn.Module:
        network = _Discriminator(sample, condition, self.classes)
        return _SeveralHeads(network, self.heads) if self.heads else network


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


class _SeveralHeads(Wrapper):
    """A discriminator whose heads are multiples of one output."""

    def __init__(self, network: nn.Module, heads: int) -> None:
        super().__init__(network)
        self.head_names = tuple(f"head {number}" for number in range(1, heads + 1))

    def forward(self, sample: Sample, condition: Sample | None = None) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.network(sample, condition)
        heads = [replace(output, logits=output.logits * number) for number in range(1, len(self.head_names) + 1)]
        return replace(DiscriminatorOutput.of_heads(heads), class_logits=output.class_logits)


class FakeEncoder(EncoderConfig):
    """A stand-in for an encoder: convolutions with fixed random weights, then logits of classes."""

    type: Literal["stub"] = "stub"

    @override
    def build(self) -> nn.Module:
        return _Encoder()


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=2)
        self.classify = nn.Linear(8, CLASSES)
        for name, parameter in self.named_parameters():
            parameter.data = RANDOMNESS.normal(name, tuple(parameter.shape))
        self.requires_grad_(False).eval()

    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        rgb = sample.expand(-1, 3, -1, -1)
        maps = self.convolution(rgb).relu()
        return maps, self.classify(maps.mean(dim=(2, 3)))


def _embeddings(condition: SampleSpec | None, size: int) -> nn.ModuleList:
    """Return one layer for each tensor of the condition, which maps the tensor to `size` numbers."""
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
    """A data spec that has a tensor of every name: class labels for `label`, images for any other name.

    Args:
        specs: The specs of tensors that are something else.
    """

    def __init__(self, specs: DataSpec | None = None) -> None:
        self._specs: dict[str, TensorSpec] = dict(specs or {})

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
        name: torch.arange(size * math.prod(spec.shape)).reshape(size, *spec.shape) % spec.classes
        if spec.classes is not None
        else Randomness(seed).uniform(name, (size, *spec.shape)) * 2 - 1
        for name, spec in data.items()
    }


def random_sample(name: str, spec: SampleSpec, size: int = BATCH, seed: int = 0) -> Sample:
    """Return a random batch of samples: one tensor, or a tuple of tensors if `spec` is a tuple.

    Args:
        name: The name of the draw.
        spec: The spec of a sample, or those of its tensors.
        size: Number of examples.
        seed: Seed of the draw.
    """
    named = {f"{name} {index}" if index else name: part for index, part in enumerate(parts(spec))}
    drawn = tuple(random_batch(named, size, seed).values())
    return drawn if isinstance(spec, tuple) else drawn[0]


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


class _Logistic(SeparableLoss):
    def real_loss(self, logits: Tensor) -> Tensor:
        return softplus(-logits)

    def fake_loss(self, logits: Tensor) -> Tensor:
        return softplus(logits)


class FakeLoss(LossConfig):
    """A stand-in for a loss: binary cross entropy, non-saturating for the generator."""

    type: Literal["stub"] = "stub"

    @override
    def build(self) -> Loss:
        return _Logistic()


class FakeGame(Game):
    """A stand-in for a game: it has one contest, a discriminator's turn and a generator's turn.

    A batch may have all tensors, `fake` included. If `fake` is left out, the generator makes it from `latent`.

    Args:
        names: Names of tensors in the batch, other than `real` and `fake`.
        specs: Specs of tensors in the batch that are neither images nor labels under the name `label`.
    """

    inputs = ()
    output = "fake"
    pictures = ("fake",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def __init__(self, names: tuple[str, ...] = (), specs: DataSpec | None = None) -> None:
        data = AnyData(specs)
        for name in ("real", "fake", *names):
            _ = data[name]
        super().__init__(data)

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        """Draw latents."""
        return game_round.randomness.normal("latent", (game_round.size, *LATENT.shape))

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """Return the generator's samples."""
        return self.players["generator"](game_round["latent"])

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


def grown(network: nn.Module) -> nn.Module:
    """Let a network that grows become as large as the images of its spec, and return it."""
    if hasattr(network, "grow"):
        network.grow(1)  # pyright: ignore[reportCallIssue]
    return network


def with_built_players(game: Game) -> Game:
    """Build the players of a game from a fixed seed, and return the game.

    Raises:
        BadInput: When a network does not fit its player spec.
    """
    torch.manual_seed(0)
    game.set_players({name: grown(spec.build()) for name, spec in game.player_specs().items()})
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
