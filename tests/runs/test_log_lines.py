"""Lines that are lost, repeated, changed or moved are told apart and named with their steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from ganframe.runs.log_lines import LogLines, LogTally


def line(step: int, value: float = 0.5) -> str:
    return json.dumps({"step": step, "images": 4 * step, "v": value}) + "\n"


def lines_of(log: Path, until: int) -> LogLines:
    tally = LogTally(log)
    tally.update()
    return tally.lines(until)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of every second step up to 20, and of two steps after the checkpoint of step 20."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(map(line, range(2, 25, 2))))
    return path


def moved(lines: list[str]) -> list[str]:
    return [lines[1], lines[0], *lines[2:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines, []),
        (lambda lines: lines[:10], []),
        (lambda lines: lines[:7], ["no lines of the steps 16, 18, 20"]),
        (lambda lines: lines[:4] + lines[5:], ["no lines of the step 10"]),
        (lambda lines: [], ["no lines of 10 steps from 2 to 20"]),
        (lambda lines: lines[:5] + lines[4:], ["repeated lines of the step 10"]),
        (lambda lines: [line(2, 0.25), *lines[1:]], ["other lines of the steps 2"]),
        (lambda lines: [*lines[:3], line(7), *lines[3:]], ["lines that the run has not written, of the step 7"]),
        (
            lambda lines: [*lines[1:5], *lines[4:]],
            ["no lines of the step 2", "repeated lines of the step 10"],
        ),
        (moved, ["lines in another order"]),
    ],
)
def test_each_change_is_named(change: Callable[[list[str]], list[str]], said: list[str], log: Path) -> None:
    before = lines_of(log, 20)
    log.write_text("".join(change(log.read_text().splitlines(keepends=True))))
    assert before.problems(log, 20) == said


def test_a_missing_log_has_no_line(log: Path) -> None:
    before = lines_of(log, 20)
    log.unlink()
    assert before.problems(log, 20) == ["no lines of 10 steps from 2 to 20"]


def test_steps_at_equal_distances_are_kept_as_a_range(log: Path) -> None:
    assert lines_of(log, 20).steps == [(2, 20, 2)]
    log.write_text("".join(map(line, [1, 2, 3, 10, 20, 30, 31, 31])))
    assert lines_of(log, 99).steps == [(1, 3, 1), (10, 30, 10), (31, 31, 1), (31, 31, 1)]


def test_a_long_log_has_a_checksum_for_a_group_of_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [line(step) for step in range(1, 1001)]
    log.write_text("".join(rows))
    before = lines_of(log, 1000)
    assert len(before.checksums) == 250
    rows[9] = line(10, 7.0)
    log.write_text("".join(rows))
    assert before.problems(log, 1000) == ["other lines of the steps 9 to 12"]


def test_a_growing_log_is_read_on_and_a_shorter_one_anew(log: Path) -> None:
    tally = LogTally(log)
    for steps in ([1], [1, 2], [1, 2, 3], [1]):
        log.write_text("".join(map(line, steps)) + '{"step": 9, "ima')
        tally.update()
        assert tally.lines(99) == lines_of(log, 99)
        assert tally.up_to(99)[0].tolist() == steps


def test_ranges_of_more_lines_than_a_log_can_have_are_refused() -> None:
    adapter = TypeAdapter(LogLines)
    assert adapter.validate_json('{"steps": [[1, 1000, 1]], "checksums": []}', strict=True).steps == [(1, 1000, 1)]
    for steps in ("[[1, 1000000000000, 1]]", "[[1, 2, 0]]", "[[1, 2]]"):
        with pytest.raises(ValidationError):
            adapter.validate_json(f'{{"steps": {steps}, "checksums": []}}', strict=True)
