"""Label agreement: the classifier's training, and the count."""

from typing import Literal

import pytest
import torch
from ganframe_digits import Digits
from ganframe_label_agreement import LabelAgreement, classifier

from ganframe.config import BadInput, DatasetConfig, TensorSpec
from ganframe.data import Randomness, TensorData, images_as_floats
from ganframe.testing.fakes import CLASSES, FakeData

SEED = Randomness(0)
CPU = torch.device("cpu")
QUICK = LabelAgreement(steps=60)


class NothingHeldOut(FakeData):
    """Stand-in data without held-out examples."""

    type: Literal["nothing-held-out"] = "nothing-held-out"

    def held_out(self):
        return None


class Shuffled(FakeData):
    """Stand-in data whose held-out labels are wrong."""

    type: Literal["shuffled"] = "shuffled"
    wrong: bool = False
    """Add one to every label."""

    def build(self):
        tensors = super().build().tensors
        shift = int(self.wrong)
        return TensorData({"real": tensors["real"], "label": (tensors["label"] + shift) % CLASSES})

    def held_out(self):
        return Shuffled(wrong=True)


def measured(config, data, real, labels):
    metric = config.build(data)
    metric.update({"fake": real, "label": labels})
    return metric.compute()


@pytest.fixture(scope="module")
def digits():
    return images_as_floats(Digits().held_out().build().fetch(range(1000), SEED))


def test_digits_are_learnt(digits):
    """A thousand held-out digits as samples: agreement is then the classifier's accuracy."""
    results = measured(LabelAgreement(), Digits(), digits["real"], digits["label"])
    assert results["classifier_accuracy"] > 0.975
    assert results["agreement"] == pytest.approx(results["classifier_accuracy"])


def test_samples_of_other_classes_do_not_agree(digits):
    results = measured(LabelAgreement(), Digits(), digits["real"], (digits["label"] + 1) % 10)
    assert results["agreement"] < 0.02
    half = torch.where(torch.arange(1000) % 2 == 0, digits["label"], (digits["label"] + 1) % 10)
    assert measured(LabelAgreement(), Digits(), digits["real"], half)["agreement"] == pytest.approx(0.5, abs=0.02)


def test_noise_agrees_by_chance():
    noise = SEED.uniform("noise", (1000, 1, 28, 28)) * 2 - 1
    results = measured(LabelAgreement(), Digits(), noise, torch.arange(1000) % 10)
    assert results["agreement"] < 0.25


def test_accuracy_is_that_on_the_held_out_examples():
    batch = FakeData().build().fetch(range(100), SEED)
    results = measured(QUICK, Shuffled(), batch["real"], batch["label"])
    assert results["agreement"] == 1
    assert results["classifier_accuracy"] == 0


def test_accuracy_is_left_out_where_nothing_is_held_out():
    batch = FakeData().build().fetch(range(100), SEED)
    assert measured(QUICK, NothingHeldOut(), batch["real"], batch["label"]) == {"agreement": 1.0}


def test_classifier_is_trained_once(monkeypatch):
    trained = []
    train = classifier._train
    monkeypatch.setattr(classifier, "_TRAINED", {})
    monkeypatch.setattr(classifier, "_train", lambda *arguments: trained.append(arguments) or train(*arguments))
    batch = FakeData().build().fetch(range(20), SEED)
    for _ in range(3):
        metric = QUICK.build(FakeData())
        assert len(trained) <= 1
        metric.update({"fake": batch["real"], "label": batch["label"]})
    assert len(trained) == 1
    LabelAgreement(steps=61).build(FakeData()).update({"fake": batch["real"], "label": batch["label"]})
    assert len(trained) == 2


def test_training_is_seeded_and_leaves_the_callers_randomness_alone(monkeypatch):
    weights = []
    for seed in (0, 0, 1):
        monkeypatch.setattr(classifier, "_TRAINED", {})
        torch.manual_seed(len(weights))
        before = torch.get_rng_state()
        network, _ = classifier.trained(LabelAgreement(steps=5, seed=seed), FakeData(), CPU)
        assert torch.equal(before, torch.get_rng_state())
        weights.append(torch.cat([parameter.flatten() for parameter in network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_classifier_can_be_trained_where_gradients_are_off(monkeypatch):
    monkeypatch.setattr(classifier, "_TRAINED", {})
    batch = FakeData().build().fetch(range(100), SEED)
    with torch.no_grad():
        assert measured(QUICK, FakeData(), batch["real"], batch["label"])["agreement"] == 1


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 40), (3, 3, 3), (1, 65, 65)])
def test_any_image(shape):
    network = classifier._network(TensorSpec(shape), 7).eval()
    assert network(torch.zeros(2, *shape)).shape == (2, 7)


class OnlyImages(DatasetConfig):
    """Images without labels."""

    type: Literal["only-images"] = "only-images"

    def spec(self):
        return {"real": TensorSpec((1, 8, 8))}


class OnlyPoints(DatasetConfig):
    """Points with labels."""

    type: Literal["only-points"] = "only-points"

    def spec(self):
        return {"real": TensorSpec((2,)), "label": TensorSpec((), classes=3)}


class NumberLabels(DatasetConfig):
    """Images whose label is not a class."""

    type: Literal["number-labels"] = "number-labels"

    def spec(self):
        return {"real": TensorSpec((1, 8, 8)), "label": TensorSpec((5,))}


@pytest.mark.parametrize("data", [OnlyImages(), OnlyPoints(), NumberLabels()])
def test_other_data_is_refused(data):
    with pytest.raises(BadInput, match="images 'real' and class labels 'label'"):
        LabelAgreement().build(data)
