"""How p follows the discriminator, and that a resumed run continues with it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ganframe_ada import ADA
from torch import Tensor

from ganframe import load_config, train
from ganframe.config import BadInput, TensorSpec, has_hooks, hookimpl
from ganframe.runs.checkpoint_files import list_checkpoints
from ganframe.runs.checkpoint_files import load as load_checkpoint
from ganframe.runs.logs import read_log
from ganframe.testing.runs import InterruptAfter, Interrupted

DISCRIMINATOR, GENERATOR = "discriminator", "generator"


def controlled(**settings: Any) -> Any:
    return ADA(**settings).build()


def turn(
    live: Any, real: list[float], *, name: str = DISCRIMINATOR, fake: float = -1.0, size: int | None = None
) -> float:
    """Take a turn with these logits of reals, and return p after it."""
    logits = {("discriminator", "real"): torch.tensor(real), ("discriminator", "fake"): torch.full((8,), fake)}
    rounds = [SimpleNamespace(logits=logits, size=len(real) if size is None else size)]
    run = SimpleNamespace(
        game=SimpleNamespace(is_discriminator_turn=lambda turn: turn == DISCRIMINATOR), report=lambda *_: None
    )
    live.on_turn_end(run=run, turn=name, rounds=rounds)
    return live.p.item()


def test_p_rises_above_the_target_and_falls_below_it_after_each_interval():
    """With 4 turns of 10 reals and 500 images from 0 to 1, a step is 40 / 500."""
    live = controlled(images=500)
    high, low = [1.0] * 9 + [-1.0], [1.0] * 7 + [-1.0] * 3  # r = 0.8 and 0.4
    found = [turn(live, high) for _ in range(8)] + [turn(live, low) for _ in range(4)]
    assert found == pytest.approx([0, 0, 0, 0.08, 0.08, 0.08, 0.08, 0.16, 0.16, 0.16, 0.16, 0.08])


@pytest.mark.parametrize(("batch", "interval", "images"), [(64, 4, 500_000), (32, 2, 10_000)])
def test_the_step_is_batch_times_interval_over_images(batch: int, interval: int, images: int):
    live = controlled(interval=interval, images=images)
    for _ in range(interval * 3):
        turn(live, [2.0] * batch)
    assert live.p.item() == pytest.approx(3 * batch * interval / images)


def test_r_is_the_mean_over_the_interval_and_not_its_last_turn():
    """Signs of 1, 1, 1 and -0.4 have the mean 0.65; with -0.8 it is 0.55."""
    for last, expected in ((7, 0.08), (9, 0.0)):
        live = controlled(images=500)
        for _ in range(3):
            turn(live, [1.0] * 10)
        assert turn(live, [-1.0] * last + [1.0] * (10 - last)) == pytest.approx(expected)


def test_only_the_sign_of_logits_of_reals_counts():
    for real, fake in ((1e-3, 5.0), (1e6, -5.0)):
        live = controlled(images=500)
        assert [turn(live, [real] * 10, fake=fake) for _ in range(4)][-1] == pytest.approx(0.08)


def test_p_stays_between_0_and_1():
    live = controlled(images=100, interval=1, p=0.5)
    assert [turn(live, [1.0] * 30) for _ in range(3)] == pytest.approx([0.8, 1, 1])
    assert [turn(live, [-1.0] * 30) for _ in range(5)] == pytest.approx([0.7, 0.4, 0.1, 0, 0])


def test_at_the_target_p_does_not_change():
    live = controlled(interval=1, target=0.5, p=0.25)
    assert turn(live, [1.0, 1.0, 1.0, -1.0]) == 0.25


def test_turns_of_generators_and_turns_without_reals_do_not_count():
    live = controlled(images=500, interval=1)
    assert turn(live, [1.0] * 10, name=GENERATOR) == 0
    rounds = [SimpleNamespace(logits={("discriminator", "fake"): torch.ones(3)}, size=3)]
    run = SimpleNamespace(game=SimpleNamespace(is_discriminator_turn=lambda _: True), report=lambda *_: None)
    live.on_turn_end(run=run, turn=DISCRIMINATOR, rounds=rounds)
    assert turn(live, [1.0] * 10) == pytest.approx(0.02)


def test_many_logits_of_a_real_are_one_real():
    """Patches: 10 reals with 4 logits each move p as far as 10 reals with one."""
    live = controlled(images=500, interval=1)
    assert turn(live, [1.0] * 40, size=10) == pytest.approx(0.02)


def test_contests_and_rounds_of_a_turn_are_taken_together():
    live = controlled(images=500, interval=1)
    logits = {("one", "real"): torch.ones(10), ("two", "real"): torch.tensor([1.0] * 7 + [-1.0] * 3)}
    rounds = [SimpleNamespace(logits=logits, size=10), SimpleNamespace(logits=logits, size=10)]
    run = SimpleNamespace(game=SimpleNamespace(is_discriminator_turn=lambda _: True), report=lambda *_: None)
    live.on_turn_end(run=run, turn=DISCRIMINATOR, rounds=rounds)
    assert live.p.item() == pytest.approx(20 / 500)  # r = 0.7


def test_a_fixed_p_has_no_hooks_and_can_be_one_that_was_adapted_before():
    adapted = controlled(images=500, interval=1)
    turn(adapted, [1.0] * 10)
    fixed = controlled(p=0.3, adapt=False)
    assert has_hooks(adapted)
    assert not has_hooks(fixed)
    fixed.load_state_dict(adapted.state_dict())
    assert fixed.p.item() == pytest.approx(0.02)


CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, latent: 8, hidden: [16]}
  discriminator: {type: mlp, hidden: [16]}
losses: [non-saturating]
regularizers: [{type: r1, weight: 0.1, every: 2}]
data: digits
augmentations: [{type: ada, images: 400, interval: 2, target: -0.5}]
train: {images: 192, batch_size: 16, device: cpu}
checkpoint: {every_images: 16}
snapshot: {every_images: 192, count: 4}
"""


class Record:
    def __init__(self) -> None:
        self.p: list[float] = []

    @hookimpl
    def on_step_end(self, run: Any) -> None:
        self.p.append(run.assembly.augmentations[0].p.item())


def saved(out: Path) -> dict[str, Any]:
    _, sections = load_checkpoint(list_checkpoints(out / "checkpoints")[0])
    return sections


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.mark.parametrize("stop", [3, 6])
def test_p_and_its_accumulators_survive_a_resume_bit_for_bit(config: str, tmp_path: Path, stop: int):
    """Interrupted between two changes of p, and after one; the images that follow depend on p."""
    record = Record()
    train(load_config(config), out=tmp_path / "whole", hooks=[record])
    assert len(set(record.p)) > 2, "p must change for the test to be meaningful"
    resumed = tmp_path / "resumed"
    with pytest.raises(Interrupted):
        train(load_config(config), out=resumed, hooks=[InterruptAfter(stop)])
    again = Record()
    train(load_config(config), out=resumed, resume=True, hooks=[again])
    assert again.p == record.p[stop - 1 :]
    whole, other = saved(tmp_path / "whole"), saved(resumed)
    for section in ("augmentations", "player.generator", "player.discriminator"):
        assert whole[section].keys() == other[section].keys()
        for name, value in whole[section].items():
            assert isinstance(value, Tensor)
            assert torch.equal(value, other[section][name]), name
    assert {name.split(".")[1] for name in whole["augmentations"]} == {"p", "signs", "logits", "reals", "turns"}


def test_p_is_0_after_a_run_with_the_target_1_and_high_after_one_with_the_target_minus_1(config: str, tmp_path: Path):
    """r_t lies strictly between them for a discriminator that has not memorised its reals."""
    ends = {}
    for target in (1, -1):
        record = Record()
        settings = (f"augmentations.0.target={target}", "augmentations.0.p=0.2")
        train(load_config(config, *settings), out=tmp_path / str(target), hooks=[record])
        ends[target] = record.p[-1]
    assert ends[1] == 0
    assert ends[-1] == pytest.approx(0.2 + 192 / 400)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data=ring"], r"augmentations.0: 'ada' changes images, but an example here is 2 numbers"),
        (["losses=[least-squares]"], r"augmentations.0.adapt: .* has no meaning with 'least-squares'"),
    ],
)
def test_data_and_losses_that_do_not_fit_are_refused(config: str, tmp_path: Path, settings: list[str], message: str):
    with pytest.raises(BadInput) as problem:
        train(load_config(config, *settings), out=tmp_path / "run")
    assert re.search(message, str(problem.value))
    assert not (tmp_path / "run").exists()


def test_other_numbers_of_channels_are_refused():
    four = SimpleNamespace(discriminator_inputs=lambda: (TensorSpec((4, 8, 8)),))
    with pytest.raises(BadInput, match=r"1 or 3 channels, but these are 4 x 8 x 8\n.*groups: \[blit, geometry\]"):
        ADA().check(four, ())
    ADA(groups=("blit", "geometry")).check(four, ())


def test_p_is_logged(config: str, tmp_path: Path):
    folder = train(load_config(config, "loggers=[{type: jsonl, every: 1}]"), out=tmp_path / "run")
    logged = [line["ada/p"] for line in read_log(folder.scalars)]
    assert logged[0] == 0
    assert logged[-1] > 0


@pytest.mark.parametrize("settings", [{}, {"p": 0.0, "adapt": False}, {"groups": ("color",)}])
def test_at_p_of_zero_nothing_is_computed_or_drawn(settings: dict[str, Any]) -> None:
    live, generator = controlled(**settings), torch.Generator().manual_seed(1)
    before = generator.get_state()
    images, pair = torch.rand(4, 3, 8, 8), (torch.rand(4, 1, 8, 8), torch.rand(4, 3, 8, 8))
    assert live(images, generator) is images
    assert live(pair, generator) is pair
    assert torch.equal(generator.get_state(), before)
    live.p.fill_(1.0)
    assert not torch.equal(live(images, generator), images)


def test_as_soon_as_p_has_risen_something_is() -> None:
    live, generator = controlled(images=40, groups=("color",)), torch.Generator().manual_seed(1)
    images = torch.rand(8, 3, 8, 8)
    for _ in range(4):
        assert live(images, generator) is images
        turn(live, [1.0] * 8)
    assert live.p.item() == pytest.approx(0.8)
    assert not torch.equal(live(images, generator), images)
