"""Whatever the Python API is given, it raises `BadInput` or `RunFailed`, or does what was asked; never a raw error."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganframe import BadInput, RunFailed, RunFolder, load, load_config, train
from ganframe.evaluation.augment_folder import augment
from ganframe.evaluation.export import export
from ganframe.evaluation.interpolation import interpolate
from ganframe.evaluation.metrics import measure_run
from ganframe.evaluation.translation import translate
from ganframe.training.explain import explain


class Odd:
    """Cannot even be shown."""

    def __repr__(self) -> str:
        raise ValueError("no")


class Lazy(dict[str, Any]):
    """A mapping that is one."""


WRONG: list[Callable[[], Any]] = [
    *(lambda value=value: value for value in (None, True, False, -1, 0, 1, 2, 3, 1.5, float("nan"), float("inf"), 1j)),
    *(
        lambda value=value: value
        for value in ("", "a", "fake", "latent", "\0", "x" * 5000, "cuda:99", "meta", "a=b", "=")
    ),
    *(lambda value=value: value for value in (b"", b"a\xff", "\udcff", Path("\0"), Path("/"), Path("/nowhere/at/all"))),
    *(
        lambda value=value: value
        for value in ([], [0, 1, 2], [[0], [1]], ["a"], [None], [1.5, 2.5, 0.5], ["0"], [Odd()])
    ),
    *(
        lambda value=value: value
        for value in ((), ("fake",), ("latent", "fake"), (1, 2), {}, {"a": 1}, {1: 2}, {"latent": 5})
    ),
    *(
        lambda value=value: value
        for value in (set(), {"a"}, {1}, range(3), Lazy(latent=None), object(), Odd(), len, int)
    ),
    lambda: torch.tensor(1),
    lambda: torch.tensor([0.5, 1.5, 2.5]),
    lambda: torch.tensor([0, 1, 99]),
    lambda: torch.zeros(3, 1, 28, 28),
    lambda: np.arange(3),
    lambda: np.array(["a", "b", "c"]),
    lambda: {"latent": torch.zeros(3, 9)},
    lambda: {"latent": torch.zeros(3, 8, dtype=torch.complex64)},
    lambda: {"latent": torch.zeros(3, 8).to_sparse()},
    lambda: {"latent": torch.zeros(2, 8), "label": ["0"]},
    lambda: {"latent": np.zeros((3, 8), dtype=object)},
    lambda: {"real": torch.zeros(3, 5, 28, 28)},
    lambda: {"label": [0.5, 1, 2]},
    lambda: {"label": {"a": 1}},
    lambda: {Odd(): 1},
    lambda: (each for each in (1, 2, 3)),
    lambda: itertools.repeat(0),
]
"""Makers of arguments, most of which are wrong wherever they are given."""


def configured(name: Any, override: Any) -> Any:
    return load_config(name, override)


def calls(run: Path, free: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Each function with good arguments, none of which makes it take long."""
    loaded = load(run, device="cpu")
    experiment = load_config(str(run / "config.yaml"), "train.device=nowhere")  # refused before anything is written
    return {
        "sample": (loaded.sample, {"count": 3, "seed": 1, "labels": [0, 1, 2], "inputs": None, "batch_size": 2}),
        "tensors": (
            loaded.tensors,
            {"count": 3, "names": ["fake"], "seed": 1, "labels": None, "inputs": None, "batch_size": 2},
        ),
        "balanced_labels": (loaded.balanced_labels, {"count": 3}),
        "interpolate": (
            lambda **given: interpolate(loaded, **given),
            {"rows": 1, "steps": 2, "seed": 0, "labels": None},
        ),
        "export": (lambda **given: export(loaded, **given), {"player": "generator", "path": free / "absent" / "x.tar"}),
        "augment": (
            lambda **given: augment(loaded, **given),
            {"folder": free / "more", "per_class": 1, "balance": False, "labels": None, "seed": 0},
        ),
        "translate": (
            lambda **given: translate(loaded, **given),
            {"source": free, "target": free / "out", "to": None, "label": None, "seed": 0, "batch_size": 2},
        ),
        "load": (load, {"run": run, "device": "cpu"}),
        "measure_run": (measure_run, {"run": free, "metrics": [], "seed": 0, "device": "cpu"}),
        "load_config": (configured, {"name": str(run / "config.yaml"), "override": "seed=1"}),
        "RunFolder.open": (RunFolder.open, {"path": run}),
        "explain": (explain, {"experiment": experiment}),
        "train": (
            train,
            {"experiment": experiment, "out": run, "resume": False, "allow_changes": (), "name": "a", "hooks": ()},
        ),
    }


def draw(seed: int, run: Path, free: Path, count: int) -> None:
    chance = random.Random(seed)
    known = calls(run, free)
    cheap = [name for name in known if name not in ("explain", "train", "load")]
    for number in range(count):
        name = chance.choice(list(known) if number % 10 == 0 else cheap)
        function, good = known[name]
        given = dict(good)
        wrong = chance.sample(list(given), chance.choice([1, 1, 1, 2]) if len(given) > 1 else 1)
        for argument in wrong:
            given[argument] = chance.choice(WRONG)()
        try:
            function(**given)
        except (BadInput, RunFailed) as problem:
            assert str(problem).strip(), (name, wrong)
            assert len(str(problem)) < 20_000
        except Exception as problem:
            shown = {argument: type(given[argument]) for argument in wrong}
            raise AssertionError(f"{name} with {shown}: {type(problem).__name__}: {problem}") from problem


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which relative paths are in."""
    folder = tmp_path / "free"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_no_argument_raises_a_raw_error(digits_run: Path, free: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in digits_run.rglob("*")}
    draw(0, digits_run, free, 300)
    assert {path: path.stat().st_mtime_ns for path in digits_run.rglob("*")} == before


def test_a_run_folder_whose_name_is_no_text(digits_run: Path, free: Path) -> None:
    config = load_config(str(digits_run / "config.yaml"), "train.total_images=16")
    folder = train(config, out="\udcff")
    assert folder.report.is_file()
    assert load(folder.path).step == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_nor_do_thousands(digits_run: Path, free: Path, seed: int) -> None:
    draw(seed, digits_run, free, 1000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": -1}, "-1 samples cannot be drawn"),
        ({"count": 2.0}, "`count` is a whole number, not 2.0"),
        ({"count": True}, "`count` is a whole number, not True"),
        ({"count": 2, "seed": "a"}, "`seed` is a whole number, not 'a'"),
        ({"count": 2, "batch_size": 0}, "a batch of 0 samples cannot be drawn"),
        ({"count": 2, "labels": [0.5, 1.5]}, "0.5 is no label"),
        ({"count": 2, "labels": [[0], [1]]}, r"\[0\] is no label"),
        ({"count": 2, "labels": "01"}, "labels are a list with one class for each sample, not '01'"),
        ({"count": 2, "inputs": [1, 2]}, r"`inputs` is a mapping of tensors by name, not \[1, 2\]"),
        ({"count": 2, "inputs": {"latent": torch.zeros(2, 9)}}, r"'latent' has the shape \(9,\) and not \(8,\)"),
    ],
)
def test_what_is_wrong_is_said(digits_run: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(digits_run, device="cpu").sample(**arguments)


def test_names_of_tensors_are_a_list(digits_run: Path) -> None:
    with pytest.raises(BadInput, match="`names` is a list of names, not 'fake'"):
        load(digits_run, device="cpu").tensors(2, "fake")
