"""The report of a run, and what it says of how training went."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ganframe.evaluation.diagnostics import diagnose
from ganframe.evaluation.report import _curves, _metrics
from ganframe.runs.logs import read_log


def log(lines: int = 400, **values: float) -> list[dict[str, float]]:
    return [{"step": step, "images": 64 * step, **values} for step in range(1, lines + 1)]


def test_a_series_that_is_logged_now_and_then_is_drawn_whole() -> None:
    lines = log(5000, **{"d/loss": 1.0})
    for line in lines[3::7]:
        line["d/judge accuracy on real"] = 0.5
    svg = _curves(lines)
    assert "judge accuracy on real" in svg
    assert "d: accuracy" in svg
    paths = [len(path) for path in re.findall(r'<path d="(M [^"]*)" clip-path', svg)]
    assert len(paths) == 2


def test_the_last_measurement_is_in_the_table() -> None:
    lines = [{"step": step, "images": step, "m/v": step / 1000} for step in range(1, 402)]
    rows = _metrics(lines).split("<tr>")[2:]
    assert len(rows) <= 200
    assert "<td>401</td><td>0.401</td>" in rows[-1]


def test_an_accuracy_of_one_side_alone_is_no_finding() -> None:
    assert diagnose(log(**{"d/judge accuracy on real": 1.0})) == []


def test_the_largest_numbers_are_read_and_drawn(tmp_path: Path) -> None:
    file = tmp_path / "scalars.jsonl"
    file.write_text("".join(json.dumps({"step": step, "images": step, "g/x": 1.7e308}) + "\n" for step in range(9)))
    lines = read_log(file, 4)
    assert [line["g/x"] for line in lines] == [1e100] * 3
    assert "g: terms" in _curves(lines)
    assert diagnose(lines) == []


def test_no_curves_without_two_lines() -> None:
    assert _curves([]) == ""
    assert _curves(log(1, **{"d/loss": 1.0})) == ""


@pytest.mark.parametrize(
    ("values", "title"),
    [
        ({"d/judge accuracy on real": 0.999, "d/judge accuracy on fake": 1.0}, "Saturated discriminator"),
        ({"d/judge accuracy on real": 0.9, "d/judge accuracy on fake": 0.05}, "Discriminator that lost its way"),
        ({"g/gradient norm": 1e-9}, "Vanishing gradients"),
    ],
)
def test_trouble_is_named_with_advice(values: dict[str, float], title: str) -> None:
    (finding,) = diagnose(log(**values))
    assert finding.title.startswith(title)
    assert finding.advice


@pytest.mark.parametrize(("clamped", "share"), [(100, "100%"), (76, "76%"), (40, None), (1, None)])
def test_a_weight_that_stays_at_its_bound_is_named(clamped: int, share: str | None) -> None:
    lines = log()
    for number, line in enumerate(lines[300:]):
        line["g/weight of hinge"] = 10.0 if number < clamped else 1 / (1 + number)
        line["g/weight of l1"] = 1 / (1 + number)
    expected = [f"Weight at a bound (turn g: hinge has weight 10 in {share} of the last steps)"]
    assert [finding.title for finding in diagnose(lines)] == (expected if share else [])


def test_one_logged_weight_says_nothing_of_a_bound() -> None:
    assert diagnose(log(1, **{"g/weight of hinge": 10.0})) == []


def test_an_even_game_is_left_in_peace() -> None:
    even = {"d/judge accuracy on real": 0.6, "d/judge accuracy on fake": 0.6, "g/gradient norm": 0.5}
    assert diagnose(log(**even)) == []
    assert diagnose([]) == []


def test_only_the_last_quarter_counts() -> None:
    lines = log(**{"d/judge accuracy on real": 1.0, "d/judge accuracy on fake": 1.0})
    for line in lines[300:]:
        line |= {"d/judge accuracy on real": 0.6, "d/judge accuracy on fake": 0.7}
    assert diagnose(lines) == []


def test_what_is_logged_now_and_then_counts_although_the_last_line_lacks_it() -> None:
    lines = log(**{"g/gradient norm": 0.5})
    for line in lines[::2]:
        line |= {"d/judge accuracy on real": 1.0, "d/judge accuracy on fake": 1.0}
    (finding,) = diagnose(lines)
    assert finding.title.startswith("Saturated discriminator (judge: right on 100%")
