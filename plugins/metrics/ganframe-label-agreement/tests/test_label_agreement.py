"""Label agreement: the classifier, the count, and how far it can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pytest
import torch
from ganframe_digits import Digits, LeNetDigits
from ganframe_label_agreement import LabelAgreement, classifier
from ganframe_label_agreement.held_out import split
from ganframe_label_agreement.sample_statistics import SampleStatistics, match
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ganframe.config import BadInput, DatasetConfig, TensorSpec
from ganframe.data import Randomness, TensorData, as_float, images_as_floats
from ganframe.testing.fakes import CLASSES, FakeData

SEED = Randomness(0)
CPU = torch.device("cpu")
QUICK = LabelAgreement(steps=60)
LENET = LabelAgreement(classifier=LeNetDigits(layers=("logits",)))
LETTERS = "ABEFHKRS"
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold")


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


class Letters(DatasetConfig):
    """Dark letters on a lighter ground, in five fonts and many sizes, without held-out examples."""

    type: Literal["letters"] = "letters"
    each: int = 60
    """Number of images of each letter."""
    seed: int = 0
    """Seed of fonts, sizes, places and greys."""

    def spec(self):
        return {"real": TensorSpec((1, 20, 20)), "label": TensorSpec((), len(LETTERS), tuple(LETTERS))}

    def build(self):
        draws, folder = np.random.default_rng(self.seed), Path(mpl.get_data_path()) / "fonts/ttf"
        images = []
        for letter in LETTERS * self.each:
            font = ImageFont.truetype(folder / f"{draws.choice(FONTS)}.ttf", int(draws.integers(13, 16)))
            ground = int(draws.integers(190, 210))
            image = Image.new("L", (20, 20), ground)
            place = tuple(draws.uniform(9.5, 10.5, 2))
            ImageDraw.Draw(image).text(place, letter, ground - int(draws.integers(80, 100)), font, anchor="mm")
            images.append(np.asarray(image))
        return TensorData(
            {"real": torch.from_numpy(np.stack(images))[:, None], "label": torch.arange(len(images)) % len(LETTERS)}
        )


def measured(config: LabelAgreement, data: DatasetConfig, samples: Tensor, labels: Tensor) -> dict[str, float]:
    metric = config.build(data)
    metric.update({"fake": samples, "label": labels})
    return metric.compute()


@pytest.fixture(scope="module")
def digits():
    return images_as_floats(Digits().held_out().build().fetch(range(1000), SEED))


def test_with_a_trained_classifier_nothing_is_trained(digits: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(classifier, "_train", None)
    results = measured(LENET, Digits(), digits["real"], digits["label"])
    assert results["classifier_accuracy"] > 0.98
    assert results["agreement"] == pytest.approx(results["classifier_accuracy"])
    assert results["matched_accuracy"] == pytest.approx(results["classifier_accuracy"], abs=0.002)
    assert 0.01 < results["margin"] < 0.05


@pytest.mark.slow
def test_digits_are_learnt(digits: Any):
    """A thousand held-out digits as samples: agreement is then the classifier's accuracy."""
    results = measured(LabelAgreement(), Digits(), digits["real"], digits["label"])
    assert results["classifier_accuracy"] > 0.975
    assert results["agreement"] == pytest.approx(results["classifier_accuracy"])


def test_samples_of_other_classes_do_not_agree(digits: Any):
    results = measured(LENET, Digits(), digits["real"], (digits["label"] + 1) % 10)
    assert results["agreement"] < 0.02
    half = torch.where(torch.arange(1000) % 2 == 0, digits["label"], (digits["label"] + 1) % 10)
    assert measured(LENET, Digits(), digits["real"], half)["agreement"] == pytest.approx(0.5, abs=0.02)


def test_noise_agrees_by_chance_and_the_margin_says_that_nothing_is_known():
    noise = SEED.uniform("noise", (1000, 1, 28, 28)) * 2 - 1
    results = measured(LENET, Digits(), noise, torch.arange(1000) % 10)
    assert results["agreement"] < 0.25
    assert results["classifier_accuracy"] > 0.98
    assert results["matched_accuracy"] < 0.5
    assert results["margin"] > 0.5


@pytest.fixture(scope="module")
def letters() -> LabelAgreement:
    return LabelAgreement(steps=150)


SLOW_ARTEFACTS = [pytest.param(name, marks=pytest.mark.slow) for name in ("checkerboard", "noise", "blur")]


@pytest.mark.parametrize("artefact", ["none", *SLOW_ARTEFACTS])
def test_letters_agree_with_what_is_known_and_with_their_nearest_neighbours(letters: LabelAgreement, artefact: str):
    """Samples are letters that no one trained on, of which 71 of 640 have another class than the requested one.

    The true share is 0.889. The classifier knows real letters in any case; the artefacts are those of generators.
    """
    real, own = (Letters(seed=seed, each=80).build().tensors for seed in (1, 0))
    samples, train = (as_float(tensors["real"]) for tensors in (real, own))
    if artefact == "checkerboard":
        samples = samples + 0.1 * ((torch.arange(20)[:, None] + torch.arange(20)) % 2 * 2.0 - 1)
    elif artefact == "noise":
        samples = samples + 0.1 * SEED.normal("noise", tuple(samples.shape))
    elif artefact == "blur":
        samples = torch.nn.functional.avg_pool2d(samples, 3, stride=1, padding=1, count_include_pad=False)
    wrong = torch.arange(len(samples)) % 9 == 0
    requested = torch.where(wrong, (real["label"] + 1) % 8, real["label"])
    truth = 1 - float(wrong.float().mean())
    nearest = own["label"][torch.cdist(samples.flatten(1), train.flatten(1)).argmin(dim=1)]
    by_neighbours = float((nearest == requested).float().mean())
    error_of_neighbours = float((nearest != real["label"]).float().mean())
    results = measured(letters, Letters(each=80), samples, requested)
    assert results["classifier_accuracy"] > 0.9
    assert results["margin"] < 0.2
    assert abs(results["agreement"] - truth) <= results["margin"]
    assert abs(results["agreement"] - by_neighbours) <= results["margin"] + error_of_neighbours


def test_accuracy_is_that_on_the_held_out_examples():
    batch = FakeData().build().fetch(range(100), SEED)
    results = measured(QUICK, Shuffled(), batch["real"], batch["label"])
    assert results["agreement"] == 1
    assert results["classifier_accuracy"] == 0
    assert results["margin"] == 1


def test_a_tenth_is_held_out_from_the_classifier_where_the_data_holds_out_none():
    examples = split(NothingHeldOut(), seed=0)
    assert (len(examples.training), len(examples.held_out)) == (360, 40)
    everything = {tuple(row) for row in NothingHeldOut().build().tensors["real"].flatten(1).tolist()}
    rows = [
        {tuple(row) for row in part.fetch(range(len(part)), SEED)["real"].flatten(1).tolist()}
        for part in (examples.training, examples.held_out)
    ]
    assert rows[0] | rows[1] == everything
    assert not rows[0] & rows[1]
    places = split(NothingHeldOut(), seed=1).held_out.indices
    assert places == split(NothingHeldOut(), seed=1).held_out.indices != examples.held_out.indices
    batch = FakeData().build().fetch(range(100), SEED)
    results = measured(QUICK, NothingHeldOut(), batch["real"], batch["label"])
    assert results["classifier_accuracy"] == 1
    assert results["margin"] > measured(QUICK, FakeData(), batch["real"], batch["label"])["margin"]


def test_the_margin_by_hand():
    """Of 400 held-out examples none is wrong, and of 100 samples all agree: (0 + 1) / 402 and (0 + 1) / 102."""
    batch = FakeData().build().fetch(range(100), SEED)
    margin = measured(QUICK, FakeData(), batch["real"], batch["label"])["margin"]
    expected = 2 * (1 / 402 * 401 / 402 / 400) ** 0.5 + 2 * (1 / 102 * 101 / 102 / 100) ** 0.5
    assert margin == pytest.approx(expected)


def test_the_protocol_names_the_classifier_and_what_it_is_judged_by(digits: Any):
    metric = LENET.build(Digits())
    assert metric.protocol() == {}
    metric.update({"fake": digits["real"][:10], "label": digits["label"][:10]})
    assert metric.protocol() == {
        "classifier": "lenet-digits",
        "held-out examples": "1,000: the data's held-out examples",
    }
    metric = QUICK.build(NothingHeldOut())
    batch = FakeData().build().fetch(range(10), SEED)
    metric.update({"fake": batch["real"], "label": batch["label"]})
    assert metric.protocol() == {
        "classifier": "trained on 360 examples of the data, 60 steps, seed 0",
        "held-out examples": "40: one in 10 of the training examples, by the hash of their index",
    }


def test_images_with_the_statistics_of_samples():
    """Matched images have the samples' mean image, and their power where the samples have less."""
    real = SEED.normal("real", (4000, 1, 6, 8))
    samples = SEED.normal("samples", (4000, 1, 6, 8))
    smooth = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(samples, (0, 1, 0, 1), mode="circular"), 2, 1)
    statistics, found = SampleStatistics(), SampleStatistics()
    statistics.update(smooth + 3)
    matched = match(real, statistics, SEED)
    found.update(matched)
    torch.testing.assert_close(found.mean(), statistics.mean(), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.power(), statistics.power(), atol=0.5, rtol=0.02)
    # White noise of 1 / 4 of the variance is what a mean of four pixels leaves at frequency 0.
    assert float(found.power()[0, 0, 0]) == pytest.approx(48, rel=0.1)
    assert float(matched.var(dim=0).mean()) == pytest.approx(0.25, rel=0.05)


def test_missing_power_is_added_as_noise_and_equal_statistics_change_nothing():
    real = SEED.normal("real", (4000, 1, 6, 8))
    louder, equal, found = SampleStatistics(), SampleStatistics(), SampleStatistics()
    louder.update(2 * SEED.normal("samples", (4000, 1, 6, 8)))
    matched = match(real, louder, SEED)
    found.update(matched)
    assert float(found.power().mean()) == pytest.approx(4 * 48, rel=0.03)
    # Signal 1 and noise 3: the correlation with the real images is 1 / 2.
    assert float((matched * real).mean()) / 2 == pytest.approx(0.5, abs=0.03)
    equal.update(real)
    torch.testing.assert_close(match(real, equal, SEED), real, atol=1e-5, rtol=0)


def test_statistics_of_merged_halves_are_those_of_all():
    images = SEED.normal("images", (50, 3, 5, 4))
    halves, whole = (SampleStatistics(), SampleStatistics()), SampleStatistics()
    for half, rows in zip(halves, (slice(0, 20), slice(20, 50)), strict=True):
        half.update(images[rows])
    halves[0].merge(halves[1])
    halves[0].merge(SampleStatistics())
    whole.update(images)
    torch.testing.assert_close(halves[0].power(), whole.power())
    torch.testing.assert_close(halves[0].mean(), whole.mean())


def test_classifier_is_trained_once(monkeypatch: pytest.MonkeyPatch):
    trained = []
    train = classifier._train
    monkeypatch.setattr(classifier, "_MADE", {})
    monkeypatch.setattr(classifier, "_train", lambda *arguments: trained.append(arguments) or train(*arguments))
    batch = FakeData().build().fetch(range(20), SEED)
    for _ in range(3):
        metric = QUICK.build(FakeData())
        assert len(trained) <= 1
        metric.update({"fake": batch["real"], "label": batch["label"]})
    assert len(trained) == 1
    LabelAgreement(steps=61).build(FakeData()).update({"fake": batch["real"], "label": batch["label"]})
    assert len(trained) == 2


def test_training_is_seeded_and_leaves_the_callers_randomness_alone(monkeypatch: pytest.MonkeyPatch):
    weights = []
    for seed in (0, 0, 1):
        monkeypatch.setattr(classifier, "_MADE", {})
        torch.manual_seed(len(weights))
        before = torch.get_rng_state()
        network = classifier.classifier(LabelAgreement(steps=5, seed=seed), FakeData(), CPU).network
        assert torch.equal(before, torch.get_rng_state())
        weights.append(torch.cat([parameter.flatten() for parameter in network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_classifier_can_be_trained_where_gradients_are_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(classifier, "_MADE", {})
    batch = FakeData().build().fetch(range(100), SEED)
    with torch.no_grad():
        assert measured(QUICK, FakeData(), batch["real"], batch["label"])["agreement"] == 1


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 40), (3, 3, 3), (1, 65, 65)])
def test_any_image(shape: tuple[int, ...]):
    network = torch.nn.Sequential(*classifier._layers(TensorSpec(shape), 7)).eval()
    assert network(torch.zeros(2, *shape)).shape == (2, 7)


def test_samples_of_another_shape_are_refused():
    with pytest.raises(BadInput, match="sample: one example of 'fake' is 3 x 28 x 28, and one of the data 1 x 28 x 28"):
        measured(LENET, Digits(), torch.zeros(4, 3, 28, 28), torch.zeros(4, dtype=torch.int64))


def test_an_encoder_without_class_logits_is_refused():
    config = LabelAgreement(classifier=LeNetDigits())
    batch = Digits(split="held-out").build().fetch(range(10), SEED)
    with pytest.raises(BadInput, match=r"classifier: its last activation is \(84,\) for an image, not 10 class logits"):
        measured(config, Digits(), as_float(batch["real"]), batch["label"])


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


class OneExample(FakeData):
    """Stand-in data of one example, with nothing held out."""

    type: Literal["one-example"] = "one-example"

    def build(self):
        return TensorData({name: tensor[:1] for name, tensor in super().build().tensors.items()})

    def held_out(self):
        return None


@pytest.mark.parametrize("data", [OnlyImages(), OnlyPoints(), NumberLabels()])
def test_other_data_is_refused(data: DatasetConfig):
    with pytest.raises(BadInput, match="images 'real' and class labels 'label'"):
        LabelAgreement().build(data)


def test_a_single_example_is_refused():
    with pytest.raises(BadInput, match="data: 'label-agreement' needs at least two examples"):
        split(OneExample(), seed=0)
