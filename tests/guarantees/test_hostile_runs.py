"""A stranger's run folder, whatever is wrong with it, is refused with its reason and exit code 2 or read as it is: in
bounded memory and time, without a traceback, without a character that steers the terminal, and nothing outside of it is
written.

Copies of small runs are spoilt at random: files are truncated, grown to 8 GB, changed, exchanged, linked, and replaced
by pipes and folders; values in configs, logs, checkpoints and headers of tensors by numbers of any size, other types,
lists and control characters, most of them under digests that hold. Each command gets 500 MB of address space above its
start and 10 seconds of a processor.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import hostile
import pytest
import safetensors.torch
import torch
from figures import Figures
from PIL import Image
from sandbox import Ended, Sandbox
from spoiling import spoil

from ganframe import load_config, train

RING = """\
game:
  type: adversarial
  generator: {type: mlp, latent: 4, hidden: [8], output: linear}
  discriminator: {type: mlp, hidden: [8]}
losses: [non-saturating]
regularizers: [{type: r1, every: 3}, {type: lecam}]
data: ring
train: {images: 64, batch_size: 8, device: cpu, ema: {half_life_images: 100}}
evaluate: {metrics: [{type: mode-coverage, samples: 50}], every_images: 32}
snapshot: {every_images: 32, count: 4}
checkpoint: {every_images: 32, keep: 2}
loggers: [{type: jsonl, every: 1}]
"""
DIGITS = """\
summary: Digits.
game:
  type: adversarial
  generator: {type: mlp, latent: 4, hidden: [8]}
  discriminator: {type: mlp, hidden: [8]}
  condition: label
losses: [hinge]
regularizers: [{type: path-length, every: 4}, feature-matching]
augmentations: [{type: ada, images: 100, interval: 2}]
balancers: {generator: {type: gradient-balancer, at: fake, terms: [hinge, feature-matching]}}
data: digits
train: {images: 64, batch_size: 8, device: cpu, ema: {half_life_images: 100}}
snapshot: {every_images: 32, count: 10}
checkpoint: {every_images: 32, keep: 2}
loggers: [{type: jsonl, every: 1}]
"""
EMOJI = """\
game:
  type: cycle
  generator: {type: resnet, channels: 2, blocks: 1}
  discriminator: {type: patchgan, receptive_field: 16, channels: 2, norm: instance}
  pool: 12
losses: [least-squares]
regularizers: [{type: cycle, weight: 10}]
data: {type: fluent-emoji, paired: false}
train: {images: 8, batch_size: 4, device: cpu}
snapshot: {count: 2}
loggers: [{type: jsonl, every: 1}]
"""
COMMANDS = ("report", "sample", "evaluate", "explain", "export", "train", "translate")
SHARE, FOLDERS = 6, 2000
"""Numbers of folders for every day, and for the full counts."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of a few steps."""
    folder, made = tmp_path_factory.mktemp("runs"), {}
    for name, text in {"ring": RING, "digits": DIGITS, "emoji": EMOJI}.items():
        (folder / f"{name}.yaml").write_text(text)
        made[name] = train(load_config(str(folder / f"{name}.yaml")), out=folder / name).path
    return made


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield sandbox
    sandbox.close()


def arguments(command: str, run: Path, images: Path = Path()) -> list[object]:
    """The arguments of a command that reads a run, and translates images."""
    more: dict[str, list[object]] = {
        "sample": [run, "--count", 4],
        "explain": [run / "config.yaml"],
        "train": [run, "--resume"],
        "export": [run, *(["--player", "g_ab"] if "emoji" in str(run) else [])],
        "evaluate": [run, *(["--metric", "mode-coverage"] if "ring" in str(run) else [])],
        "translate": [run, "--input", images, "--output", run.parent / "translated"],
    }
    return [command, *more.get(command, [run])]


def problem_of(ended: Ended) -> str:
    """What is wrong with the end of a command; empty if nothing is."""
    if ended.code not in (0, 2):
        return f"exit code {ended.code}"
    if "Traceback" in ended.err:
        return "a traceback"
    if ended.code == 2 and not ended.err.strip():
        return "no reason"
    if len(ended.err) > 20_000:
        return "an endless message"
    raw = [char for char in ended.out + ended.err if not char.isprintable() and char not in "\n\ufffd"]
    return f"the characters {raw[:3]}" if raw else ""


@pytest.mark.parametrize("number", [pytest.param(SHARE), pytest.param(FOLDERS, marks=pytest.mark.slow)])
def test_a_run_that_was_spoilt(
    number: int, runs: dict[str, Path], sandbox: Sandbox, tmp_path: Path, figures: Figures
) -> None:
    wrong = list[str]()
    for command in COMMANDS:  # the first of each kind imports what it needs
        sandbox.run(*arguments(command, runs["ring"], runs["ring"] / "pictures"))
    for case in range(number):
        chance = random.Random(case)
        name = chance.choice(sorted(runs))
        run = Path(shutil.copytree(runs[name], tmp_path / f"{name}-{case}" / name))
        secret = tmp_path / "secret"
        secret.write_text("{}\n")
        did = spoil(run, secret, chance)
        kept = secret.read_bytes()
        commands = chance.sample(COMMANDS, 1 if number == SHARE else 2)
        # A config may ask for years of training.
        for command in commands if "config.yaml" not in did else ["explain", "sample"]:
            ended = sandbox.run(*arguments(command, run, runs[name] / "pictures"))
            if problem := problem_of(ended):
                wrong.append(f"{case} {name}: {did}; {command}: {problem}: {ended.err[-1500:]}")
            if secret.read_bytes() != kept:
                wrong.append(f"{case} {name}: {did}; {command}: wrote into a file outside")
            figures.count("commands on spoilt run folders, all of them with exit code 0 or 2")
            figures.worst("seconds of a processor that one took, at most", round(ended.seconds, 1))
            figures.worst("address space that one took above its start, at most, MiB", round(ended.memory))
        figures.count("run folders that were spoilt at random")
        shutil.rmtree(run.parent)
    assert not wrong, "\n".join([f"{len(wrong)} of {number}", *wrong[:20]])


def _picture(run: Path, side: int, *, whole: bool) -> None:
    """A picture of so many pixels a side, or only a header that claims it."""
    if whole:
        Image.new("L", (side, side)).save(run / "samples.png")
        return
    content = bytearray((run / "samples.png").read_bytes())
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (run / "samples.png").write_bytes(bytes(content) + bytes(200_000))


def _log(run: Path, count: int) -> None:
    names = {f"t{number} accuracy on real/{number}": 1.0 for number in range(count)}
    lines = [json.dumps({"step": step, "images": step, **names}) for step in (1, 2, 3)]
    (run / "scalars.jsonl").write_text("\n".join(lines) + "\n")


def _grow(name: str) -> Callable[[Path], None]:
    return lambda run: os.truncate(sorted(run.glob(name))[-1], 30 * 2**30)


def _write(name: str, text: str) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        (run / name).write_text(text)

    return spoil


def _spec(run: Path, real: object) -> None:
    (run / "data.json").write_text(json.dumps({"real": {"shape": real, "classes": None}}))


KINDS: dict[str, tuple[Callable[[Path], None], dict[str, str]]] = {
    "a picture of 26000 x 26000": (lambda run: _picture(run, 26_000, whole=True), {"report": ""}),
    "a header of 200000 x 200000": (lambda run: _picture(run, 200_000, whole=False), {"report": ""}),
    "400 names": (lambda run: _log(run, 400), {"report": ""}),
    "a log of 30 GB": (_grow("scalars.jsonl"), {"report": "this line has more than", "train": "this line has more"}),
    "metrics of 30 GB": (_grow("metrics.jsonl"), {"report": "this line has more than", "train": "this line has more"}),
    "an environment of 30 GB": (_grow("environment.json"), {"report": "has at most", "train": "has at most"}),
    "a spec of 30 GB": (_grow("data.json"), {"sample": "has at most", "train": "has at most"}),
    "a manifest of 30 GB": (_grow("checkpoints/*/manifest.json"), {"sample": "skipped a damaged checkpoint"}),
    "a state of 30 GB": (_grow("checkpoints/*/state.json"), {"sample": "skipped a damaged checkpoint"}),
    "weights of 30 GB": (_grow("checkpoints/*/averages.safetensors"), {"sample": "skipped a damaged checkpoint"}),
    "a config of 30 GB": (_grow("config.yaml"), {"sample": "at most 250,000 characters"}),
    "a comment of a million characters": (
        _write("config.yaml", f"# {'x' * 1_000_000}\nseed: 1\n"),
        {"explain": "at most 250,000 characters"},
    ),
    "YAML 1.1": (
        _write("config.yaml", f"%YAML 1.1\n---\nseed: {'59:' * 80_000}59\n"),
        {"explain": "the directive %YAML 1.1 is not allowed"},
    ),
    "20,000 values": (_write("config.yaml", f"losses: [{'1, ' * 20_000}]"), {"explain": "at most 10,000 values"}),
    "a shape of 10^12": (lambda run: _spec(run, [10**12]), {"sample": "an example has at most", "train": "at most"}),
    "a damaged spec": (_write("data.json", "{"), {"train": "data.json: this is not what a run writes"}),
    "a folder for a log": (lambda run: (run / "report.html").unlink() or (run / "report.html").mkdir(), {"report": ""}),
}
"""What strangers sent, and what each command says to it."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind.startswith("a picture") else []) for kind in KINDS]
)
def test_what_strangers_sent(kind: str, runs: dict[str, Path], sandbox: Sandbox, tmp_path: Path) -> None:
    spoil, said = KINDS[kind]
    run = Path(shutil.copytree(runs["ring"], tmp_path / "ring"))
    spoil(run)
    for command, reason in said.items():
        ended = sandbox.run(*arguments(command, run))
        assert problem_of(ended) == "", ended.err[-1000:]
        assert reason in ended.err
        assert not reason or ended.code == 2 or reason.startswith("skipped")


def test_a_report_says_what_it_does_not_show(runs: dict[str, Path], sandbox: Sandbox, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs["ring"], tmp_path / "ring"))
    _picture(run, 26_000, whole=False)
    _log(run, 400)
    assert sandbox.run("report", run).code == 0
    page = (run / "report.html").read_text()
    assert "samples.png is too large to be shown here: 26000 x 26000 pixels." in page
    assert "380 more curves are not drawn." in page


RETYPED = {"int64": torch.int64, "complex64": torch.complex64, "float64": torch.float64, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "int64" else pytest.mark.slow) for n in RETYPED])
@pytest.mark.parametrize("section", ["averages", "term.lecam", "optimizers", "player.discriminator"])
def test_numbers_of_another_type_are_not_converted(
    section: str, name: str, runs: dict[str, Path], sandbox: Sandbox, tmp_path: Path
) -> None:
    if (section, name) == ("term.lecam", "float64"):
        pytest.skip("a run in float64 has such means")
    run = Path(shutil.copytree(runs["ring"], tmp_path / "ring"))
    file = hostile.last(run) / f"{section}.safetensors"
    held = safetensors.torch.load(file.read_bytes())
    key = sorted(key for key, value in held.items() if value.is_floating_point())[-1]
    hostile.replaced(file.name, safetensors.torch.save(held | {key: held[key].to(RETYPED[name])}))(run)
    ended = sandbox.run("train", run, "--resume")
    assert (ended.code, problem_of(ended)) == (2, "")
    assert f"is {name}" in ended.err
    if section == "averages":
        ended = sandbox.run("sample", run)
        assert (ended.code, problem_of(ended)) == (2, "")
        assert f"is {name}, and not float32" in ended.err


def test_a_write_does_not_reach_another_name_of_the_file(
    runs: dict[str, Path], sandbox: Sandbox, tmp_path: Path
) -> None:
    """Drafts, logs that a run appends to, and what is replaced when a run goes on."""
    run = Path(shutil.copytree(runs["ring"], tmp_path / "ring"))
    hostile.last(run)
    others = dict[Path, bytes]()
    names = ("scalars.jsonl", "metrics.jsonl", "samples.png", "report.html", "data.json", "environment.json")
    for name in names:
        os.link(run / name, tmp_path / name)
        (tmp_path / f"{name}.draft").write_text("mine")
        os.link(tmp_path / f"{name}.draft", run / f".{name}.draft")
        others |= {path: path.read_bytes() for path in (tmp_path / name, tmp_path / f"{name}.draft")}
    longer = ("--set", "train.images=128", "--allow-changes", "train")
    assert sandbox.run("report", run).code == 0
    ended = sandbox.run("train", run, "--resume", *longer)
    assert ended.code == 0, ended.err
    assert len((run / "scalars.jsonl").read_text().splitlines()) == 16
    assert {path: path.read_bytes() for path in others} == others


STEERING = ("\x1b]52;c;aGFja2Vk\x07", "\x9b31m", "\u202e", "\r", "\x7f", "\0")


@pytest.mark.parametrize(
    "text", [pytest.param(t, marks=pytest.mark.slow if n else [], id=ascii(t)) for n, t in enumerate(STEERING)]
)
def test_text_of_a_file_does_not_steer_the_terminal(
    text: str, runs: dict[str, Path], sandbox: Sandbox, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(runs["ring"], tmp_path / "ring"))
    config = (run / "config.yaml").read_text()
    for changed in (
        f"summary: {json.dumps(text)}\n{config}",
        f"{json.dumps(text)}: 1\n{config}",
        config.replace("type: mlp", f"type: {json.dumps(text)}"),
    ):
        (run / "config.yaml").write_text(changed)
        ended = sandbox.run("explain", run / "config.yaml")
        assert problem_of(ended) == ""
    assert repr(text)[1:-1] in ended.err.replace("\\\\", "\\")
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps(environment | {text: text}))
    (run / "config.yaml").write_text(config)
    ended = sandbox.run("train", run, "--resume")
    assert (ended.code, problem_of(ended)) == (0, "")
    assert repr(text)[1:-1] in ended.err
    if text != "\0":
        named = run.rename(tmp_path / f"a{text}b")
        assert problem_of(sandbox.run("report", named)) == ""
        (named / "link").symlink_to("/etc/passwd")
        ended = sandbox.run("report", named)
        assert (ended.code, problem_of(ended)) == (2, "")


def test_a_plugin_in_the_current_folder_is_not_imported(tmp_path: Path) -> None:
    """`python -m` puts the current folder first among those that modules and plugins are looked for in."""
    info = tmp_path / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ganframe]\ntoy = toy\n")
    (tmp_path / "toy.py").write_text("raise SystemExit('imported')\n")
    command = [sys.executable, "-m", "ganframe", "plugins"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "digits" in listed.stdout
    assert "toy" not in listed.stdout


def test_a_pool_of_other_images_is_refused(runs: dict[str, Path], sandbox: Sandbox, tmp_path: Path) -> None:
    """The memory of a game, under a manifest that holds."""
    for value in (torch.zeros(2, 3, 5, 5), torch.zeros(2, 3, 64, 64, dtype=torch.int64)):
        run = Path(shutil.copytree(runs["emoji"], tmp_path / f"emoji-{value.dtype}"))
        file = hostile.last(run) / "memory.safetensors"
        held = safetensors.torch.load(file.read_bytes())
        hostile.replaced(file.name, safetensors.torch.save({name: value.clone() for name in held}))(run)
        ended = sandbox.run("train", run, "--resume", "--set", "train.images=16", "--allow-changes", "train")
        assert (ended.code, problem_of(ended)) == (2, ""), ended.err
        assert "pool of past fakes" in ended.err
