"""The conformance kit over components with one mistake each, and over those that need a word of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pytest
import torch
from pydantic import PrivateAttr
from torch import Tensor, nn

from ganframe import BadInput
from ganframe.config.component_kinds import (
    AugmentationConfig,
    BalancerConfig,
    DatasetConfig,
    GameConfig,
    TurnConditionConfig,
)
from ganframe.config.networks import DiscriminatorConfig, EncoderConfig, GeneratorConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.terms import LossConfig, RegularizerConfig
from ganframe.data.tensor_data import TensorData
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.testing import data, games, networks, terms, turns
from ganframe.testing.fakes import FakeDiscriminator, FakeGenerator


def failure(check: Callable[[Any], None], config: object) -> str:
    """The message of a check for a component that does not pass it."""
    with pytest.raises((AssertionError, BadInput)) as raised:
        check(config)
    return str(raised.value)


def run_all(checks: Mapping[str, Callable[[Any], None]], config: object) -> None:
    for check in checks.values():
        check(config)


# Networks.


class Joint(nn.Module):
    """Says a number of an image and a vector."""

    def __init__(self, sample: Sequence[TensorSpec]) -> None:
        super().__init__()
        self.layer = nn.Linear(sum(map(sizes, sample)), 1)

    def forward(self, sample: tuple[Tensor, ...]) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.layer(torch.cat([part.flatten(1) for part in sample], 1)).tanh().flatten())


class JointConfig(DiscriminatorConfig):
    """Scores an image with its code."""

    type: Literal["joint"] = "joint"

    def build(self, *, sample: Any, condition: Any = None) -> nn.Module:
        if not isinstance(sample, tuple) or [len(part.shape) for part in sample] != [3, 1]:
            raise BadInput("'joint' scores an image with its code")
        return Joint(sample)


def sizes(spec: TensorSpec) -> int:
    return torch.empty(spec.shape).numel()


class Encoder(nn.Module):
    def __init__(self, source: TensorSpec, output: TensorSpec) -> None:
        super().__init__()
        self.layer = nn.Linear(sizes(source), sizes(output))

    def forward(self, sample: Tensor) -> Tensor:
        return self.layer(sample.flatten(1))


class EncoderNetwork(GeneratorConfig):
    """Maps an image to a vector."""

    type: Literal["to-vector"] = "to-vector"
    starts_from = "sample"

    def build(self, *, output: TensorSpec, source: TensorSpec | None = None, condition: Any = None) -> nn.Module:
        if source is None or len(source.shape) != 3 or len(output.shape) != 1:
            raise BadInput("'to-vector' maps an image to a vector")
        return Encoder(source, output)


class Odd(EncoderNetwork):
    """Maps a sound to a sound of half its length."""

    type: Literal["odd"] = "odd"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self, *, output: TensorSpec, source: TensorSpec | None = None, condition: Any = None) -> nn.Module:
        if source is None or source.shape != (1, 2 * output.shape[-1]):
            raise BadInput("'odd' halves a sound")
        return Halving()


class Halving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(1, 1, 2, stride=2)

    def forward(self, sample: Tensor) -> Tensor:
        return self.layer(sample)


class Told(Odd):
    """The same, which tells the kit what it takes."""

    type: Literal["told"] = "told"  # pyright: ignore[reportIncompatibleVariableOverride]

    def example_specs(self) -> Mapping[str, Any]:
        return {"output": TensorSpec((1, 8)), "source": TensorSpec((1, 16))}


@pytest.mark.parametrize(
    ("kind", "config"),
    [("discriminator", JointConfig()), ("generator", EncoderNetwork()), ("generator", Told())],
)
def test_networks_of_pairs_and_of_two_shapes_pass(kind: str, config: Any) -> None:
    run_all({title: check for title, check in networks.CHECKS[kind].items() if title != "compile agrees"}, config)


def test_a_network_that_no_specs_fit_is_told_what_to_override() -> None:
    assert failure(networks.right_shape, Odd()) == (
        "the network accepts none of the specs that the kit tries; return its own from `example_specs` of the config. "
        "The last refusal: 'odd' halves a sound"
    )


class TwoTensors(nn.Module):
    """Makes a vector and a scalar for each example."""

    def __init__(self) -> None:
        super().__init__()
        self.latent_shape = (3,)
        self.layer = nn.Linear(3, 3)

    def forward(self, source: Tensor) -> dict[str, Tensor]:
        sample = self.layer(source)
        return {"sample": sample, "cost": sample.square().mean(1)}


class OfNetwork(GeneratorConfig):
    """Makes three numbers."""

    type: Literal["of"] = "of"
    network: Any = None

    def example_specs(self) -> Mapping[str, Any]:
        return {"output": TensorSpec((3,)), "source": None}

    def build(self, **given: Any) -> nn.Module:
        return self.network()


def test_a_generator_may_make_several_tensors() -> None:
    networks.right_shape(OfNetwork(network=TwoTensors))
    networks.every_parameter_learns(OfNetwork(network=TwoTensors))


class WithSpare(TwoTensors):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(2, 2)


def test_a_parameter_without_a_gradient_is_named_with_a_remedy() -> None:
    assert failure(networks.every_parameter_learns, OfNetwork(network=WithSpare)).startswith(
        "no gradient: spare.weight, spare.bias. Leave them out, freeze them"
    )


class Sound(nn.Module):
    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        return (torch.nn.functional.conv1d(sample, torch.ones(1, 1, 4)),)


class SoundEncoder(EncoderConfig):
    """Hears."""

    type: Literal["sound"] = "sound"

    def example_specs(self) -> Sequence[TensorSpec]:
        return (TensorSpec((1, 32), sample_rate=8),)

    def build(self) -> nn.Module:
        return Sound().eval()


def test_an_encoder_of_sounds_passes() -> None:
    networks.frozen_features(SoundEncoder())


# Games.


class BothKinds(GameConfig):
    """A generator from latents and an encoder of samples, against a judge of pairs."""

    type: Literal["both-kinds"] = "both-kinds"
    generator: GeneratorConfig
    """Makes."""
    encoder: GeneratorConfig
    """Encodes."""
    discriminator: DiscriminatorConfig
    """Judges."""
    spare: bool = False
    """Whether a player only terms call is there."""
    tells: bool = False
    """Whether the kit is told of it."""
    named: str = "generator"
    """The turn of the players that make."""

    def example_objective(self, game_round: Round) -> Any:
        if not self.tells or game_round.turn is None or game_round.turn.name == "discriminator":
            return None
        parameters = [each for name in game_round.turn.players for each in game_round.game.players[name].parameters()]
        return torch.stack([each.square().sum() for each in parameters]).sum()

    def build(self, data: DataSpec) -> Game:
        return Both(self, data)


class Both(Game):
    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    contests = (Contest("discriminator", real="real_pair", fake="fake_pair"),)

    def __init__(self, config: BothKinds, data: DataSpec) -> None:
        self.config = config
        makers = ("generator", "encoder", "spare") if config.spare else ("generator", "encoder")
        self.turns = (Turn("discriminator", ("discriminator",)), Turn(config.named, makers))
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        real, code = self.data["real"], TensorSpec((3,))
        spare = {"spare": PlayerSpec(self.config.encoder, ("encoder",), code, source=real)}
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), real),
            "encoder": PlayerSpec(self.config.encoder, ("encoder",), code, source=real),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), (real, code)),
        } | (spare if self.config.spare else {})

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        return game_round.randomness.normal("latent", (game_round.size, 3))

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"](game_round["latent"])

    @tensor
    def encoded(self, game_round: Round) -> Tensor:
        return self.players["encoder"](game_round["real"])

    @tensor
    def real_pair(self, game_round: Round) -> tuple[Tensor, ...]:
        return game_round["real"], game_round["encoded"]

    @tensor
    def fake_pair(self, game_round: Round) -> tuple[Tensor, ...]:
        return game_round["fake"], game_round["latent"]


def both(**settings: Any) -> BothKinds:
    players: dict[str, Any] = {"generator": FakeGenerator(), "encoder": FakeGenerator()}
    return BothKinds(**players, discriminator=FakeDiscriminator(), **settings)


def test_a_game_with_generators_of_both_kinds_passes() -> None:
    run_all(games.CHECKS["game"], both())


def test_a_player_that_never_moves_fails_with_a_remedy_and_the_remedy_helps() -> None:
    assert failure(games.turns_train_their_players, both(spare=True)) == (
        "spare: nothing in the turn 'generator' depends on the network. Make a tensor with it, name it in a contest, "
        "or override `example_objective` of the config if terms call it"
    )
    games.turns_train_their_players(both(spare=True, tells=True))


def test_two_turns_of_one_name_fail() -> None:
    assert "two turns are called 'discriminator'" in failure(games.names_are_known, both(named="discriminator"))


class Aged(GameConfig):
    """Makes a sample of an age, a label of another name."""

    type: Literal["aged"] = "aged"
    generator: GeneratorConfig
    """Makes."""
    discriminator: DiscriminatorConfig
    """Judges."""

    def example_specs(self) -> DataSpec:
        return {"real": TensorSpec((2,)), "age": TensorSpec((), classes=9)}

    def build(self, data: DataSpec) -> Game:
        return OfAge(self, data)


class OfAge(Game):
    inputs = ("real", "age")
    output = "fake"
    pictures = ("fake",)
    label = "age"
    contests = (Contest("discriminator", "real", "fake", real_condition="age", fake_condition="age"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def __init__(self, config: Aged, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)
        if data["age"].classes is None:
            raise BadInput("an age is a class label")

    def player_specs(self) -> dict[str, PlayerSpec]:
        real, age = self.data["real"], self.data["age"]
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), real, condition=age),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), real, condition=age),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"](game_round.randomness.normal("z", (game_round.size, 3)), game_round["age"])


def test_a_game_with_a_label_of_another_name_passes_where_it_tells_its_data() -> None:
    run_all(games.CHECKS["game"], Aged(generator=FakeGenerator(), discriminator=FakeDiscriminator()))


def test_a_game_that_is_refused_says_what_to_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Aged, "example_specs", GameConfig.example_specs)
    text = failure(games.every_maker_works, Aged(generator=FakeGenerator(), discriminator=FakeDiscriminator()))
    assert text.endswith("Return other settings from `example` of the config, or the data from `example_specs`.")


# Terms.


class Composite(RegularizerConfig):
    """The share of the generator's gradient that two costs of its samples have: it has to reach the generator."""

    type: Literal["composite"] = "composite"

    def tensors(self) -> tuple[str, ...]:
        return ("fake",)

    def build(self) -> Any:
        class Share:
            def forward(self, game_round: Round) -> Tensor:
                weight = next(iter(game_round.game.players["generator"].parameters()))
                costs = (game_round["fake"].square().mean(), game_round["fake"].mean())
                norms = [torch.autograd.grad(cost, weight, retain_graph=True)[0].norm() for cost in costs]
                return costs[0] + costs[1] * (norms[0] / norms[1])

        return Share()


def test_a_term_whose_gradient_has_to_reach_a_generator_passes() -> None:
    run_all(terms.CHECKS["regularizer"], Composite())


class Term(RegularizerConfig):
    """Any term."""

    type: Literal["any-term"] = "any-term"
    live: Any = None
    spec: Any = None

    def tensors(self) -> tuple[str, ...]:
        return ("fake", "tokens") if self.spec else ("fake",)

    def example_specs(self) -> DataSpec:
        return {"tokens": self.spec} if self.spec else {}

    def build(self) -> Any:
        return self.live()


class Detached:
    def forward(self, game_round: Round) -> Tensor:
        return game_round["fake"].detach().mean()


class Learned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))

    def forward(self, game_round: Round) -> Tensor:
        return self.used * game_round["fake"].mean()


class OfTokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 2)

    def forward(self, game_round: Round) -> Tensor:
        return self.embedding(game_round["tokens"]).mean()


class Forgetful(nn.Module):
    """Restores nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, game_round: Round) -> Tensor:
        self.seen += 1
        return game_round["fake"].mean()

    def load_state_dict(self, state_dict: Any, **_: Any) -> Any:
        return None


@pytest.mark.parametrize(
    ("check", "live", "message"),
    [
        (terms.depends_on_something, Detached, "the value has no gradient: do not detach what it is computed from"),
        (terms.regularizer_parameters_learn, Learned, "no gradient: spare. Leave them out, or freeze them"),
        (terms.state_round_trip, Forgetful, "not restored: seen"),
    ],
)
def test_a_term_with_a_mistake_is_told(check: Any, live: Any, message: str) -> None:
    assert failure(check, Term(live=live)).startswith(message)


def test_a_term_of_tokens_passes_where_it_tells_their_spec() -> None:
    run_all(terms.CHECKS["regularizer"], Term(live=OfTokens, spec=TensorSpec((7,), classes=5)))


class OfTarget(Term):
    """Reads class labels of another name than `label`."""

    type: Literal["of-target"] = "of-target"  # pyright: ignore[reportIncompatibleVariableOverride]
    requires_outputs = frozenset({"class_logits"})
    tells: bool = True

    def tensors(self) -> tuple[str, ...]:
        return ("label", "target")

    def example_specs(self) -> DataSpec:
        return {"target": TensorSpec((), classes=4)} if self.tells else {}

    def build(self) -> Any:
        class Classes:
            def forward(self, game_round: Round) -> Tensor:
                output = game_round.discriminator_output(game_round.contests[0], "fake")
                return nn.functional.cross_entropy(output.class_logits, game_round["target"])

        return Classes()


def test_a_term_of_labels_of_another_name_passes_where_it_tells_them_and_is_told_to() -> None:
    run_all(terms.CHECKS["regularizer"], OfTarget())
    for check in (terms.finite_scalar, terms.linear_in_weight):
        message = failure(check, OfTarget(tells=False))
        assert message.startswith("the term fails with images as 'target' (RuntimeError: ")
        assert message.endswith("of the config tell so: {'target': TensorSpec((), classes=4)} are class labels")


def test_a_failure_of_a_term_whose_tensors_are_told_is_left_as_it_is() -> None:
    class Broken(OfTokens):
        def forward(self, game_round: Round) -> Tensor:
            raise ZeroDivisionError

    class Told(Term):
        def tensors(self) -> tuple[str, ...]:
            return ("tokens",)

    with pytest.raises(ZeroDivisionError):
        terms.finite_scalar(Told(live=Broken, spec=TensorSpec((7,), classes=5)))


class OfFeatures(LossConfig):
    """Compares features that are maps."""

    type: Literal["of-features"] = "of-features"
    tells: bool = True
    higher_is_real = False

    def example_output(self, logits: Tensor) -> DiscriminatorOutput | None:
        return DiscriminatorOutput(logits, (logits[:, None, None, None].expand(-1, 2, 3, 3),)) if self.tells else None

    def build(self) -> Any:
        class Loss:
            def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
                return (real.features[0][:, :, 0, 0] - fake.features[0][:, :, 0, 0]).mean()

            generator = discriminator

        return Loss()


def test_a_loss_of_outputs_of_its_own_shape_passes_where_it_tells_them() -> None:
    run_all(terms.CHECKS["loss"], OfFeatures())
    with pytest.raises(IndexError):
        terms.gradients_are_right(OfFeatures(tells=False))


# Augmentations.


class Mixing(AugmentationConfig):
    """Mixes each sample with its neighbour."""

    type: Literal["mixing"] = "mixing"

    def build(self) -> nn.Module:
        class Mix(nn.Module):
            def forward(self, sample: Tensor, generator: torch.Generator) -> Tensor:
                return (sample + sample.roll(1, 0)) / 2

        return Mix()


def test_an_augmentation_over_the_batch_says_so() -> None:
    assert failure(data.samples_independent, Mixing()) == (
        "the other samples change: if they should, set `batch_coupled = True`"
    )


# Turn conditions and balancers.


class Condition(TurnConditionConfig):
    """Any condition."""

    type: Literal["any-condition"] = "any-condition"
    decide: Any = None

    def build(self) -> Any:
        return self.decide()


class Draws:
    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        return bool(torch.rand(()) < 0.5)


class Counts:
    def __init__(self) -> None:
        self.asked = 0

    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        self.asked += 1
        return self.asked % 2 == 0


class Halves:
    def is_met(self, rounds: Sequence[Round], step: int) -> Any:
        return step / 2


class Steps:
    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        return step % 3 == 0


@pytest.mark.parametrize(
    ("check", "decide", "message"),
    [
        (
            turns.same_rounds_same_decision,
            Draws,
            "two conditions of one config differ: draw from the randomness of the",
        ),
        (turns.same_rounds_same_decision, Halves, "not True or False: [0.0, 0.5, "),
        (
            turns.decides_without_memory,
            Counts,
            "the decision depends on earlier ones: decide by the rounds and the step",
        ),
    ],
)
def test_a_condition_with_a_mistake_is_told(check: Any, decide: Any, message: str) -> None:
    assert failure(check, Condition(decide=decide)).startswith(message)


def test_a_condition_of_the_step_passes() -> None:
    run_all(turns.CHECKS["turn condition"], Condition(decide=Steps))


class Balances(BalancerConfig):
    """Any balancer."""

    type: Literal["any-balancer"] = "any-balancer"
    at: str = "fake"
    terms: tuple[str, ...] = ("a", "b")
    live: Any = None

    def build(self) -> nn.Module:
        return self.live()


class ByNorm(nn.Module):
    """Divides by the norm of a gradient."""

    epsilon = 1e-9

    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
        return {name: 1 / (gradient.norm() + self.epsilon) for name, gradient in gradients.items()}


class Unsafe(ByNorm):
    epsilon = 0.0


class Negative(ByNorm):
    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
        return {name: -weight for name, weight in super().forward(gradients, weights).items()}


class ByBoth(ByNorm):
    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
        return {name: torch.ones(()) for name in ("a", "b")}


class InPlace(ByNorm):
    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
        for gradient in gradients.values():
            gradient.mul_(2)
        return super().forward(gradients, weights)


class Remembers(ByNorm):
    """Keeps a sum that is in no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.total = torch.ones(())

    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
        self.total = self.total + torch.stack([gradient.norm() for gradient in gradients.values()]).sum()
        return {name: self.total.clone() for name in gradients}


@pytest.mark.parametrize(
    ("check", "live", "message"),
    [
        (turns.weights_are_finite_and_positive, Unsafe, "the weight of 'a' is inf: add a small number to what you"),
        (turns.weights_are_finite_and_positive, Negative, "the weight of 'a' is -"),
        (turns.weights_are_finite_and_positive, ByBoth, "weights of terms that take no part: a"),
        (turns.gradients_untouched, InPlace, "the gradients of a, b were changed in place: make new tensors"),
        (turns.state_round_trip, Remembers, "the next weights differ: keep all that they depend on in buffers"),
    ],
)
def test_a_balancer_with_a_mistake_is_told(check: Any, live: Any, message: str) -> None:
    assert failure(check, Balances(live=live)).startswith(message)


def test_a_balancer_by_norms_passes() -> None:
    run_all(turns.CHECKS["balancer"], Balances(live=ByNorm))


class Shelf(TensorData):
    """Four pictures in files of these names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__({"real": torch.zeros(4, 2)})
        self.names = names

    def file_names(self) -> Sequence[str]:
        return self.names


class ShelfConfig(DatasetConfig):
    """Names its files in one way or another."""

    type: Literal["shelf"] = "shelf"

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((2,))}

    def build(self) -> Shelf:
        return Shelf(next(self._names))

    def named(self, *names: Sequence[str]) -> ShelfConfig:
        self._names = itertools.cycle(names)
        return self

    _names: Any = PrivateAttr()


def test_names_of_files_are_relative_and_the_same_ones_again() -> None:
    data.files_are_named(ShelfConfig().named(["a", "b"]))
    assert "sort the names" in failure(data.files_are_named, ShelfConfig().named(["a", "b"], ["b", "a"]))
    said = failure(data.files_are_named, ShelfConfig().named(["/photos/a.png", "b"]))
    assert said == "'/photos/a.png' changes when the data are moved: name files relative to their folder"
    assert "no list of names" in failure(data.files_are_named, ShelfConfig().named([1]))  # type: ignore[list-item]
