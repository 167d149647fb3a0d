"""Paths that users give: home folders, names of any characters, numbers, and configs from pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from PIL import Image
from pydantic import Field

from ganframe import Experiment, load, load_config, train
from ganframe.cli.app import app, plugins_app
from ganframe.config.arguments import user_path
from ganframe.config.load import load_experiment
from ganframe.config.settings import Settings

CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [4]}
  discriminator: {type: mlp, hidden: [4]}
losses: [non-saturating]
data: {type: image-folder, path: ~/pictures, resolution: 4}
train: {total_images: 4, batch_size: 2, device: cpu}
snapshot: {count: 2}
loggers: []
"""

RING = CONFIG.replace("{type: image-folder, path: ~/pictures, resolution: 4}", "ring")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a config, pictures, and the working directory in it."""
    folder = tmp_path / "home"
    for name in ("pictures", "012", "1e3"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / name / "a.png")
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "ring.yaml").write_text(RING)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    monkeypatch.setattr("os.fsync", lambda _file: None)
    return folder


def test_a_tilde_is_the_home_folder_as_in_a_shell(home: Path) -> None:
    assert user_path("~/x") == home / "x"
    assert user_path("~") == home
    assert user_path(Path("~/x")) == home / "x"
    assert str(user_path("./~")) == "~"
    assert str(user_path("a/~/b")) == "a/~/b"
    assert str(user_path("~nobody-has-this-name/x")) == "~nobody-has-this-name/x"


def test_home_folders_are_expanded_in_options_and_configs(cli: Any, home: Path) -> None:
    outcome = cli("train", "~/config.yaml", "--out=~/runs/first")
    assert outcome.code == 0, outcome.err
    run = home / "runs" / "first"
    assert load_experiment(run / "config.yaml").experiment.data.path == home / "pictures"
    assert cli("sample", "~/runs/first", "--count", "2", "--out=~/samples").code == 0
    assert cli("report", "~/runs/first").code == 0
    assert len(list((home / "samples").iterdir())) == 2
    assert cli("train", "~/runs/first", "--resume").code == 0
    assert not (home / "~").exists()


def test_home_folders_are_expanded_in_the_api(home: Path) -> None:
    experiment = load_config("~/config.yaml")
    folder = train(experiment, out="~/run")
    assert folder.path == home / "run"
    assert load("~/run").folder.path == home / "run"
    given = Experiment.model_validate({**experiment.dump(), "data": {"type": "image-folder", "path": Path("~/012")}})
    assert given.data.path == home / "012"


def test_every_path_of_a_command_is_expanded() -> None:
    """No command leaves an option or argument that is a path to typer, which takes `~` as it stands."""
    commands = [*app.registered_commands, *plugins_app.registered_commands]
    hints = [each for command in commands for each in get_type_hints(command.callback, include_extras=True).values()]
    paths = [
        each
        for each in hints
        if get_origin(each) is Annotated and Path in (each.__origin__, *get_args(each.__origin__))
    ]
    assert len(paths) >= 12
    for each in paths:
        assert each.__metadata__[0].parser is user_path, each


@pytest.mark.parametrize("name", ["012", "1e3"])
def test_a_folder_with_the_name_of_a_number_is_a_path(name: str, home: Path) -> None:
    config = load_config("config.yaml", f"data.path={name}")
    assert config.data.path == Path(name)
    (home / "number.yaml").write_text(CONFIG.replace("~/pictures", name))
    assert load_config("number.yaml").data.path == Path(name)


class Paths(Settings):
    one: Path
    many: tuple[Path, ...] = ()
    maybe: Annotated[Path | None, Field(default=None)]
    name_or_path: str | Path = ""
    count: int = 0


def test_every_setting_that_is_a_path_is_expanded_and_no_other(home: Path) -> None:
    paths = Paths(one="~/a", many=["~/b", Path("~/c")], maybe="~", name_or_path="~/d", count=3)
    assert paths.one == home / "a"
    assert paths.many == (home / "b", home / "c")
    assert paths.maybe == home
    assert paths.name_or_path == "~/d"
    assert paths.count == 3
    assert Paths(one=7).one == Path("7")
    for wrong in (True, None, ["a"]):
        with pytest.raises(ValueError, match="one"):
            Paths(one=wrong)


@pytest.mark.parametrize(
    "name", ["two words", "line\nbreak", "[red]x", "-dash", "quote'\"", "tab\t", "ü", "\udcff\udcfe", "bell\a", "%s{}"]
)
def test_a_run_folder_may_have_any_name(name: str, home: Path) -> None:
    experiment = load_config("ring.yaml")
    folder = train(experiment, out=home / "runs" / name)
    assert folder.report.is_file()
    train(experiment, out=home / "runs" / name, resume=True)
    assert load(home / "runs" / name).sample(1).shape == (1, 2)


@pytest.mark.parametrize("name", ["line\nbreak", "[red]x", "\udcff\udcfe", "\x1b[31m"])
def test_commands_end_well_whatever_the_run_folder_is_called(cli: Any, home: Path, name: str) -> None:
    run = home / "runs" / name
    trained = cli("train", "ring.yaml", "--out", run)
    assert (trained.code, trained.err) == (0, "")
    assert "\x1b" not in trained.out
    for command in (("sample", run, "--count", 2), ("report", run), ("train", run, "--resume")):
        outcome = cli(*command)
        assert (outcome.code, outcome.err) == (0, "")
    assert (run / "samples-seed0.png").is_file()


def test_a_config_may_come_from_a_pipe(cli: Any, home: Path) -> None:
    os.mkfifo(home / "pipe")
    writer = threading.Thread(target=(home / "pipe").write_text, args=(RING,))
    writer.start()
    assert cli("train", home / "pipe", "--out", home / "run").code == 0
    writer.join()
    assert load(home / "run").step == 2


def test_a_config_may_come_from_a_slow_process(cli: Any, home: Path) -> None:
    os.mkfifo(home / "pipe")

    def write() -> None:
        with (home / "pipe").open("w") as pipe:
            for part in (RING[:50], RING[50:]):
                time.sleep(0.2)
                pipe.write(part)
                pipe.flush()

    writer = threading.Thread(target=write)
    writer.start()
    assert cli("explain", home / "pipe").code == 0
    writer.join()


def test_a_pipe_that_nobody_writes_into_is_refused(cli: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.files.PIPE_SECONDS", 0.1)
    os.mkfifo(home / "pipe")
    outcome = cli("explain", home / "pipe")
    assert outcome.code == 2
    assert "this is a pipe, and no process has written into it for 0.1 seconds" in outcome.err


@pytest.mark.slow
def test_a_config_may_come_from_the_standard_input(home: Path) -> None:
    command = [sys.executable, "-m", "ganframe", "train", "/dev/stdin", "--out=~/run"]
    subprocess.run(command, input=RING.encode(), check=True, capture_output=True)
    assert load(home / "run").step == 2
    wrong = RING.replace("total_images: 4", "total_images: no")
    failed = subprocess.run(command, input=wrong.encode(), capture_output=True, check=False)
    assert failed.returncode == 2
    assert b"/dev/stdin:8:" in failed.stderr
