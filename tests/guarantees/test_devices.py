"""A run on several processes, on one machine or many, takes the same steps as on one, whatever their number.

For every loss, penalty and label policy that is installed, for ADA's controller, clipping, unrolling, balancers, turns
under conditions, frozen parts and growing networks, two steps on 2 and on 4 gloo ranks are compared with two steps of
one process over the whole batch, in float64: weights, buffers, running statistics and pools of past fakes, on every
rank; with sharded parameters too. Whole runs are started with torchrun, end when a rank is killed, and go on with
another number of ranks.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sharing
import torch
from safetensors.torch import load_file
from torch import Tensor

from ganframe import load_config, train
from ganframe.plugins.discovery import installed
from ganframe.runs.checkpoint_files import list_checkpoints, load

RATE = 0.01
SIZE = 8
POINTS = {"type": "mlp", "hidden": [8], "latent": 4, "output": "linear"}
JUDGE = {"type": "mlp", "hidden": [8]}
PLAIN: dict[str, Any] = {
    "game": {"type": "adversarial", "generator": POINTS, "discriminator": JUDGE},
    "losses": ["non-saturating"],
    "data": "ring",
}
DIGITS = {
    **PLAIN,
    "game": {
        "type": "adversarial",
        "generator": {"type": "mlp", "hidden": [8], "latent": 4},
        "discriminator": {"type": "dcgan", "channels": 2},
    },
    "data": "digits",
}
CYCLE: dict[str, Any] = {
    "game": {
        "type": "cycle",
        "generator": {"type": "resnet", "channels": 2, "blocks": 1},
        "discriminator": {"type": "patchgan", "channels": 2, "receptive_field": 16},
        "pool": 10,
    },
    "losses": ["least-squares"],
    "data": {"type": "fluent-emoji", "paired": False},
}
AUTOENCODER = {**PLAIN, "game": {**PLAIN["game"], "discriminator": {"type": "autoencoder", "hidden": [8], "code": 4}}}
CLASSES = {
    **PLAIN,
    "game": {**PLAIN["game"], "discriminator": {"type": "class-head", "of": JUDGE}, "condition": "label"},
}
SEMI_SUPERVISED: dict[str, Any] = {
    "game": {
        "type": "sgan",
        "generator": {"type": "dcgan", "channels": 2, "latent": 4},
        "discriminator": {"type": "sgan", "channels": 2},
    },
    "losses": ["non-saturating"],
    "data": {"type": "partly-labelled", "data": "digits", "labels": 100},
}

HOSTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cycle": (CYCLE, {}),
    "identity": (CYCLE, {}),
    "l1": (CYCLE, {"prediction": "reconstructed_a", "target": "real_a"}),
    "l2": (CYCLE, {"prediction": "reconstructed_a", "target": "real_a"}),
    "ssim": (CYCLE, {"prediction": "reconstructed_a", "target": "real_a"}),
    "perceptual": (CYCLE, {"prediction": "reconstructed_a", "target": "real_a", "encoder": "random-convolutions"}),
    "latent-reconstruction": (PLAIN, {"latent": "real", "reconstruction": "fake"}),
    "negative-log-likelihood": ({**PLAIN, "game": {**PLAIN["game"], "generator": "gaussian"}}, {}),
    "classification": (SEMI_SUPERVISED, {}),
    "auxiliary-classification": (CLASSES, {}),
    "energy": (AUTOENCODER, {}),
    "pulling-away": (AUTOENCODER, {}),
    "mmd": ({"game": {"type": "moment-matching", "generator": POINTS}, "data": "ring"}, {}),
    "consistency": (PLAIN, {"augmentation": {"type": "instance-noise", "sigma": 0}}),
}
"""Where a term cannot join the plain game over points: the experiment that it joins, and what it must be told."""


SHARDED = ("feature-matching", "path-length", "r1", "wgan-gp")


def case(kind: str, name: str, *, shard: bool = False) -> dict[str, Any]:
    """A small experiment with this component in it."""
    host, settings = HOSTS.get(name, (PLAIN, {}))
    component = {"type": name, **settings}
    if kind == "loss":
        host = {**host, "losses": [component]}
    elif kind == "regularizer":
        host = {**host, "regularizers": [component]}
    elif kind == "label policy":
        host = {**host, "losses": [{"type": "non-saturating", "labels": [component]}]}
    elif name == "ada":
        # Its draws are a rank's own, so that only what it counts up to its first change can be compared.
        host = {**DIGITS, "augmentations": [{"type": "ada", "interval": 3}]}
    elif name == "unrolled":
        host = {**PLAIN, "game": {"type": "unrolled", "of": PLAIN["game"], "steps": 2}}
    train = {"images": 1000, "batch_size": SIZE, "device": "cpu", "shard": shard}
    turns = {"discriminator", "generator"}
    if host["game"]["type"] == "cycle":
        turns = {"discriminators", "generators"}
    elif host["game"]["type"] == "moment-matching":
        turns = {"generator"}
    return {**host, "train": train, "optimizers": {turn: {"type": "sgd", "lr": RATE} for turn in turns}}


def clipped(*, shard: bool = False) -> dict[str, Any]:
    """An experiment whose gradients are longer than they may be."""
    plain = case("regularizer", "lecam", shard=shard)
    settings = {"type": "sgd", "lr": RATE, "clip_gradient_norm": 0.1}
    return {**plain, "optimizers": dict.fromkeys(("discriminator", "generator.generator"), settings)}


def balanced(balancer: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An experiment in which the adversarial term and feature matching are weighed by their gradients."""
    return {**case("regularizer", "feature-matching"), "balancers": {"generator": balancer}, **more}


def special_cases() -> dict[str, dict[str, Any]]:
    """Experiments for what is no component of a term: balancers, conditions, frozen parts, growth, averages."""
    plain = case("loss", "non-saturating")
    half_life = {"type": "linear", "start": 20, "end": 5}
    adaptive = {"type": "adaptive-weight", "terms": ["non-saturating"], "reference_terms": ["feature-matching"]}
    accuracy = {"type": "discriminator-accuracy"}
    stages = [{"from_images": 0, "downscale": 2}, {"from_images": SIZE, "downscale": 1, "fade_images": 4 * SIZE}]
    return {
        "moving averages": {
            **plain,
            "train": {**plain["train"], "ema": {"half_life_images": half_life, "ramp_up": 0.5}},
        },
        "gradient balancer": balanced(
            {"type": "gradient-balancer", "at": "fake", "terms": ["non-saturating", "feature-matching"]}
        ),
        "adaptive weight": balanced({**adaptive, "at": "generator.layers.1.weight"}),
        "adaptive weight over accumulated rounds": balanced(
            {**adaptive, "at": "generator.layers.1.weight"},
            train={**plain["train"], "gradient_accumulation_steps": 2},
        ),
        "turns under conditions": {
            **plain,
            "turn_conditions": {
                # Each is met in one of the two steps.
                "discriminator": {**accuracy, "at_most": 0.2},
                "generator": {"type": "probability", "p": 0.8},
            },
        },
        "frozen part": {**plain, "freeze": ["discriminator.hidden.0"]},
        "growing": {**plain, "game": "pair", "data": "random-images", "growth": {"stages": stages}},
    }


def cases() -> dict[str, dict[str, Any]]:
    clipping = {"clipped": clipped(), "clipped, sharded": clipped(shard=True)}
    sharded = {f"{name}, sharded": case("regularizer", name, shard=True) for name in SHARDED}
    wanted = [*_types("loss", "regularizer", "label policy"), ("augmentation", "ada"), ("game", "unrolled")]
    return {name: case(kind, name) for kind, name in wanted} | sharded | clipping | special_cases()


def _types(*kinds: str) -> list[tuple[str, str]]:
    return sorted({(cls.kind, cls.type_name()) for cls, _ in installed().registry if cls.kind in kinds})


RANKS = [2, pytest.param(4, marks=pytest.mark.slow)]


def torchrun(ranks: int, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str]:
    _, errors = process.communicate(timeout=seconds)
    return process.returncode, errors


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The folder with what so many ranks ended with."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "cases.json").write_text(json.dumps(cases()))

    @functools.cache
    def of(ranks: int) -> Path:
        (folder / str(ranks)).mkdir()
        script = Path(sharing.__file__)
        code, errors = finish(torchrun(ranks, script, folder / "cases.json", folder / str(ranks)))
        assert code == 0, errors[-3000:]
        return folder / str(ranks)

    return of


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("name", sorted(cases()))
def test_gradients_are_those_of_one_process(name: str, ranks: int, ended: Callable[[int], Path], figures: Any) -> None:
    alone = load_file(ended(1) / f"{name}.0.safetensors")
    errors = list[float]()
    for rank in range(ranks):
        shared = load_file(ended(ranks) / f"{name}.{rank}.safetensors")
        assert shared.keys() == alone.keys()
        errors += [_difference(shared[key], alone[key]) for key in alone]
    assert max(errors) < 1e-6
    figures.worst("largest difference of a gradient from that of one process", max(errors))
    figures.count(f"losses, penalties, label policies and other cases on {ranks} ranks")


def _difference(mine: Tensor, theirs: Tensor) -> float:
    """How far a gradient was off, as an optimizer step of size RATE shows it."""
    return float((mine.double() - theirs.double()).abs().max()) / RATE if mine.numel() else 0.0


CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [16], latent: 4, output: linear}
  discriminator: {type: mlp, hidden: [16]}
losses: [{type: non-saturating, labels: [{type: label-flipping, probability: 0.1}]}]
regularizers: [{type: r1, every: 3}]
data: ring
train: {images: 3_200, batch_size: 16, device: cpu, ema: {half_life_images: 100}}
evaluate: {metrics: [{type: mode-coverage, samples: 250}]}
checkpoint: {every_images: 80, keep: 2}
loggers: [{type: jsonl, every: 1}]
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def alone(config: Path) -> Path:
    """The run as one process trains it."""
    return train(load_config(str(config)), out=config.parent / "alone").path


def wait_for_step(run: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if list_checkpoints(run / "checkpoints") and (run / "scalars.jsonl").read_bytes().count(b"\n") >= step:
            return
        time.sleep(0.01)
    raise AssertionError("the run takes no steps")


def workers(process: subprocess.Popen[str]) -> list[int]:
    """The processes of the ranks, in order."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = {int(_environment(child)["RANK"]): int(child) for child in children if "RANK" in _environment(child)}
    return [found[rank] for rank in sorted(found)]


def _environment(process: str) -> dict[str, str]:
    pairs = Path(f"/proc/{process}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def assert_as_alone(run: Path, alone: Path) -> None:
    """Every step and measurement is there once, and the weights are those of one process but for rounding."""
    mine, theirs = (
        [json.loads(line) for line in (each / "scalars.jsonl").read_text().splitlines()] for each in (run, alone)
    )
    assert [line["step"] for line in mine] == [line["step"] for line in theirs]
    (_, state), (_, wanted) = (load(list_checkpoints(each / "checkpoints")[0]) for each in (run, alone))
    for player in ("player.generator", "player.discriminator", "averages"):
        for key, value in wanted[player].items():
            assert torch.allclose(state[player][key].double(), value.double(), rtol=1e-3, atol=1e-4), (player, key)
    assert state["progress"] == wanted["progress"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_a_run_is_the_same_on_any_number_of_ranks(ranks: int, config: Path, alone: Path, tmp_path: Path) -> None:
    code, errors = finish(torchrun(ranks, "-m", "ganframe", "train", config, "--out", tmp_path / "run"))
    assert code == 0, errors
    assert_as_alone(tmp_path / "run", alone)
    mine, theirs = (json.loads((run / "metrics.jsonl").read_text()) for run in (tmp_path / "run", alone))
    assert mine == pytest.approx(theirs, rel=0.05)
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
def test_a_sharded_run_goes_on_without_sharding(config: Path, alone: Path, tmp_path: Path) -> None:
    run, half = tmp_path / "run", ("--set", "train.images=1_600", "--set", "train.shard=true")
    code, errors = finish(torchrun(2, "-m", "ganframe", "train", config, "--out", run, *half))
    assert code == 0, errors
    train(load_config(str(config)), out=run, resume=True, allow_changes=["train.images", "train.shard"])
    assert_as_alone(run, alone)


@pytest.mark.parametrize(
    ("victim", "resumed_on"),
    [(1, 1), pytest.param(0, 4, marks=pytest.mark.slow), pytest.param(1, 2, marks=pytest.mark.slow)],
)
def test_a_killed_rank_ends_the_run_and_another_number_goes_on(
    victim: int, resumed_on: int, config: Path, alone: Path, tmp_path: Path, figures: Any
) -> None:
    run = tmp_path / "run"
    process = torchrun(2, "-m", "ganframe", "train", config, "--out", run)
    wait_for_step(run, 20)
    ranks = workers(process)
    os.kill(ranks[victim], signal.SIGKILL)
    killed = time.monotonic()
    code, _ = finish(process, 60)
    assert code != 0
    assert not any(Path(f"/proc/{rank}").exists() for rank in ranks)
    took = time.monotonic() - killed
    code, errors = finish(torchrun(resumed_on, "-m", "ganframe", "train", run, "--resume"))
    assert code == 0, errors
    assert_as_alone(run, alone)
    figures.worst("seconds from the death of a rank to the end of all", took)
    figures.count("runs of which a rank was killed, gone on with as if nothing had been")


@pytest.mark.slow
def test_a_signal_ends_all_ranks_with_a_checkpoint_of_the_same_step(config: Path, alone: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = torchrun(2, "-m", "ganframe", "train", config, "--out", run, "--set", "checkpoint.every_images=160")
    wait_for_step(run, 15)
    process.send_signal(signal.SIGTERM)
    finish(process, 60)
    last = len((run / "scalars.jsonl").read_text().splitlines())
    assert load(list_checkpoints(run / "checkpoints")[0])[0] == last
    code, errors = finish(torchrun(2, "-m", "ganframe", "train", run, "--resume"))
    assert code == 0, errors
    assert_as_alone(run, alone)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["train.batch_size=15"], "train.batch_size: a batch of 15 cannot be shared equally by 2 processes"),
        pytest.param(["losses.0.type=hinges"], "unknown loss 'hinges'", marks=pytest.mark.slow),
    ],
)
def test_bad_input_is_said_once(settings: list[str], said: str, config: Path, tmp_path: Path) -> None:
    changes = [part for setting in settings for part in ("--set", setting)]
    code, errors = finish(torchrun(2, "-m", "ganframe", "train", config, "--out", tmp_path / "run", *changes))
    assert code != 0
    assert errors.count(said) == 1
    assert not (tmp_path / "run").exists()
