"""A disk that is full, read-only, broken or gone ends a run with one clear error and exit code 1; the checkpoint before
is whole, and the run goes on bit-identically once there is room.

Every write of a run (config, environment, log, picture, checkpoint, report) is failed in turn, half of it done; real
file systems that are too small or read-only are mounted where the tests may do so; the run folder is removed under a
run.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from figures import Figures
from harness import Ended, Nursery, Undisturbed, assert_same, list_checkpoints, load
from nursery import Job

slow = pytest.mark.slow

OTHERS = (errno.EACCES, errno.EIO, errno.EDQUOT)

MOUNTS = (
    os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
)
"""Whether file systems can be mounted here."""


def assert_ended(ended: Ended, number: int) -> None:
    """One error that says what is wrong, where, and no more."""
    assert ended.code == 1
    assert ended.err.startswith("error: /")
    assert ended.err.endswith(f"cannot be written: {os.strerror(number)}\n")
    assert len(ended.err.splitlines()) == 1


def assert_goes_on(nursery: Nursery, whole: Undisturbed, run: Path) -> None:
    """Every checkpoint is whole, nothing is left of half a one, and the run ends like one that was let alone."""
    for checkpoint in list_checkpoints(run / "checkpoints"):
        load(checkpoint)
    assert not list(run.rglob(".*"))
    resume = ["--resume"] if run.is_dir() else []
    ended = nursery.run(Job(("train", str(whole.config), "--out", str(run), *resume)))
    assert (ended.code, ended.err) == (0, "")
    assert_same(run, whole.run)


def writes_of(nursery: Nursery, whole: Undisturbed, out: Path) -> int:
    child = nursery.start(Job(("train", str(whole.config), "--out", str(out)), place="any write", number=10**9))
    assert child.end().code == 0
    return child.visits


@pytest.mark.parametrize("part", [*range(5), pytest.param(None, marks=slow)])
def test_each_write_in_turn(
    part: int | None, nursery: Nursery, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    """All of them when slow; else the first, the last and three between."""
    whole = undisturbed("short")
    writes = writes_of(nursery, whole, tmp_path / "counted")
    assert writes > 60
    chosen = range(1, writes + 1) if part is None else [1 + part * (writes - 1) // 4]
    for number in chosen:
        run = tmp_path / f"run-{number}"
        job = Job(
            ("train", str(whole.config), "--out", str(run)),
            place="any write",
            number=number,
            what=f"error {errno.ENOSPC}",
        )
        assert_ended(nursery.run(job), errno.ENOSPC)
        assert_goes_on(nursery, whole, run)
        shutil.rmtree(run)
        figures.count("writes failed for want of room, of one run")


@pytest.mark.parametrize("number", [errno.EROFS, *(pytest.param(each, marks=slow) for each in OTHERS)])
@pytest.mark.parametrize("place", ["write", pytest.param("log", marks=slow)])
def test_other_refusals(
    number: int,
    place: str,
    nursery: Nursery,
    undisturbed: Callable[[str], Undisturbed],
    tmp_path: Path,
    figures: Figures,
) -> None:
    whole, run = undisturbed("plain"), tmp_path / "run"
    job = Job(("train", str(whole.config), "--out", str(run)), place=place, number=20, what=f"error {number}")
    assert_ended(nursery.run(job), number)
    assert_goes_on(nursery, whole, run)
    figures.count("writes refused as read-only, forbidden, broken or over quota")


@pytest.mark.parametrize("place", ["save", "snapshot", pytest.param("evaluation", marks=slow)])
def test_a_run_folder_that_vanishes_is_not_made_anew(
    place: str, nursery: Nursery, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    run = tmp_path / "run"
    job = ("train", str(undisturbed("plain").config), "--out", str(run), "--set", "snapshot.every_images=80")
    assert_ended(nursery.run(Job(job, place=place, number=1, what="vanish")), errno.ENOENT)
    assert not run.exists()
    figures.count("run folders that vanished")


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A file system in memory."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


if MOUNTS:

    @pytest.mark.parametrize("pages", [1, 16, *(pytest.param(pages, marks=slow) for pages in range(2, 31))])
    def test_a_file_system_that_is_too_small(
        pages: int, nursery: Nursery, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
    ) -> None:
        """It is full after so many pages of 4 KiB; then it grows."""
        whole = undisturbed("plain")
        with mounted(tmp_path / "disk", f"size={pages * 4096}") as disk:
            run = disk / "run"
            assert_ended(nursery.run(Job(("train", str(whole.config), "--out", str(run)))), errno.ENOSPC)
            subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
            assert_goes_on(nursery, whole, run)
        figures.count("file systems that were too small")

    def test_a_file_system_that_is_read_only(
        nursery: Nursery, undisturbed: Callable[[str], Undisturbed], tmp_path: Path
    ) -> None:
        """A new run is refused as input that can be mended; one that is there ends and is as it was."""
        whole = undisturbed("plain")
        with mounted(tmp_path / "disk", "size=100m") as disk:
            shutil.copytree(whole.run, disk / "run")
            shutil.rmtree(list_checkpoints(disk / "run" / "checkpoints")[0])
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            ended = nursery.run(Job(("train", str(whole.config), "--out", str(disk / "other"))))
            assert ended.code == 2
            assert ended.err.startswith(
                f"error: {disk / 'other'}: the run folder cannot be created: Read-only file system"
            )
            assert_ended(nursery.run(Job(("train", str(disk / "run"), "--resume"))), errno.EROFS)
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
            assert_goes_on(nursery, whole, disk / "run")
