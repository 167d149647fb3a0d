"""The LeNet that comes trained with the package."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ganframe_digits import LeNetDigits
from ganframe_digits.dataset import load
from ganframe_digits.lenet import FILE, LeNet
from pydantic import ValidationError
from torch import Tensor

from ganframe import BadInput


@pytest.fixture(scope="module")
def held_out() -> tuple[Tensor, Tensor]:
    tensors = load("held-out").tensors
    return tensors["real"].float() / 127.5 - 1, tensors["label"]


def test_it_knows_at_least_98_percent_of_the_held_out_digits(held_out: tuple[Tensor, Tensor]):
    images, labels = held_out
    (logits,) = LeNetDigits(layers=("logits",)).build()(images)
    assert (logits.argmax(dim=1) == labels).float().mean() >= 0.98


def test_parameters_are_those_of_the_layers_by_hand():
    """Kernels and biases: 1 x 25 x 6, 6 x 25 x 16, 400 x 120, 120 x 84 and 84 x 10."""
    expected = (25 * 6 + 6) + (150 * 16 + 16) + (400 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10)
    assert sum(parameter.numel() for parameter in LeNet().parameters()) == expected == 61_706
    assert FILE.stat().st_size < 500_000


def test_activations_come_from_the_input_side_and_features_alone_by_default(held_out: tuple[Tensor, Tensor]):
    images = held_out[0][:3]
    found = LeNetDigits(layers=("logits", "pool2", "features", "pool1")).build()(images)
    assert [tuple(each.shape) for each in found] == [(3, 6, 14, 14), (3, 16, 5, 5), (3, 84), (3, 10)]
    (features,) = LeNetDigits().build()(images)
    assert torch.equal(features, found[2])


def test_classes_are_apart_in_the_features(held_out: tuple[Tensor, Tensor]):
    """The nearest other digit is of the same class for at least 97%, more than by pixels."""
    images, labels = held_out

    def neighbours_agree(vectors: Tensor) -> float:
        distances = torch.cdist(vectors, vectors).fill_diagonal_(float("inf"))
        return float((labels[distances.argmin(dim=1)] == labels).float().mean())

    by_features = neighbours_agree(LeNetDigits().build()(images)[0])
    assert by_features >= 0.97
    assert by_features > neighbours_agree(images.flatten(1))


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (2, 1, 32, 32), (2, 784)])
def test_other_samples_are_refused(shape: tuple[int, ...]):
    with pytest.raises(BadInput, match="'lenet-digits' sees images of 1 x 28 x 28"):
        LeNetDigits().build()(torch.zeros(shape))


@pytest.mark.parametrize("layers", [(), ("features", "features"), ("pool",)])
def test_invalid_layers_are_refused(layers: Any):
    with pytest.raises(ValidationError):
        LeNetDigits(layers=layers)
