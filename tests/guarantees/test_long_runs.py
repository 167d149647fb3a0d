"""A run may be long: memory and open files do not grow, the report stays below 5 MB, and the log can be read while it
is written.

A tiny run of 20,000 steps is watched while it takes them; a report is written of a million steps and of many large
pictures; a reader parses every whole line of a log over and over while a run writes it, is killed and resumed.
"""

from __future__ import annotations

import gc
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from figures import Figures
from harness import PLAIN, Nursery, Undisturbed, lines, scalars
from nursery import Job
from PIL import Image

from ganframe import hookimpl, load_config, train
from ganframe.evaluation.report import write_report
from ganframe.runs.folder import RunFolder
from ganframe.runs.logs import read_log

slow = pytest.mark.slow

MEBIBYTE = 2**20


class Watch:
    """Notes what the process holds, at even intervals."""

    def __init__(self, every: int) -> None:
        self.every, self.memory, self.files = every, list[int](), list[int]()

    @hookimpl
    def on_step_end(self, step: int) -> None:
        """Note it."""
        if step % self.every == 0:
            gc.collect()  # figures of Matplotlib are cycles, and when those are collected is Python's business
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory.append(pages * resource.getpagesize())
            self.files.append(len(list(Path("/proc/self/fd").iterdir())))


@pytest.mark.parametrize("steps", [1_000, pytest.param(20_000, marks=slow)])
def test_memory_and_open_files_do_not_grow(steps: int, tmp_path: Path, figures: Figures) -> None:
    """From the first tenth on, in which everything happens that happens later."""
    config = tmp_path / "config.yaml"
    config.write_text(PLAIN)
    often = steps * 4 // 20
    settings = (
        f"train={{images: {steps * 4}, batch_size: 4, device: cpu, ema: {{half_life_images: 100}}}}",
        f"checkpoint.every_images={often}",
        f"evaluate.every_images={often}",
        f"snapshot={{every_images: {often}, count: 4}}",
    )
    watch = Watch(steps // 20)
    train(load_config(str(config), *settings), out=tmp_path / "run", hooks=[watch])
    assert len(watch.memory) == 20
    growth = (max(watch.memory[10:]) - max(watch.memory[2:10])) / MEBIBYTE
    assert growth < 4, watch.memory
    assert max(watch.files[2:]) == watch.files[2]
    figures.worst("steps taken", steps)
    figures.worst("growth of memory over their second half, MiB", max(growth, 0.0))
    figures.worst("growth of open files", max(watch.files[2:]) - watch.files[2])


@pytest.mark.parametrize("count", [21_000, pytest.param(1_000_000, marks=slow)])
def test_the_report_of_a_long_run_is_small(
    count: int, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    """Its pictures are noise, of which nothing can be compressed away."""
    folder = RunFolder(tmp_path / "run")
    (folder.pictures).mkdir(parents=True)
    for name in ("config.yaml", "environment.json"):
        (folder.path / name).write_bytes((undisturbed("plain").run / name).read_bytes())
    names = [f"{turn}/term {number}" for turn in ("discriminator", "generator") for number in range(4)]
    with folder.scalars.open("w") as log:
        for step in range(1, count + 1):
            line = {"step": step, "images": step * 64, "images per second": 1.5} | dict.fromkeys(names, step % 7)
            if step % 20 == 0:
                line |= {f"discriminator/discriminator accuracy on {side}": 0.75 for side in ("real", "fake")}
            log.write(json.dumps(line) + "\n")
    measured = [json.dumps({"step": step, "images": step * 64, "fid/fid": 9.5}) for step in range(5_000)]
    folder.metrics.write_text("\n".join(measured) + "\n")
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder.samples, compress_level=1)
    for step in range(100):
        os.link(folder.samples, folder.pictures / f"{step:09d}.png")
    assert folder.samples.stat().st_size > 7_000_000
    size = write_report(folder).stat().st_size
    assert size < 5_000_000
    text = folder.report.read_text()
    assert f"{count:,} steps" in text
    assert "accuracy" in text
    assert text.count("<img") == 9
    figures.worst("largest report, MB", size / 1e6)


def test_means_stand_for_what_is_left_out_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f'{{"step": {n}, "images": {n * 2}, "x": {n}.5}}\n' for n in range(1, 8)) + '{"step": 8')
    assert read_log(log, 8) == read_log(log) == lines_of(log)
    assert read_log(log, 3) == [
        {"step": 3, "images": 6, "x": 2.5},
        {"step": 6, "images": 12, "x": 5.5},
        {"step": 7, "images": 14, "x": 7.5},
    ]


def lines_of(log: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in log.read_text().splitlines()[:-1]]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=slow)])
def test_a_log_can_be_read_while_it_is_written(
    kills: int, nursery: Nursery, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    """Each line is held in its middle for a moment; the reader sees whole lines, in the order of steps, and no gap."""
    whole, run = undisturbed("plain"), tmp_path / "run"
    reads = 0
    for number in range(kills):
        resume = ["--resume"] if run.is_dir() else []
        job = Job(
            ("train", str(whole.config), "--out", str(run), *resume),
            place="log",
            number=11 + 10 * (number % 3),
            what="hold",
        )
        child = nursery.start(job)

        def read() -> None:
            for log, every in (("scalars.jsonl", 1), ("metrics.jsonl", 8)):
                found = [line["step"] for line in read_log(run / log)]
                assert found == list(range(every, every * len(found) + 1, every))

        def watched(child: object = child) -> bool:
            nonlocal reads
            reads += 1
            read()
            return child.held

        if child.wait_until(watched):
            logs = [log.read_bytes() for log in run.glob("*.jsonl")]
            assert any(not text.endswith(b"\n") for text in logs)
            child.send(9)
        child.end()
        read()
    ended = nursery.run(Job(("train", str(whole.config), "--out", str(run), "--resume")))
    assert ended.code == 0
    assert scalars(run) == scalars(whole.run)
    assert lines(run / "metrics.jsonl") == lines(whole.run / "metrics.jsonl")
    figures.count("reads of a log while it was written, all of them of whole lines", reads)
