"""Every class drawn equally often: orders counted by hand, what tells the classes, and whole runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from ganframe import BadInput, Experiment, hookimpl, train
from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.class_labels import class_labels, labels_to_balance
from ganframe.data.loader import BatchLoader
from ganframe.data.sampler import ClassBalancedSampler
from ganframe.data.tensor_data import TensorData
from ganframe.distributed.shard import Shard
from ganframe.game import Round, Turn
from ganframe.randomness import Randomness
from ganframe.testing.runs import train_whole_and_resumed
from ganframe.training.explain import explain

ORDER = Randomness(3, ("data",))
ALONE = Shard(0, 1)
LABELS = torch.tensor([0] * 7 + [2] * 3 + [5])
"""11 examples: seven of class 0, three of class 2, one of class 5. Classes 1, 3 and 4 have none."""
SPECS = {"label": TensorSpec((), 6), "real": TensorSpec((2,))}


def drawn(batch_size: int, batches: int, shard: Shard = ALONE) -> list[int]:
    sampler = ClassBalancedSampler(LABELS, batch_size, ORDER, shard)
    return [index for number in range(batches) for index in sampler.batch(number)]


def test_each_three_examples_in_a_row_are_one_of_each_class() -> None:
    classes = LABELS[drawn(4, 30)].reshape(-1, 3)
    assert classes.sort(dim=1).values.tolist() == [[0, 2, 5]] * 40


def test_every_example_of_a_class_is_seen_before_one_is_seen_again() -> None:
    indices = drawn(3, 21)  # 21 of each class: 3, 7 and 21 epochs
    assert Counter(indices) == dict.fromkeys(range(7), 3) | dict.fromkeys((7, 8, 9), 7) | {10: 21}
    for members in (range(7), (7, 8, 9)):
        own = [index for index in indices if index in members]
        epochs = [own[start : start + len(members)] for start in range(0, 21, len(members))]
        assert all(sorted(epoch) == list(members) for epoch in epochs)
        assert len(set(map(tuple, epochs))) > 1


def test_the_order_of_classes_and_of_each_class_is_shuffled_by_the_seed() -> None:
    classes = LABELS[drawn(3, 21)].reshape(-1, 3).tolist()
    assert len(set(map(tuple, classes))) == 6
    other = ClassBalancedSampler(LABELS, 63, Randomness(4, ("data",)), ALONE)
    assert other.batch(0) != drawn(63, 1)


def test_a_batch_does_not_depend_on_those_asked_for_before() -> None:
    stream = drawn(5, 12)
    sampler = ClassBalancedSampler(LABELS, 5, ORDER, ALONE)
    for number in (11, 0, 4, 3, 11):
        assert sampler.batch(number) == stream[5 * number : 5 * number + 5]


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_together_draw_the_batches_of_one_process(ranks: int) -> None:
    samplers = [ClassBalancedSampler(LABELS, 8 // ranks, ORDER, Shard(rank, ranks)) for rank in range(ranks)]
    assert [index for number in range(6) for each in samplers for index in each.batch(number)] == drawn(8, 6)


def test_the_loader_draws_balanced_batches_only_if_it_is_given_labels() -> None:
    data = TensorData({"label": LABELS})
    balanced = BatchLoader(data, 3, ORDER, torch.device("cpu"), labels=LABELS).starting_at(4)
    assert [sorted(next(balanced)["label"].tolist()) for _ in range(5)] == [[0, 2, 5]] * 5
    usual = BatchLoader(data, 11, ORDER, torch.device("cpu")).starting_at(0)
    assert sorted(next(usual)["label"].tolist()) == LABELS.tolist()


def test_data_in_memory_tell_their_classes() -> None:
    data = TensorData({"real": torch.zeros(11, 2), "label": LABELS, "pair": torch.zeros(11, 2, dtype=torch.int64)})
    assert list(data.labels()) == ["label"]
    assert torch.equal(class_labels(data, SPECS, "label"), LABELS)
    assert labels_to_balance(None, data, SPECS) is None


class Tells(TensorData):
    """Data that return anything as their classes."""

    def __init__(self, told: Any) -> None:
        super().__init__({"real": torch.zeros(3, 2)})
        self.told = told

    def labels(self) -> dict[str, Tensor]:
        return self.told


WRONG: list[Any] = [
    None,
    torch.tensor([0, 1, 2]),
    {"other": torch.tensor([0, 1, 2])},
    {"label": [0, 1, 2]},
    {"label": torch.tensor([0, 1])},
    {"label": torch.tensor([0.0, 1.0, 2.0])},
    {"label": torch.tensor([0, 1, 6])},
    {"label": torch.tensor([0, -1, 2])},
]


@pytest.mark.parametrize("told", WRONG)
def test_anything_but_a_class_for_each_example_is_refused(told: Any) -> None:
    with pytest.raises(BadInput, match=r"Tells\.labels returned no class for each 'label'") as problem:
        class_labels(Tells(told), SPECS, "label")
    assert problem.value.remedy == "Return an int64 tensor (3,) with numbers from 0 to 5."


def test_a_data_set_without_the_method_is_refused() -> None:
    class Silent:
        def __len__(self) -> int:
            return 1

        def fetch(self, indices: Any, randomness: Any) -> dict[str, Tensor]:
            raise NotImplementedError

    with pytest.raises(BadInput, match="Silent does not tell the classes of its examples") as problem:
        class_labels(Silent(), SPECS, "label")
    assert "method `labels`" in problem.value.remedy


def config(data: Any = None, **settings: Any) -> Experiment:
    """A small conditional game, on 20 digits of each class unless data are given, with settings of `train`."""
    network = {"type": "mlp", "hidden": [8]}
    return Experiment.model_validate(
        {
            "game": {"type": "adversarial", "generator": network, "discriminator": network, "condition": "label"},
            "losses": ["non-saturating"],
            "data": data or {"type": "digits", "examples": 200},
            "train": {"total_images": 120, "batch_size": 20, "device": "cpu", **settings},
        }
    )


@pytest.mark.parametrize(("name", "message"), [("real", "no class label 'real'"), ("kind", "no class label 'kind'")])
def test_what_is_no_class_label_is_refused_before_a_run_begins(name: str, message: str, tmp_path: Path) -> None:
    for refused in (
        lambda: train(config(balance_classes=name), out=tmp_path / "run"),
        lambda: explain(config(balance_classes=name)),
    ):
        with pytest.raises(BadInput, match=message) as problem:
            refused()
        assert problem.value.path == ("train", "balance_classes")
        assert problem.value.remedy == "Its class labels: label."
    assert not (tmp_path / "run").exists()


def test_explain_says_how_often_the_examples_of_each_class_are_seen() -> None:
    tables = explain(config(balance_classes="label", total_images=2000)).tables
    assert tables["balanced classes"][:3] == [
        ("class", "examples", "times each is seen"),
        ("0", "20", "10.0"),
        ("1", "20", "10.0"),
    ]
    assert "balanced classes" not in explain(config()).tables


class Seen:
    """A hook that keeps the labels of each step."""

    def __init__(self) -> None:
        self.labels: list[list[int]] = []

    @hookimpl
    def on_turn_end(self, turn: Turn, rounds: list[Round]) -> None:
        if turn.name == "discriminator":
            self.labels.append(rounds[0]["label"].tolist())


def folder_with(path: Path, **counts: int) -> dict[str, Any]:
    """Write an image folder with so many images of each class, and return its config."""
    for name, count in counts.items():
        (path / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (4, 4), 20 * number).save(path / name / f"{number}.png")
    return {"type": "image-folder", "path": str(path), "with_labels": True, "resolution": 4, "channels": 1}


def test_a_run_sees_every_class_of_an_unbalanced_folder_equally_often(tmp_path: Path) -> None:
    data, seen = folder_with(tmp_path / "images", cats=9, dogs=1), Seen()
    train(config(data=data, balance_classes="label", total_images=24, batch_size=4), out=tmp_path / "run", hooks=[seen])
    assert [sorted(labels) for labels in seen.labels] == [[0, 0, 1, 1]] * 6


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    data = folder_with(tmp_path / "images", cats=9, dogs=2)
    experiment = config(data=data, balance_classes="label", total_images=42, batch_size=6)
    whole, resumed = train_whole_and_resumed(experiment, tmp_path, stop_after=4)
    for player in ("player.generator", "player.discriminator"):
        assert all(torch.equal(tensor, resumed[player][name]) for name, tensor in whole[player].items())
