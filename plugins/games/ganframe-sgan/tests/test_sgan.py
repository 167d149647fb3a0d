"""Semi-supervised GAN: the labelled examples, the softmax over C + 1 classes, and the game."""

import math
import pickle
from typing import Literal

import pytest
import torch
from ganframe_sgan import Classification, ClassificationAccuracy, PartlyLabelled, SGANDiscriminator, SGANGame
from ganframe_sgan.dataset import choose
from hypothesis import given, settings
from hypothesis import strategies as st

from ganframe.config import BadInput, DatasetConfig, TensorSpec
from ganframe.data import TensorData
from ganframe.game import Round
from ganframe.testing.fakes import (
    CPU,
    RANDOMNESS,
    FakeDiscriminator,
    FakeGame,
    FakeGenerator,
    make_round,
    with_built_players,
)


class Numbered(DatasetConfig):
    """Example i is a vector whose number is i, of class i % 4, but class 3 is rare."""

    type: Literal["numbered"] = "numbered"
    start: int = 0
    """Number of the first example."""

    def spec(self):
        return {"real": TensorSpec((1,)), "label": TensorSpec((), classes=4)}

    def build(self):
        numbers = torch.arange(self.start, self.start + 400)
        labels = torch.where((numbers % 4 == 3) & (numbers % 100 > 20), 0, numbers % 4)
        return TensorData({"real": numbers[:, None].float(), "label": labels})

    def held_out(self):
        return Numbered(start=1000) if self.start == 0 else None


class WithoutLabels(Numbered):
    """Data without labels."""

    def spec(self):
        return {"real": TensorSpec((1,))}


def label_of(numbers):
    return torch.where((numbers % 4 == 3) & (numbers % 100 > 20), 0, numbers % 4)


# Partly labelled data.


@given(st.integers(4, 60), st.integers(0, 5))
@settings(deadline=None)
def test_labelled_examples_are_balanced(labels, seed):
    chosen = choose(Numbered().build(), labels, 4, seed)
    assert len(set(chosen)) == labels
    counts = label_of(torch.tensor(chosen)).bincount(minlength=4)
    assert counts.max() - counts.min() <= 1


def test_batches_have_all_examples_and_only_the_known_labels():
    data = PartlyLabelled(data=Numbered(), labels=20).build()
    assert len(data) == 400
    known = {}
    for at in range(30):
        batch = data.fetch(range(0, 400, 4), RANDOMNESS.at(at))
        assert batch["real"].flatten().tolist() == list(range(0, 400, 4))
        known |= dict(zip(batch["labelled"].flatten().tolist(), batch["label"].tolist(), strict=True))
    assert len(known) == 20
    assert all(label == label_of(torch.tensor(number)) for number, label in known.items())


def test_draws_are_seeded():
    data = PartlyLabelled(data=Numbered(), labels=20).build()
    first, again, other = (data.fetch(range(10), RANDOMNESS.at(at))["labelled"] for at in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert choose(Numbered().build(), 20, 4, 0) == choose(Numbered().build(), 20, 4, 0)
    assert choose(Numbered().build(), 20, 4, 0) != choose(Numbered().build(), 20, 4, 1)


def test_all_labels_are_known_when_left_out_and_in_held_out_data():
    config = PartlyLabelled(data=Numbered(), labels=20)
    for every in (PartlyLabelled(data=Numbered()), config.held_out()):
        batch = every.build().fetch([5, 6], RANDOMNESS)
        assert torch.equal(batch["labelled"], batch["real"])
        assert batch["label"].tolist() == [1, 2]
    assert config.held_out().build().fetch([0], RANDOMNESS)["real"].item() == 1000
    assert config.held_out().held_out() is None


def test_a_worker_gets_the_same_batches():
    data = PartlyLabelled(data=Numbered(), labels=20).build()
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(data.fetch([1, 2], RANDOMNESS)["labelled"], copy.fetch([1, 2], RANDOMNESS)["labelled"])


def test_invalid_numbers_of_labels_are_refused():
    with pytest.raises(BadInput, match="3 labels are fewer than the 4 classes"):
        PartlyLabelled(data=Numbered(), labels=3).spec()
    with pytest.raises(BadInput, match="class 3 has too few examples for 200 labels"):
        PartlyLabelled(data=Numbered(), labels=200).build()
    with pytest.raises(BadInput, match="does not give `real` with class labels"):
        PartlyLabelled(data=WithoutLabels()).spec()


def test_an_error_of_the_inner_data_has_the_path_of_its_setting():
    class Missing(Numbered):
        def spec(self):
            raise BadInput("there is no such folder", path=("path",))

    with pytest.raises(BadInput) as caught:
        PartlyLabelled(data=Missing()).spec()
    assert caught.value.path == ("data", "path")


# The discriminator.


def discriminator(classes=10, side=28, **more):
    torch.manual_seed(0)
    return SGANDiscriminator(classes=classes, channels=4, **more).build(sample=TensorSpec((1, side, side)))


def outputs(network, images):
    """Return the output, and all C + 1 outputs of the last layer."""
    recorded = []
    handle = network.classify.register_forward_hook(lambda module, inputs, outputs: recorded.append(outputs))
    output = network(images)
    handle.remove()
    return output, recorded[0]


def test_the_logit_is_that_of_the_softmax_over_all_classes():
    network = discriminator().double().eval()
    with torch.no_grad():
        network.classify.weight.mul_(30)
    output, every = outputs(network, torch.randn(8, 1, 28, 28, dtype=torch.float64))
    probabilities = every.softmax(dim=1)
    assert every.shape == (8, 11)
    torch.testing.assert_close(output.logits.sigmoid(), probabilities[:, :10].sum(dim=1))
    given_real = probabilities[:, :10] / probabilities[:, :10].sum(dim=1, keepdim=True)
    torch.testing.assert_close(output.class_logits.softmax(dim=1), given_real)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_outputs_stay_finite(size):
    network = discriminator().eval()
    with torch.no_grad():
        network.classify.bias.copy_(torch.linspace(-1, 1, 11) * size)
    images = torch.randn(2, 1, 28, 28, requires_grad=True)
    output = network(images)
    torch.nn.functional.softplus(-output.logits).mean().backward()
    assert output.logits.isfinite().all()
    assert images.grad.isfinite().all()


@pytest.mark.parametrize("side", [4, 5, 28, 32, 64])
def test_any_image(side):
    output = discriminator(3, side)(torch.randn(2, 1, side, side))
    assert output.logits.shape == (2,)
    assert output.class_logits.shape == (2, 3)


def test_other_samples_are_refused():
    for sample in (TensorSpec((5,)), (TensorSpec((1, 8, 8)), TensorSpec((1, 8, 8)))):
        with pytest.raises(BadInput, match="takes one image"):
            SGANDiscriminator().build(sample=sample)


# The term and the metric.


def given_logits(logits, labels):
    game = FakeGame(("class_logits", "label"))
    return make_round(game, {"class_logits": torch.tensor(logits), "label": torch.tensor(labels)})


def test_cross_entropy_of_uniform_and_certain_logits():
    term = Classification().build()
    uniform = term.forward(given_logits([[3.0] * 10] * 2, [4, 7]))
    assert float(uniform) == pytest.approx(math.log(10))
    certain = [[0.0, 100.0], [100.0, 0.0]]
    assert float(term.forward(given_logits(certain, [1, 0]))) == pytest.approx(0)
    assert float(term.forward(given_logits(certain, [0, 1]))) == pytest.approx(100)


def test_accuracy_is_the_share_of_correct_classifications():
    metric = ClassificationAccuracy().build(Numbered())
    logits = torch.eye(4)[[0, 1, 2, 3, 0]]
    metric.update({"class_logits": logits, "label": torch.tensor([0, 1, 2, 0, 1])})
    assert metric.compute() == {"accuracy": 0.6}


# The game.


def data_spec(classes=4):
    image = TensorSpec((3, 16, 16))
    return {"real": image, "labelled": image, "label": TensorSpec((), classes=classes)}


def make(discriminator=None, classes=4, **more):
    config = SGANGame(generator=FakeGenerator(), discriminator=discriminator or FakeDiscriminator(), **more)
    return with_built_players(config.build(data_spec(classes)))


def test_class_logits_are_those_of_the_labelled_examples():
    game = make(SGANDiscriminator(classes=4, channels=4, dropout=0))
    batch = {name: torch.randn(2, 3, 16, 16) for name in ("real", "labelled")} | {"label": torch.tensor([0, 1])}
    game_round = Round(game, batch, size=2, device=CPU, randomness=RANDOMNESS)
    with game.only_trainable(game.turns[0].players):
        game_round = game_round.in_turn(game.turns[0])
        expected = game.players["discriminator"](batch["labelled"]).class_logits
        assert torch.equal(game_round["class_logits"], expected)
        Classification().build().forward(game_round).backward()
    assert all(parameter.grad is not None for parameter in game.players["discriminator"].parameters())
    assert all(parameter.grad is None for parameter in game.players["generator"].parameters())


def test_classes_must_be_those_of_the_data():
    with pytest.raises(BadInput, match="'sgan' has 10 classes, but the data's label is one of 4 classes") as caught:
        make(SGANDiscriminator())
    assert caught.value.path == ("discriminator", "classes")


def test_a_discriminator_that_does_not_classify_is_refused():
    class Plain(FakeDiscriminator):
        provides = frozenset({"features"})

    with pytest.raises(BadInput, match="does not classify"):
        make(Plain())


def test_sharing_a_round_is_refused():
    with pytest.raises(BadInput, match="cannot share a round"):
        make(share_round=True)
