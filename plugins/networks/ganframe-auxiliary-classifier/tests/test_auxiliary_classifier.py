"""Both discriminators and the cross entropy, against values worked out by hand."""

import math
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from ganframe_auxiliary_classifier import AuxiliaryClassification, ClassHead, Projection
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load, load_config, train
from ganframe.config import (
    BadInput,
    DiscriminatorConfig,
    DiscriminatorTransform,
    Experiment,
    SampleSpec,
    TensorSpec,
    built_from,
)
from ganframe.game import Contest, DiscriminatorOutput, Game, Randomness, Round, Turn
from ganframe.testing.fakes import CPU
from ganframe.training.assembly import assemble

double = {"dtype": torch.float64}
LABEL = TensorSpec((), classes=4)
IMAGE = TensorSpec((3, 8, 8))


class Identity(nn.Module):
    """The class logits are the sample."""

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(sample.sum(1), class_logits=sample)


class Plain(Game):
    inputs = ()
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))


class TwoContests(Plain):
    contests = (
        Contest("discriminator", real="real", fake="fake", name="one"),
        Contest("discriminator", real="real", fake="other", name="two"),
    )


def cost(turn: str, game_type: type[Game] = Plain, config: AuxiliaryClassification | None = None, **batch: Any) -> Any:
    game = game_type({})
    game.set_players({"discriminator": Identity(), "generator": nn.Linear(1, 1)})
    game_round = Round(game, batch, size=2, device=CPU, randomness=Randomness(0))
    game_round = game_round.in_turn(next(candidate for candidate in game.turns if candidate.name == turn))
    return (config or AuxiliaryClassification()).build().forward(game_round)


REAL, FAKE, LABELS = ([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]], [[0.0, 0.0, 0.0], [1.0, -1.0, 0.0]], [0, 2])
"""Known class logits of two examples each, whose classes are 0 and 2."""


def entropy(logits: list[list[float]], labels: list[int]) -> float:
    rows = zip(logits, labels, strict=True)
    return sum(math.log(sum(map(math.exp, row))) - row[label] for row, label in rows) / len(labels)


def sides() -> dict[str, Tensor]:
    tensors = {name: torch.tensor(logits, **double) for name, logits in (("real", REAL), ("fake", FAKE))}
    return tensors | {"label": torch.tensor(LABELS)}


def test_the_discriminator_pays_for_both_sides_and_the_generator_for_fakes():
    assert cost("discriminator", **sides()).item() == pytest.approx(entropy(REAL, LABELS) + entropy(FAKE, LABELS))
    assert cost("generator", **sides()).item() == pytest.approx(entropy(FAKE, LABELS))


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_equal_logits_cost_the_log_of_the_number_of_classes(classes: int):
    flat = {"real": torch.zeros(2, classes, **double), "fake": torch.full((2, classes), 7.0, **double)}
    assert cost("discriminator", **flat, label=torch.tensor([0, 1])).item() == pytest.approx(2 * math.log(classes))


@pytest.mark.parametrize(("height", "classes"), [(3.0, 4), (-2.0, 10)])
def test_one_raised_logit(height: float, classes: int):
    """-log(e^h / (e^h + n - 1)) where the label's logit is h and the others are 0."""
    labels = torch.tensor([1, 3])
    logits = height * nn.functional.one_hot(labels, classes).double()
    found = cost("generator", real=logits, fake=logits, label=labels).item()
    assert found == pytest.approx(math.log(1 + (classes - 1) * math.exp(-height)))


def test_each_side_has_labels_of_its_own():
    config = AuxiliaryClassification(real_label="source", fake_label="target")
    batch = sides() | {"source": torch.tensor([1, 1]), "target": torch.tensor([2, 0])}
    assert cost("discriminator", config=config, **batch).item() == pytest.approx(
        entropy(REAL, [1, 1]) + entropy(FAKE, [2, 0])
    )
    assert cost("generator", config=config, **batch).item() == pytest.approx(entropy(FAKE, [2, 0]))
    assert config.tensors() == ("source", "target")
    assert AuxiliaryClassification().tensors() == ("label",)


def test_the_costs_of_contests_are_summed():
    batch = sides() | {"other": torch.tensor(REAL, **double)}
    assert cost("generator", TwoContests, **batch).item() == pytest.approx(
        entropy(FAKE, LABELS) + entropy(REAL, LABELS)
    )


def test_derivatives_of_the_cross_entropy():
    real, fake = (torch.tensor(logits, **double, requires_grad=True) for logits in (REAL, FAKE))

    def value(real: Tensor, fake: Tensor) -> Tensor:
        return cost("discriminator", real=real, fake=fake, label=torch.tensor(LABELS))

    assert torch.autograd.gradcheck(value, (real, fake))
    assert torch.autograd.gradgradcheck(value, (real, fake))


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_large_logits_stay_finite(dtype: torch.dtype, size: float):
    fake = torch.tensor([[size, -size], [-size, size]], dtype=dtype, requires_grad=True)
    value = cost("generator", real=fake, fake=fake, label=torch.tensor([1, 1]))
    value.backward()
    assert value.item() == pytest.approx(size, rel=0.01)
    assert bool(fake.grad.isfinite().all())


class Inner(DiscriminatorConfig):
    """A discriminator of images with two features: a map, and its sums."""

    type: Literal["inner"] = "inner"
    provides = frozenset({"features"})
    conditional = True
    patches: bool = False
    """Return four logits for each sample."""

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        return InnerNetwork(self.patches, condition)


class InnerNetwork(nn.Module):
    def __init__(self, patches: bool, condition: TensorSpec | None) -> None:
        super().__init__()
        self.scale, self.patches = nn.Parameter(torch.tensor(2.0)), patches
        self.built_for = condition
        self.norm = nn.BatchNorm2d(3)

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        assert (condition is None) == (self.built_for is None), "built for another game"
        maps = self.scale * sample
        logits = self.norm(maps).sum((1, 2, 3))
        logits = logits[:, None, None, None].expand(-1, 1, 2, 2) if self.patches else logits
        return DiscriminatorOutput(logits, features=(maps, maps.flatten(1).sum(1, keepdim=True)))


class WithoutFeatures(Inner):
    """A discriminator without features."""

    type: Literal["without-features"] = "without-features"  # pyright: ignore[reportIncompatibleVariableOverride]
    provides = frozenset()

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        return Identity()


def draws(*shape: int) -> Tensor:
    return Randomness(0).normal("sample", shape)


@pytest.mark.parametrize(("layer", "inputs"), [(0, 192), (1, 1), (-1, 1)])
def test_the_head_is_a_linear_layer_over_the_flattened_feature(layer: int, inputs: int):
    network = ClassHead(of=Inner(), classes=5, layer=layer).build(sample=IMAGE)
    sample = draws(2, 3, 8, 8)
    found = network(sample)
    feature = found.features[layer].flatten(1)
    assert network.classify.weight.shape == (5, inputs)
    torch.testing.assert_close(found.class_logits, feature @ network.classify.weight.T + network.classify.bias)
    torch.testing.assert_close(found.logits, network.network(sample).logits)


def test_the_head_hides_the_condition_from_the_inner_discriminator():
    config = ClassHead(of=Inner())
    network = config.build(sample=IMAGE, condition=LABEL)
    assert config.conditional
    assert network.network.built_for is None
    assert network(draws(2, 3, 8, 8), torch.tensor([0, 3])).class_logits.shape == (2, 4)


def test_the_head_passes_the_condition_on_if_it_is_not_hidden():
    config = ClassHead(of=Inner(), hide_condition=False)
    network = config.build(sample=IMAGE, condition=LABEL)
    assert config.conditional
    assert network.network.built_for == LABEL
    assert network(draws(2, 3, 8, 8), torch.tensor([0, 3])).class_logits.shape == (2, 4)


class Unchanged(DiscriminatorTransform):
    """The discriminator itself."""

    type: Literal["unchanged"] = "unchanged"

    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        return network


@pytest.mark.parametrize("outer", [ClassHead, Projection])
def test_a_transform_inside_is_remembered(outer: Any):
    """So that its settings follow schedules and its hooks are called."""
    inner = Inner()
    unchanged = Unchanged(of=inner)
    network = outer(of=unchanged).build(sample=IMAGE, condition=LABEL)
    assert [config for config, _ in built_from(network)] == [inner, unchanged]
    assert all(live is network.network for _, live in built_from(network))
    assert network.network.built_for is None


def test_the_outputs_of_the_networks():
    assert ClassHead(of=Inner()).provides == {"features", "class_logits"}
    assert Projection(of=Inner()).provides == {"features"}


def test_finding_the_shape_of_a_feature_leaves_the_network_as_it_was():
    for config in (ClassHead(of=Inner(), classes=2), Projection(of=Inner())):
        network = config.build(sample=IMAGE, condition=LABEL if isinstance(config, Projection) else None)
        assert network.network.training
        assert network.network.norm.running_mean.tolist() == [0, 0, 0]
        assert network.network.norm.num_batches_tracked.item() == 0


def test_samples_of_several_tensors():
    pair = (TensorSpec((2,)), TensorSpec((3,)))
    network = ClassHead.model_validate({"of": {"type": "mlp", "hidden": [7]}, "classes": 3}).build(sample=pair)
    assert network((draws(4, 2), draws(4, 3))).class_logits.shape == (4, 3)


@pytest.mark.parametrize("patches", [False, True])
def test_the_projection_is_the_inner_product_with_the_pooled_feature(patches: bool):
    network = Projection(of=Inner(patches=patches), layer=0).build(sample=IMAGE, condition=LABEL)
    sample, labels = draws(3, 3, 8, 8), torch.tensor([1, 3, 1])
    with torch.no_grad():
        network.embed.weight.copy_(torch.arange(12.0).view(4, 3))
    found, plain = network.eval()(sample, labels), network.network(sample)
    pooled = 2 * sample.sum((2, 3))
    expected = torch.stack([pooled[0] @ torch.tensor([3.0, 4, 5]), pooled[1] @ torch.tensor([9.0, 10, 11])])
    added = (found.logits - plain.logits).reshape(3, -1)
    assert added.shape[1] == (4 if patches else 1)
    torch.testing.assert_close(added[:2], expected[:, None].expand(-1, added.shape[1]), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(
        added[2], (pooled[2] @ torch.tensor([3.0, 4, 5])).expand(added.shape[1]), rtol=1e-4, atol=1e-3
    )


def test_a_condition_of_numbers_is_projected_by_a_matrix():
    network = Projection(of=Inner(), layer=0).build(sample=IMAGE, condition=TensorSpec((5,)))
    sample, condition = draws(2, 3, 8, 8), draws(2, 5)
    added = network.eval()(sample, condition).logits - network.network(sample).logits
    expected = (condition @ network.embed.weight.T * 2 * sample.sum((2, 3))).sum(1)
    torch.testing.assert_close(added, expected, rtol=1e-3, atol=1e-3)
    assert [tuple(parameter.shape) for parameter in network.embed.parameters()] == [(3, 5)]


def test_the_embedding_is_initialised_small():
    network = Projection(of=Inner(), layer=0).build(sample=IMAGE, condition=TensorSpec((), classes=10_000))
    assert network.embed.weight.std().item() == pytest.approx(0.02, rel=0.02)


REFUSALS = [
    (ClassHead(of=WithoutFeatures(), classes=3), None, "reads features, which 'without-features' does not return"),
    (Projection(of=WithoutFeatures()), LABEL, "reads features, which 'without-features' does not return"),
    (ClassHead(of=Inner(), classes=3, layer=2), None, "returns 2 features, and none has the index 2"),
    (ClassHead(of=Inner()), None, "needs the number of classes"),
    (ClassHead(of=Inner()), TensorSpec((5,)), "condition is not a class label"),
    (ClassHead(of=Inner(), classes=3), LABEL, "has 3 classes"),
    (Projection(of=Inner()), None, "the game has none"),
]


@pytest.mark.parametrize(("config", "condition", "message"), REFUSALS)
def test_networks_that_do_not_fit_are_refused(config: Any, condition: TensorSpec | None, message: str):
    with pytest.raises(BadInput, match=message):
        config.build(
            sample=TensorSpec((4,)) if config.of.type_name() == "without-features" else IMAGE, condition=condition
        )


def test_zero_classes_are_refused():
    with pytest.raises(ValidationError):
        ClassHead(of=Inner(), classes=0)


def experiment(discriminator: dict[str, Any], **changes: Any) -> Experiment:
    generator = {"type": "mlp", "latent": 4, "hidden": [16], "output": "linear"}
    settings = {
        "game": {"type": "adversarial", "generator": generator, "discriminator": discriminator, "condition": "label"},
        "losses": ["non-saturating"],
        "regularizers": ["auxiliary-classification"],
        "data": "ring",
        "train": {"images": 64, "device": "cpu"},
    }
    return Experiment.model_validate(settings | changes)


def test_the_term_needs_class_logits():
    assemble(experiment({"type": "class-head", "of": "mlp"}))
    with pytest.raises(BadInput, match="reads class_logits, which 'mlp' does not"):
        assemble(experiment({"type": "mlp"}))


def agreement(run: Any) -> float:
    """Return the share of 2000 samples whose nearest mode is that of their label."""
    labels = torch.arange(2000) % 8
    angles = torch.arange(8) * math.pi / 4
    centres = torch.stack([angles.cos(), angles.sin()], dim=1)
    samples = load(run.path).sample(2000, labels=labels)
    return (torch.cdist(samples, centres).argmin(1) == labels).float().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["class-head", "projection"])
def test_samples_come_from_the_mode_of_their_label(kind: str, tmp_path: Path):
    """The preset at a third of its length, and the same with a projection instead; chance is 0.125."""
    settings = load_config("ac-gan-ring").model_dump(mode="json")
    settings["game"]["discriminator"]["type"] = kind
    settings["train"] |= {"images": 200_000, "device": "cpu"}
    if kind == "projection":
        settings["regularizers"] = settings["regularizers"][1:]
        for name in ("classes", "hide_condition"):
            settings["game"]["discriminator"].pop(name)
    assert agreement(train(Experiment.model_validate(settings), out=tmp_path / "run")) >= 0.99
