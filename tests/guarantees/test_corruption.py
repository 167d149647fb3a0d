"""Every damage to a checkpoint is noticed and the file is named; the run, its samples and its measurements go on from
the last checkpoint that is whole, and say so.

Over every file of a checkpoint: bit flips, zeroed pages of 4 KiB and truncations at random places, each noticed by the
SHA-256 of the content; besides files that are missing or exchanged, checkpoints under a wrong name, and files where a
folder should be.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from figures import Figures
from harness import Nursery, Undisturbed, assert_same
from nursery import Job

import ganframe
from ganframe import BadInput
from ganframe.runs.checkpoint_files import list_checkpoints, load, load_latest


@pytest.fixture
def run(undisturbed: Callable[[str], Undisturbed], tmp_path: Path) -> Path:
    """A run that is over, to be damaged."""
    return Path(shutil.copytree(undisturbed("batch norm").run, tmp_path / "run"))


@pytest.fixture
def big(run: Path) -> Path:
    """The last checkpoint of a run, with tensors of several pages."""
    return list_checkpoints(run / "checkpoints")[0]


def _flip(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _zero_a_page(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content)) // 4096 * 4096
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))


def _truncate(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


@pytest.mark.parametrize(
    ("damage", "times", "what"),
    [
        (_flip, 200, "flipped bits"),
        (_zero_a_page, 50, "zeroed pages"),
        (_truncate, 50, "truncated files"),
    ],
)
def test_all_damage_is_noticed_and_named(
    big: Path, damage: Callable[[bytearray, random.Random], None], times: int, what: str, figures: Figures
) -> None:
    chance = random.Random(0)
    files = sorted(big.iterdir())
    assert max(file.stat().st_size for file in files) > 2 * 4096
    unnoticed = list[str]()
    for number in range(times):
        file = files[number % len(files)]
        whole = file.read_bytes()
        content = bytearray(whole)
        while content == whole:  # a page may be zero already
            damage(content, chance)
        file.write_bytes(content)
        try:
            load(big)
        except BadInput as problem:
            assert problem.place == str(file)
        else:
            unnoticed.append(f"{damage.__name__} {file.name}")
        file.write_bytes(whole)
    assert not unnoticed
    load(big)
    figures.count(f"{what}, all of them noticed", times)


def test_a_missing_file_is_named(big: Path, figures: Figures) -> None:
    for file in sorted(big.iterdir()):
        whole = file.read_bytes()
        file.unlink()
        with pytest.raises(BadInput, match="No such file") as problem:
            load(big)
        assert problem.value.place == str(file)
        file.write_bytes(whole)
        figures.count("files missing or exchanged, all of them noticed")


def test_exchanged_files_are_named(run: Path, figures: Figures) -> None:
    """With one of the same checkpoint, and with the same one of another."""
    latest, earlier = list_checkpoints(run / "checkpoints")
    one, other = latest / "player.generator.safetensors", latest / "averages.safetensors"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    with pytest.raises(BadInput, match="has changed") as problem:
        load(latest)
    assert problem.value.place in (str(one), str(other))
    one.write_bytes((earlier / one.name).read_bytes())
    other.write_bytes(second)
    with pytest.raises(BadInput, match="has changed") as problem:
        load(latest)
    assert problem.value.place == str(one)
    figures.count("files missing or exchanged, all of them noticed", 2)


def test_a_checkpoint_under_another_name_is_refused(run: Path) -> None:
    latest, earlier = list_checkpoints(run / "checkpoints")
    shutil.rmtree(latest)
    earlier.rename(latest)
    with pytest.raises(BadInput, match="this is the checkpoint of step 18"):
        load(latest)


def test_files_that_are_none_of_its_own_are_left_alone(big: Path) -> None:
    before = load(big)
    (big / "notes.txt").write_text("the good one")
    (big / "nested").mkdir()
    assert load(big)[0] == before[0]
    assert (big / "notes.txt").is_file()


def _spoil(checkpoint: Path) -> None:
    file = checkpoint / "player.generator.safetensors"
    content = bytearray(file.read_bytes())
    _flip(content, random.Random(0))
    file.write_bytes(content)


def _lose_its_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()


def _be_a_file(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.write_text("")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_spoil, "player.generator.safetensors: the content of this file has changed"),
        (_be_a_file, "manifest.json: this file of a checkpoint cannot be read: Not a directory"),
        pytest.param(_lose_its_manifest, "manifest.json: this file of a checkpoint cannot", marks=pytest.mark.slow),
    ],
    ids=["changed", "a file", "no manifest"],
)
def test_a_run_goes_on_from_the_last_whole_checkpoint(
    damage: Callable[[Path], None],
    said: str,
    nursery: Nursery,
    undisturbed: Callable[[str], Undisturbed],
    run: Path,
    tmp_path: Path,
) -> None:
    """The run resumes and samples from the checkpoint before; then the damaged one is set aside."""
    whole = undisturbed("batch norm")
    latest, earlier = list_checkpoints(run / "checkpoints")
    damage(latest)
    ended = nursery.run(Job(("sample", str(run), "--count", "4", "--out", str(tmp_path / "four.png"))))
    assert ended.code == 0
    assert ended.err.startswith(f"skipped a damaged checkpoint: {latest}/{said}")
    assert ganframe.load(run).step == int(earlier.name)
    ended = nursery.run(Job(("train", str(run), "--resume")))
    assert ended.code == 0
    assert ended.err.startswith(f"skipped a damaged checkpoint: {latest}/{said}")
    assert_same(run, whole.run)
    assert [path.name for path in list_checkpoints(run / "checkpoints")] == ["000000020", "000000018"]
    assert (run / "checkpoints" / "000000020.damaged").exists()


@pytest.mark.parametrize("command", [("train", "--resume"), ("sample",), ("evaluate", "--metric", "label-agreement")])
def test_where_none_is_whole_nothing_is_made_up(command: tuple[str, ...], nursery: Nursery, run: Path) -> None:
    for checkpoint in list_checkpoints(run / "checkpoints"):
        _spoil(checkpoint)
    before = sorted(run.rglob("*"))
    ended = nursery.run(Job((command[0], str(run), *command[1:])))
    assert ended.code == 2
    *skipped, last = ended.err.splitlines()
    assert [line.partition(":")[0] for line in skipped] == ["skipped a damaged checkpoint"] * 2
    assert last == f"error: {run / 'checkpoints'}: every checkpoint of this run is damaged"
    assert sorted(run.rglob("*")) == before


def test_a_file_in_place_of_all_checkpoints_is_named(nursery: Nursery, run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").write_text("")
    ended = nursery.run(Job(("train", str(run), "--resume")))
    assert (ended.code, ended.err) == (2, f"error: {run / 'checkpoints'}: this should be the folder of checkpoints\n")


def test_damaged_checkpoints_do_not_count_among_those_to_keep(
    nursery: Nursery, undisturbed: Callable[[str], Undisturbed], tmp_path: Path
) -> None:
    """A run that is damaged again and again always has a whole checkpoint to go back to."""
    whole, run = undisturbed("batch norm"), tmp_path / "run"
    start = ("train", str(whole.config), "--out", str(run))
    for number in range(3):
        job = Job((*start, *(["--resume"] if number else [])), place="renamed", number=4, what="hold")
        child = nursery.start(job)
        assert child.wait_until(lambda child=child: child.held)
        child.send(9)
        child.end()
        _spoil(list_checkpoints(run / "checkpoints")[0])
        found = load_latest(run / "checkpoints")
        assert found is not None
    ended = nursery.run(Job((*start, "--resume")))
    assert ended.code == 0
    assert_same(run, whole.run)


def test_tensors_of_a_checkpoint_lie_as_those_that_were_never_saved(big: Path) -> None:
    """On some processors sums depend on where tensors begin, so these begin where PyTorch itself lets them begin."""
    _, state = load(big)
    tensors = [each for room in state.values() for each in _tensors(room)]
    assert len(tensors) > 20
    assert all(each.data_ptr() % 64 == torch.empty(1).data_ptr() % 64 for each in tensors if each.numel())


def _tensors(tree: object) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    values = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [found for each in values for found in _tensors(each)]
