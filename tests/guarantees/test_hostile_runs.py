"""A stranger's run folder, whatever is wrong with it, is refused with its reason and exit code 2 or read as it is: in
bounded memory and time, without a traceback, without a character that steers the terminal, and nothing outside of it is
written.

Copies of small runs are spoilt at random: files are truncated, grown to 8 GB, changed, exchanged, linked, and replaced by
pipes and folders; values in configs, logs, checkpoints and headers of tensors by numbers of any size, other types, lists
and control characters, most of them under digests that hold. Each command gets 500 MB of address space above its start and
10 seconds of a processor.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from figures import Figures
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
SHARE, FOLDERS = 40, 2000
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


def arguments(command: str, run: Path) -> list[object]:
    """The arguments of a command that reads a run."""
    more: dict[str, list[object]] = {
        "sample": [run, "--count", 4],
        "explain": [run / "config.yaml"],
        "train": [run, "--resume"],
        "export": [run, *(["--player", "g_ab"] if "emoji" in str(run) else [])],
        "evaluate": [run, *(["--metric", "mode-coverage"] if "ring" in str(run) else [])],
        "translate": [run, "--input", run / "pictures", "--output", run.parent / "translated"],
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
        sandbox.run(*arguments(command, runs["ring"]))
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
            ended = sandbox.run(*arguments(command, run))
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
