"""Stacks of digits and the classes that samples of them have."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from ganframe_digits import Digits, LeNetDigits, StackedDigits, StackedModes
from torch import Tensor, nn

from ganframe.config import BadInput, EncoderConfig
from ganframe.data import Randomness, images_as_floats

SEED = Randomness(0)


class Corner(EncoderConfig):
    """A perfect classifier of images whose first pixel tells the class."""

    type: Literal["corner"] = "corner"

    def build(self) -> nn.Module:
        return CornerNetwork()


class CornerNetwork(nn.Module):
    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        assert sample.shape[1] == 1
        classes = (sample[:, 0, 0, 0] * 10).round().long()
        return torch.full((len(sample), 3), math.nan), nn.functional.one_hot(classes, 10).float()


def marked(labels: Tensor) -> Tensor:
    """Images 2 x 2 of numbers of three digits, for `Corner`."""
    digits = torch.stack([labels // 100, labels // 10 % 10, labels % 10], dim=1)
    return (digits / 10)[:, :, None, None].expand(-1, -1, 2, 2)


def measured(*batches: Tensor) -> dict[str, float]:
    metric: Any = StackedModes(classifier=Corner()).build(StackedDigits())
    for labels in batches:
        metric.update({"fake": marked(labels)})
    return metric.compute()


def test_a_perfect_sampler_has_the_published_kl():
    """0.0194 ± 0.0009 over 26,000 samples: the mean and the deviation of 40 measurements."""
    generator = torch.Generator().manual_seed(0)
    found = [measured(torch.randint(1000, (26_000,), generator=generator)) for _ in range(40)]
    values = torch.tensor([each["kl"] for each in found], dtype=torch.float64)
    assert values.mean().item() == pytest.approx(0.0194, abs=0.0003)
    assert values.std().item() == pytest.approx(0.0009, abs=0.0003)
    assert all(each["modes"] == 1000 for each in found)


def test_all_classes_alike_have_no_kl():
    assert measured(torch.arange(1000)) == {"modes": 1000, "kl": pytest.approx(0, abs=1e-12)}


@pytest.mark.parametrize("covered", [1, 10, 250])
def test_missing_modes_are_missed(covered: int):
    """All samples on k of K classes alike: KL = ln(K / k)."""
    found = measured(torch.arange(covered).repeat(3), torch.arange(covered))
    assert found == {"modes": covered, "kl": pytest.approx(math.log(1000 / covered))}


def test_each_channel_counts():
    """Numbers with the same digits in another order are other classes."""
    assert measured(torch.tensor([12, 21, 102, 120, 201, 210, 12]))["modes"] == 6


def test_images_of_one_channel_are_refused():
    metric = StackedModes(classifier=Corner()).build(StackedDigits())
    with pytest.raises(BadInput, match=r"images with 3 channels, and 'fake' is \(1, 28, 28\)"):
        metric.update({"fake": torch.zeros(2, 1, 28, 28)})


def test_features_are_no_logits():
    metric = StackedModes(classifier=LeNetDigits(layers=("features",))).build(StackedDigits())
    with pytest.raises(BadInput, match=r"classifier: .* is \(84,\), and not the logits of 10 digits"):
        metric.update({"fake": torch.zeros(2, 3, 28, 28)})


def test_stacks_of_held_out_digits_are_read_by_the_trained_classifier():
    """2,000 draws from 1,000 classes have 1000 (1 - 0.999^2000) = 865 of them, with a deviation of 11."""
    metric: Any = StackedModes(classifier=LeNetDigits(layers=("logits",))).build(StackedDigits())
    batch = StackedDigits(split="held-out", examples=2000).build().fetch(range(2000), SEED)
    metric.update({"fake": images_as_floats(batch)["real"]})
    assert abs(metric.compute()["modes"] - 865) < 45


def test_the_protocol_is_told():
    metric: Any = StackedModes(classifier=Corner()).build(StackedDigits())
    assert metric.protocol() == {"classifier": "corner", "all modes": "1,000"}
    assert StackedModes(classifier=Corner()).samples == 26_000


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_each_channel_is_a_digit_of_the_split_and_the_label_names_all_three(split: Any):
    batch = StackedDigits(split=split, examples=40).build().fetch(range(40), SEED)
    digits: Any = Digits(split=split).build().tensors
    number_of = {
        image.numpy().tobytes(): int(label) for image, label in zip(digits["real"][:, 0], digits["label"], strict=True)
    }
    for image, label in zip(batch["real"], batch["label"], strict=True):
        red, green, blue = (number_of[channel.numpy().tobytes()] for channel in image)
        assert int(label) == 100 * red + 10 * green + blue


def test_classes_are_equally_frequent_and_channels_independent():
    dataset: Any = StackedDigits().build()
    labels = dataset.labels()["label"]
    counts = labels.bincount(minlength=1000).double()
    assert len(labels) == 128_000
    # Chi squared with 999 degrees of freedom: mean 999, deviation 45.
    assert abs(float(((counts - 128) ** 2 / 128).sum()) - 999) < 200


def test_names_of_classes_have_three_digits():
    spec = StackedDigits().spec()["label"]
    assert spec.classes == 1000
    assert spec.class_names is not None
    assert (spec.class_names[7], spec.class_names[970]) == ("007", "970")


def test_the_seed_fixes_the_stacks():
    first, again, other = (StackedDigits(examples=9, seed=seed).build().fetch(range(9), SEED) for seed in (0, 0, 1))
    assert torch.equal(first["real"], again["real"])
    assert not torch.equal(first["real"], other["real"])


def test_held_out_stacks_are_as_many_of_other_digits():
    held_out = StackedDigits(examples=50, seed=3).held_out()
    assert held_out == StackedDigits(split="held-out", examples=50, seed=3)
    assert held_out.held_out() is None
