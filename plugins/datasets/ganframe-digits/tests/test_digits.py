"""The number of digits, and their classes."""

import pytest
import torch
from ganframe_digits import Digits
from pydantic import ValidationError


@pytest.mark.parametrize(("split", "count"), [("train", 5000), ("held-out", 1000)])
def test_every_class_has_equally_many_examples(split: str, count: int) -> None:
    labels = Digits(split=split).build().tensors["label"]
    assert labels.bincount().tolist() == [count // 10] * 10


def test_fewer_examples_are_the_first_of_each_class() -> None:
    few, all_of_them = (Digits(examples=examples).build().tensors for examples in (100, None))
    assert few["label"].bincount().tolist() == [10] * 10
    for digit in range(10):
        mine, first = (tensors["real"][tensors["label"] == digit][:10] for tensors in (few, all_of_them))
        assert torch.equal(mine, first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"examples": 105}, "multiple of 10"),
        ({"examples": 6000}, "'train' has 5000"),
        ({"split": "held-out", "examples": 2000}, "'held-out' has 1000"),
    ],
)
def test_impossible_numbers_of_examples_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Digits(**settings)
