"""Settings that were renamed keep their former names as aliases, in files, overrides and `--allow-changes`."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from ganframe import BadInput, load_config, train
from ganframe.config import Experiment

FORMER = dedent(
    """\
    game: {type: adversarial, generator: {type: mlp, hidden: [4]}, discriminator: {type: mlp, hidden: [4]}}
    losses: [{type: non-saturating, labels: [{type: label-flipping, probability: 0.1}]}]
    regularizers: [{type: r1, weight: {type: linear, start: 1, end: 0, images: 8, after: 4}}]
    data: ring
    train: {images: 16, batch_size: 4, accumulate: 2, shard: false, device: cpu}
    """
)
PRESENT = dedent(
    """\
    game: {type: adversarial, generator: {type: mlp, hidden: [4]}, discriminator: {type: mlp, hidden: [4]}}
    losses: [{type: non-saturating, label_policies: [{type: label-flipping, probability: 0.1}]}]
    regularizers: [{type: r1, weight: {type: linear, start: 1, end: 0, duration_images: 8, after_images: 4}}]
    data: ring
    train: {total_images: 16, batch_size: 4, gradient_accumulation_steps: 2, fsdp: false, device: cpu}
    """
)


def written(folder: Path, text: str) -> str:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def read(folder: Path, text: str, *overrides: str) -> Experiment:
    return load_config(written(folder, text), *overrides)


def test_former_names_mean_the_present_settings(tmp_path: Path) -> None:
    former, present = read(tmp_path, FORMER), read(tmp_path, PRESENT)
    assert former == present
    assert former.train.total_images == 16
    assert former.train.gradient_accumulation_steps == 2
    assert len(former.losses[0].label_policies) == 1
    assert former.dump() == present.dump()
    assert former.dump()["train"].keys() >= {"total_images", "gradient_accumulation_steps"}


@pytest.mark.parametrize("text", [FORMER, PRESENT])
@pytest.mark.parametrize("name", ["images", "total_images"])
def test_either_name_overrides_either(tmp_path: Path, text: str, name: str) -> None:
    assert read(tmp_path, text, f"train.{name}=40").train.total_images == 40


def test_both_names_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'images' is the former name of 'total_images', which is given too"):
        read(tmp_path, FORMER.replace("images: 16", "images: 16, total_images: 16"))


def test_an_error_stands_where_the_former_name_stands(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as problem:
        read(tmp_path, FORMER.replace("accumulate: 2", "accumulate: 0"))
    assert str(problem.value).startswith(f"{tmp_path / 'config.yaml'}:5:36: train.accumulate: ")


def test_a_misspelt_former_name_is_taken_for_the_present_setting(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no setting 'acumulate'; did you mean 'gradient_accumulation_steps'\?"):
        read(tmp_path, FORMER.replace("accumulate", "acumulate"))


@pytest.mark.parametrize("name", ["train.images", "train.total_images", "train"])
def test_a_resumed_run_may_differ_under_either_name(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    train(read(tmp_path, PRESENT), out=run)
    longer = read(tmp_path, FORMER, "train.images=24")
    with pytest.raises(BadInput, match=r"differs from that of the run in: train\.total_images"):
        train(longer, out=run, resume=True, allow_changes=["train.accumulate"])
    train(longer, out=run, resume=True, allow_changes=[name])
