"""What differs between the data of then and now is named; what is not known is no difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.identity import DataIdentity, file_names, identify
from ganframe.data.tensor_data import TensorData
from ganframe.errors import BadInput

REAL = TensorSpec((3, 8, 8))


def labelled(*names: str) -> dict[str, TensorSpec]:
    return {"real": REAL, "label": TensorSpec((), len(names), names)}


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (DataIdentity(labelled("a", "b"), 9, "x"), DataIdentity(labelled("a", "b"), 9, "x"), []),
        (DataIdentity({}, 100, "x"), DataIdentity({}, 112, "y"), ["12 examples more"]),
        (DataIdentity({}, 2000, "x"), DataIdentity({}, 1, "y"), ["1,999 examples fewer"]),
        (DataIdentity({}, 2), DataIdentity({}, 1), ["1 example fewer"]),
        (DataIdentity({}, 9, "x"), DataIdentity({}, 9, "y"), ["files of other names, or in another order"]),
        (DataIdentity({}, None, None), DataIdentity({}, 9, "y"), []),
        (DataIdentity({}, 9, "x", "l"), DataIdentity({}, 9, "x", "m"), ["other class labels of the same examples"]),
        (
            DataIdentity({}, 9, "x", None, "c"),
            DataIdentity({}, 9, "x", "m", "d"),
            ["other content under the same names"],
        ),
        (DataIdentity({}, 9, "x"), DataIdentity({}, 9, "x", "l", "c"), []),
        (DataIdentity({}, 9, "x"), DataIdentity({}, 9, None), []),
        (
            DataIdentity(labelled("cats", "dogs")),
            DataIdentity(labelled("cat", "dogs")),
            ["the class 'cats' is now 'cat'"],
        ),
        (
            DataIdentity(labelled("a", "b")),
            DataIdentity(labelled("b", "a")),
            ["the class 'a' is now 'b'", "the class 'b' is now 'a'"],
        ),
        (DataIdentity(labelled("a", "b")), DataIdentity(labelled("a", "b", "c")), ["the class 'c' is new"]),
        (DataIdentity(labelled("a", "b")), DataIdentity(labelled("b")), ["the class 'a' is gone"]),
        (
            DataIdentity(labelled(*"abcde")),
            DataIdentity(labelled(*"vwxyz")),
            [*(f"the class {a!r} is now {b!r}" for a, b in ("av", "bw", "cx")), "so it is with 2 more classes"],
        ),
        (
            DataIdentity({"label": TensorSpec((), 2)}),
            DataIdentity({"label": TensorSpec((), 3)}),
            ["'label' is one of 3 classes and was one of 2 classes"],
        ),
        (DataIdentity({"label": TensorSpec((), 2)}), DataIdentity(labelled("a", "b")), ["'real' is new"]),
        (
            DataIdentity({"real": REAL}),
            DataIdentity({"real": TensorSpec((3, 4, 4))}),
            ["'real' is 3 x 4 x 4 and was 3 x 8 x 8"],
        ),
        (DataIdentity(labelled("a")), DataIdentity({"real": REAL}), ["'label' is gone"]),
    ],
)
def test_each_difference_is_named(before: DataIdentity, now: DataIdentity, said: list[str]) -> None:
    assert before.changes(now) == said


@dataclass
class Named(TensorData):
    """A data set that names its files."""

    names: Any

    def __post_init__(self) -> None:
        self.tensors = {"real": torch.zeros(3, 2)}

    def file_names(self) -> Sequence[str]:
        return self.names


def test_names_and_their_order_count_and_a_set_of_tensors_has_none() -> None:
    specs = {"real": TensorSpec((2,))}
    first, same, other = (
        identify(Named(names), specs) for names in (["a", "b", "c"], iter(["a", "b", "c"]), ["a", "c", "b"])
    )
    assert first == same
    assert first.changes(other) == ["files of other names, or in another order"]
    assert identify(TensorData({"real": torch.zeros(5, 2)}), specs) == DataIdentity(specs, 5, None)
    joined = identify(Named(["ab", "c"]), specs), identify(Named(["a", "bc"]), specs)
    assert joined[0].files != joined[1].files
    # Names of files need not be text in UTF-8.
    assert identify(Named(["\udcff"]), specs).files != identify(Named(["\udcfe"]), specs).files


@pytest.mark.parametrize(
    ("names", "said"),
    [([1], "returned no list of names"), (None, "file_names failed: TypeError"), (["a", b"b"], "no list")],
)
def test_a_mistake_in_the_names_is_said_with_its_place(names: object, said: str) -> None:
    with pytest.raises(BadInput, match=said) as problem:
        file_names(Named(names))
    assert "Named.file_names" in problem.value.message


def test_class_labels_and_their_order_count() -> None:
    specs = {"real": TensorSpec((2,)), "label": TensorSpec((), 3)}

    def labelled_as(*classes: int) -> DataIdentity:
        return identify(TensorData({"real": torch.zeros(3, 2), "label": torch.tensor(classes)}), specs)

    assert labelled_as(0, 1, 2) == labelled_as(0, 1, 2)
    assert labelled_as(0, 1, 2).changes(labelled_as(0, 2, 1)) == ["other class labels of the same examples"]
    assert identify(TensorData({"real": torch.zeros(3, 2)}), {"real": TensorSpec((2,))}).labels is None


@dataclass
class Hashed(Named):
    """A data set that tells the hash of its content."""

    content: Any

    def content_hash(self) -> str:
        return self.content


def test_another_content_under_the_same_names_counts_and_is_text() -> None:
    specs = {"real": TensorSpec((2,))}
    first, other = (identify(Hashed(["a", "b", "c"], content), specs) for content in ("1", "2"))
    assert first.changes(other) == ["other content under the same names"]
    with pytest.raises(BadInput, match=r"Hashed\.content_hash returned int and not a hash as text"):
        identify(Hashed(["a", "b", "c"], 1), specs)
