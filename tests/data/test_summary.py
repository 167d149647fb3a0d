"""What a data set says of itself: in `explain`, at the start of a run and in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ganframe import BadInput, RunFolder
from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.summary import DataSummary, LeftOut, summarize


class Rows:
    """A data set of three examples."""

    def __len__(self) -> int:
        return 3

    def fetch(self, indices: Any, randomness: Any) -> dict[str, Any]:
        raise NotImplementedError


class Says(Rows):
    def __init__(self, left_out: Any) -> None:
        self.left_out = left_out


def test_a_data_set_need_not_say_anything() -> None:
    assert summarize(Rows()) == DataSummary(3)
    assert DataSummary(3).left_out_lines() == []


def test_what_was_left_out_is_counted_and_the_first_are_named() -> None:
    said = Says(lambda: {"odd": [str(number) for number in range(1500)], "none": (), "one": ("a",)})
    summary = summarize(said)
    assert summary.left_out == {"odd": LeftOut(1500, ("0", "1", "2")), "one": LeftOut(1, ("a",))}
    assert summary.left_out_lines() == [
        ("left out: 1,500 odd", "0, 1, 2 and 1,497 more"),
        ("left out: 1 one", "a"),
    ]


@pytest.mark.parametrize("wrong", [None, 3, ["a"], {"odd": 3}, {"odd": "a"}, {3: ["a"]}, {"odd": [3]}])
def test_anything_but_names_by_reason_is_refused_with_its_place(wrong: Any) -> None:
    with pytest.raises(BadInput, match=r"Says\.left_out returned .* and not lists of names by reason") as problem:
        summarize(Says(lambda: wrong))
    assert "test_summary.py" in problem.value.place


def test_a_method_that_fails_is_named() -> None:
    with pytest.raises(BadInput, match=r"Says\.left_out failed: ZeroDivisionError"):
        summarize(Says(lambda: 1 / 0))


def test_classes_without_names_are_not_listed() -> None:
    specs = {"label": TensorSpec((), 3), "kind": TensorSpec((), 2, ("a", "b")), "real": TensorSpec((2,))}
    assert DataSummary(1234).lines(specs) == [("examples", "1,234"), ("classes of kind", "0 is a, 1 is b")]


CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [4]}
  discriminator: {type: mlp, hidden: [4]}
  condition: label
losses: [non-saturating]
data: {type: image-folder, path: pictures, resolution: 4, with_labels: true}
train: {total_images: 4, batch_size: 2, device: cpu}
snapshot: {count: 2}
loggers: []
"""


def test_a_folder_is_described_where_a_user_looks(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("2", "10"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / name / "a.png")
    (tmp_path / "pictures" / "empty").mkdir()
    (tmp_path / "pictures" / "notes[1].txt").write_text("no image")
    (tmp_path / "config.yaml").write_text(CONFIG)

    blocks = (block.splitlines() for block in cli("explain", "config.yaml").out.strip().split("\n\n"))
    explained = {title: [row.split() for row in rows] for title, _, *rows in blocks}
    assert explained["data"][0][:2] == ["image-folder", "2"]
    assert explained["classes"] == ["label 0 is 10, 1 is 2".split()]
    assert explained["left out"] == [
        "1 files of other types notes[1].txt".split(),
        "1 folders without images empty".split(),
    ]

    started = cli("train", "config.yaml", "--out", "run")
    assert started.code == 0
    assert started.out.startswith("examples: 2\nclasses of label: 0 is 10, 1 is 2\n")
    assert started.err.splitlines() == [
        "left out: 1 files of other types: notes[1].txt",
        "left out: 1 folders without images: empty",
    ]

    (tmp_path / "pictures" / "notes[1].txt").unlink()
    (tmp_path / "pictures" / "more.md").write_text("no image")
    assert "left out: 1 files of other types: more.md\n" in cli("train", "run", "--resume").err
    summary = RunFolder.open(tmp_path / "run").data_summary()
    assert summary is not None
    assert summary.left_out["files of other types"] == LeftOut(1, ("more.md",))
    assert "left out: 1 folders without images" in (tmp_path / "run" / "report.html").read_text()


def test_a_saved_summary_that_no_run_wrote_is_refused(cli: Any, digits_run: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.data_summary() is None
    for text in ("", "[]", '{"examples": "3"}', '{"examples": 1, "left_out": {"a": 3}}'):
        (tmp_path / "data-summary.json").write_text(text)
        with pytest.raises(BadInput, match="not what a run writes"):
            run.data_summary()
