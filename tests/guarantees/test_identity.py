"""A run that is resumed goes on with the config and the data that it was trained with: whatever was changed meanwhile
is named, and refused unless it was allowed by name. Lines that its logs lack, or have twice or otherwise, are named
with their steps.

Random settings are edited in the `config.yaml` of runs; images are added, removed, renamed and replaced, classes
renamed and added; lines of logs are removed, repeated and changed; and the adoption of an allowed change is cut off
after each of its writes.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figures import Figures
from harness import PLAIN, latest_state, scalars
from hostile import resign
from PIL import Image
from ruamel.yaml import YAML

import ganframe.runs.folder
import ganframe.training.identity
from ganframe import BadInput, RunFailed, load_config, train
from ganframe.runs.checkpoint_files import list_checkpoints

slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def _reports_have_no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than such a run."""
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps, with settings of every kind of value."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "config.yaml").write_text(PLAIN)
    settings = ["train.total_images=32", "evaluate=null", "optimizers={generator: {type: adam, lr: 0.001}}"]
    return train(load_config(str(folder / "config.yaml"), *settings), out=folder / "run").path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def files(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def resume(run: Path, *allow_changes: str) -> None:
    train(load_config(str(run / "config.yaml")), out=run, resume=True, allow_changes=allow_changes)


def leaves(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    """Each number and choice of a config that has another value of the same kind, with its path."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, (dict, list)):
            yield from leaves(value, (*path, key))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield node, (*path, key)


def edited(run: Path, number: int) -> tuple[str, str]:
    """Edit one number of the config; return its dotted path, and what it was and is."""
    yaml, file = YAML(), run / "config.yaml"
    config = yaml.load(file.read_text())
    found = list(leaves(config))
    node, path = found[number % len(found)]
    before = node[path[-1]]
    node[path[-1]] = before * 2 if isinstance(before, int) else before / 2
    with file.open("w") as stream:
        yaml.dump(config, stream)
    return ".".join(map(str, path)), f"{json.dumps(before)} -> {json.dumps(node[path[-1]])}"


@pytest.mark.parametrize("number", [pytest.param(number, marks=[slow] if number > 5 else []) for number in range(16)])
def test_each_edit_of_the_config_is_named_and_refused(number: int, run: Path, figures: Figures) -> None:
    path, change = edited(run, random.Random(number).randrange(1000))
    before = files(run)
    with pytest.raises(BadInput) as problem:
        resume(run)
    assert f"from that of the checkpoint of step 4 in: {path} ({change})" in str(problem.value)
    assert f"--allow-changes {path}" in problem.value.remedy
    assert problem.value.place == str(run / "config.yaml")
    assert files(run) == before
    with pytest.raises(BadInput):
        resume(run, "losses")
    figures.count("edited settings, all of them named and refused")


def test_an_edit_goes_on_where_it_is_allowed_and_stays_so(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    longer = text.replace("lr: 0.001", "lr: 0.003").replace("total_images: 32", "total_images: 48")
    (run / "config.yaml").write_text(longer)
    resume(run, "optimizers.generator.lr", "train")
    assert latest_state(run)[0] == 6
    resume(run)
    (run / "config.yaml").write_text(text)
    with pytest.raises(BadInput, match=r"step 6 in: optimizers.generator.lr \(0.003 -> 0.001\), train.total_images"):
        resume(run)


def test_the_command_line_names_an_edit(cli: Callable[..., Any], run: Path) -> None:
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("lr: 0.001", "lr: 0.003"))
    refused = cli("train", run, "--resume")
    assert (refused.code, "Traceback" in refused.err) == (2, False)
    assert "optimizers.generator.lr (0.001 -> 0.003)" in refused.err
    assert cli("train", run, "--resume", "--allow-changes", "optimizers").code == 0
    assert cli("train", run, "--resume").code == 0


@pytest.mark.parametrize("number", range(6))
def test_an_adoption_that_is_cut_off_is_refused_or_has_not_begun(
    number: int, run: Path, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    """Each of its writes fails in turn; whatever the run then has, it goes on once the change is allowed again."""
    longer = load_config(str(run / "config.yaml"), "train.total_images=48")
    before, writes = load_config(str(run / "config.yaml")), 0

    def failing(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes > number:
            raise RunFailed("the lights went out")
        write(path, content)

    write = ganframe.runs.folder.write_atomically
    with monkeypatch.context() as patched:
        for module in (ganframe.runs.folder, ganframe.training.identity):
            patched.setattr(module, "write_atomically", failing)
        try:
            train(longer, out=run, resume=True, allow_changes=["train.total_images"])
        except RunFailed:
            assert number < 5
            figures.count("adopted configs cut off at a write")
        else:
            assert number == 5
            return
    now = load_config(str(run / "config.yaml"))
    if now == before:
        resume(run)
        assert latest_state(run)[0] == 4
    else:
        assert now == longer
        if number < 4:
            with pytest.raises(BadInput, match=r"train.total_images \(32 -> 48\)"):
                resume(run)
        # The fifth write is that of the summary of the data. The change is noted as allowed by then.
    train(longer, out=run, resume=True, allow_changes=["train.total_images"])
    assert latest_state(run)[0] == 6
    resume(run)


# Data.


FOLDER = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [8], latent: 4}
  discriminator: {type: mlp, hidden: [8]}
  condition: label
losses: [non-saturating]
data: {type: image-folder, path: IMAGES, with_labels: true, resolution: 4}
train: {total_images: 32, batch_size: 8, device: cpu}
snapshot: {every_images: 1_000_000, count: 4}
checkpoint: {every_images: 16}
"""


def picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), shade, dtype=np.uint8)).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of six pictures each."""
    folder = tmp_path / "pictures"
    for number in range(12):
        picture(folder / ("cats", "dogs")[number % 2] / f"{number}.png", 20 * number)
    return folder


@pytest.fixture
def photographed(pictures: Path, tmp_path: Path) -> Path:
    (tmp_path / "photos.yaml").write_text(FOLDER.replace("IMAGES", str(pictures)))
    return train(load_config(str(tmp_path / "photos.yaml")), out=tmp_path / "run").path


def add(pictures: Path) -> None:
    for number in range(12):
        picture(pictures / "cats" / f"new{number}.png", number)


def remove(pictures: Path) -> None:
    (pictures / "cats" / "0.png").unlink()


def rename_class(pictures: Path) -> None:
    (pictures / "cats").rename(pictures / "cat")


def add_class(pictures: Path) -> None:
    picture(pictures / "birds" / "0.png", 1)


def replace(pictures: Path) -> None:
    for path in sorted(pictures.rglob("*.png")):
        path.rename(path.with_name(f"other{path.name}"))


def move_between_classes(pictures: Path) -> None:
    (pictures / "cats" / "0.png").rename(pictures / "dogs" / "0.png")


CHANGES = {
    "added": (add, ["12 examples more"], True),
    "removed": (remove, ["1 example fewer"], True),
    "a class renamed": (rename_class, ["the class 'cats' is now 'cat'"], True),
    "a class added": (add_class, ["1 example more", "the class 'birds' is new"], False),
    "replaced": (replace, ["files of other names, or in another order"], True),
    "moved": (move_between_classes, ["files of other names, or in another order"], True),
}


@pytest.mark.parametrize(("change", "said", "fits"), CHANGES.values(), ids=list(CHANGES))
def test_each_change_of_the_data_is_named_and_refused(
    change: Callable[[Path], None],
    said: list[str],
    fits: bool,
    photographed: Path,
    pictures: Path,
    cli: Callable[..., Any],
    figures: Figures,
) -> None:
    before = files(photographed)
    change(pictures)
    refused = cli("train", photographed, "--resume")
    assert (refused.code, "Traceback" in refused.err) == (2, False)
    assert f"the run was trained with up to step 4: {'; '.join(said)}\n" in refused.err
    assert "--allow-changes data" in refused.err
    assert files(photographed) == before
    allowed = cli("train", photographed, "--resume", "--allow-changes", "data")
    assert allowed.code == (0 if fits else 2)
    if fits:
        assert cli("train", photographed, "--resume").code == 0
    else:
        assert "the saved state does not fit this config" in allowed.err
    figures.count("changes of the data, all of them named and refused")


def test_data_that_were_moved_are_the_same_data(photographed: Path, pictures: Path, tmp_path: Path) -> None:
    pictures.rename(tmp_path / "elsewhere")
    moved = load_config(str(photographed / "config.yaml"), f"data.path={tmp_path / 'elsewhere'}")
    train(moved, out=photographed, resume=True, allow_changes=["data.path"])


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"real": {"shape": [0]}}', b"[]"])
def test_a_lost_spec_of_the_data_is_refused_and_written_anew_where_that_is_allowed(
    content: bytes | None, run: Path, cli: Callable[..., Any], figures: Figures
) -> None:
    file = run / "data.json"
    whole = file.read_bytes()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    before = files(run)
    refused = cli("train", run, "--resume")
    assert (refused.code, "Traceback" in refused.err) == (2, False)
    assert f"{file}: " in refused.err
    assert "--allow-changes data" in refused.err
    assert files(run) == before
    assert cli("train", run, "--resume", "--allow-changes", "data").code == 0
    assert file.read_bytes() == whole
    figures.count("lost or damaged data.json, refused")


# Logs.


def lost(rows: list[str], first: int, count: int) -> str:
    del rows[first : first + count]
    return f"no lines of the step{'s' if count > 1 else ''} "


def doubled(rows: list[str], first: int, count: int) -> str:
    rows[first:first] = rows[first : first + count]
    return f"repeated lines of the step{'s' if count > 1 else ''} "


def changed(rows: list[str], first: int, count: int) -> str:
    for number in range(first, first + count):
        rows[number] = json.dumps(json.loads(rows[number]) | {"generator/non-saturating": 0.5})
    return "other lines of the steps "


@pytest.mark.parametrize("damage", [lost, doubled, changed])
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[slow] if seed else []) for seed in range(6)])
def test_lines_of_a_log_are_missed_with_their_steps(
    damage: Callable[[list[str], int, int], str], seed: int, run: Path, cli: Callable[..., Any], figures: Figures
) -> None:
    chance = random.Random(seed)
    rows = (run / "scalars.jsonl").read_text().splitlines()
    count = chance.randrange(1, 3)
    first = chance.randrange(len(rows) - count + 1)
    said = damage(rows, first, count)
    (run / "scalars.jsonl").write_text("".join(f"{row}\n" for row in rows))
    outcome = cli("train", run, "--resume", "--set", "train.total_images=40", "--allow-changes", "train")
    assert outcome.code == 0
    steps = ", ".join(str(step) for step in range(first + 1, first + count + 1))
    assert f"this log has changed since the run wrote it: {run / 'scalars.jsonl'}: {said}{steps}\n" in outcome.err
    assert scalars(run)[-1]["step"] == 5
    figures.count("logs with lines lost, repeated or changed, all of them said")


def test_a_log_that_is_whole_is_not_spoken_of(run: Path, cli: Callable[..., Any]) -> None:
    with (run / "scalars.jsonl").open("a") as log:
        log.write('{"step": 5, "images": 40}\n{"step": 6, "ima')
    outcome = cli("train", run, "--resume", "--set", "train.total_images=40", "--allow-changes", "train")
    assert (outcome.code, outcome.err) == (0, "")
    assert [line["step"] for line in scalars(run)] == [1, 2, 3, 4, 5]


def test_a_run_whose_checkpoints_do_not_say_goes_on(run: Path) -> None:
    """As those of version 0.1.0."""
    for checkpoint in list_checkpoints(run / "checkpoints"):
        (checkpoint / "identity.json").unlink()
        resign(checkpoint)
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("lr: 0.001", "lr: 0.003"))
    resume(run)
