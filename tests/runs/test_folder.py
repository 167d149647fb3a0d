"""The folder of a run keeps the config and the data that the run has now."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganframe.config.experiment import Experiment
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.runs.folder import RunFolder

CATS_FIRST = TensorSpec((), classes=2, class_names=("cat", "dog"))
BEFORE: DataSpec = {"real": TensorSpec((1, 8, 8)), "label": CATS_FIRST}


def experiment(seed: int = 0) -> Experiment:
    networks = {"generator": "mlp", "discriminator": "mlp"}
    settings = {"game": {"type": "adversarial", **networks}, "losses": ["non-saturating"], "data": "digits"}
    return Experiment.model_validate({**settings, "train": {"total_images": 64}, "seed": seed})


@pytest.mark.parametrize(
    "after",
    [
        {"real": TensorSpec((3, 8, 8)), "label": CATS_FIRST},
        {"real": TensorSpec((1, 8, 8)), "label": TensorSpec((), classes=2, class_names=("dog", "cat"))},
        {"real": TensorSpec((1, 8, 8))},
    ],
)
def test_new_specs_of_the_data_replace_the_old_ones(tmp_path: Path, after: DataSpec) -> None:
    folder = RunFolder.create(tmp_path / "run", experiment(), BEFORE)
    assert folder.data() == BEFORE
    folder.adopt(experiment(), after)
    assert folder.data() == after
    assert not list(folder.path.glob("config-before-*"))


def test_the_config_before_a_change_is_kept(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", experiment(), BEFORE)
    for seed in (1, 2):
        folder.adopt(experiment(seed), BEFORE)
    assert folder.experiment() == experiment(2)
    kept = [folder.path / f"config-before-{number}.yaml" for number in (1, 2)]
    assert ["seed: 1" in file.read_text() for file in kept] == [False, True]
