"""Checkpoints, the state of a run, and its folder: what lies on the disk, and what comes back, worked out by hand."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganframe import BadInput, RunFailed, hookimpl
from ganframe.builtin.optimizers import SGD, Adam, RMSprop
from ganframe.config.component_kinds import AugmentationConfig, GameConfig, OptimizerConfig
from ganframe.config.experiment import Checkpoint, Experiment, Train
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.terms import RegularizerConfig
from ganframe.errors import NotFinite
from ganframe.files import write_atomically
from ganframe.game.contest import Contest
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.turn import Turn
from ganframe.runs import folder as run_module
from ganframe.runs.checkpoint_files import checkpoint_errors, list_checkpoints, load, load_latest, mark_damaged, save
from ganframe.runs.folder import FolderTaken, RunFolder, default_folder
from ganframe.testing.fakes import FakeData, FakeDiscriminator, FakeGenerator
from ganframe.testing.runs import FakeLoss
from ganframe.training import optimizer_state
from ganframe.training import save_and_restore as state
from ganframe.training.assembly import assemble
from ganframe.training.ema import AveragedPlayers
from ganframe.training.plugin_hooks import RunHooks
from ganframe.training.run_state import Run

POINT = TensorSpec((2,))


def noticed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sign(checkpoint: Path, names: list[str] | None = None) -> None:
    """Write the manifest anew, as if a run had written these files."""
    names = names or [path.name for path in checkpoint.iterdir() if path.name != "manifest.json"]
    files = {name: sha((checkpoint / name).read_bytes()) for name in names}
    listed = {"files": files, "digest": sha(json.dumps(files).encode())}
    (checkpoint / "manifest.json").write_text(json.dumps(listed, indent=1))


# What lies on the disk.


def test_tensors_lie_in_a_file_for_each_section_and_the_rest_in_one(tmp_path: Path) -> None:
    sections = {
        "a": {"w": torch.tensor([1.0, 2.0]), "list": [torch.tensor(3), {"deep": torch.tensor([4.0])}], "name": "x"},
        "b": {"number": 0.5, "pair": (1, None)},
        "c": torch.tensor([5.0]),
    }
    saved = save(tmp_path / "checkpoints", 12, sections, keep=1)
    assert saved == tmp_path / "checkpoints" / "000000012"
    assert {path.name for path in saved.iterdir()} == {"a.safetensors", "c.safetensors", "state.json", "manifest.json"}
    found = load_file(saved / "a.safetensors")
    assert {name: each.tolist() for name, each in found.items()} == {"/w": [1, 2], "/list/0": 3, "/list/1/deep": [4]}
    assert {name: each.tolist() for name, each in load_file(saved / "c.safetensors").items()} == {"": [5]}
    rest = json.loads((saved / "state.json").read_text())
    assert rest["step"] == 12
    assert rest["sections"]["a"] == {
        "w": {"$tensor": "/w"},
        "list": [{"$tensor": "/list/0"}, {"deep": {"$tensor": "/list/1/deep"}}],
        "name": "x",
    }
    assert rest["sections"]["b"] == {"number": 0.5, "pair": [1, None]}


def test_a_manifest_has_the_digest_of_each_file_and_its_own(tmp_path: Path) -> None:
    saved = save(tmp_path, 1, {"a": {"w": torch.ones(2)}}, keep=1)
    listed = json.loads((saved / "manifest.json").read_text())
    files = {name: sha((saved / name).read_bytes()) for name in ("a.safetensors", "state.json")}
    assert listed["files"] == files
    assert listed["digest"] == sha(json.dumps(listed["files"]).encode())


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    sections = {"a": {"w": weight, "turned": weight.T, "half": torch.ones(1, dtype=torch.bfloat16)}, "b": [1, (2, "x")]}
    step, found = load(save(tmp_path, 7, sections, keep=1))
    assert step == 7
    assert found["a"]["w"].tolist() == [[1, 2], [3, 4]]
    assert found["a"]["turned"].tolist() == [[1, 3], [2, 4]]
    assert found["a"]["half"].dtype == torch.bfloat16
    assert not found["a"]["w"].requires_grad
    assert found["b"] == [1, [2, "x"]]


def test_the_latest_are_kept_counted_by_number(tmp_path: Path) -> None:
    for step in (7, 1_000_000_000, 999_999_999):
        save(tmp_path, step, {}, keep=3)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["1000000000", "999999999", "000000007"]
    save(tmp_path, 9, {}, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["1000000000", "999999999"]
    assert list_checkpoints(tmp_path / "none") == []


def test_a_step_that_is_saved_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    save(tmp_path, 3, {"a": {"w": torch.ones(1)}}, keep=2)
    save(tmp_path, 3, {"b": 2}, keep=2)
    assert load(list_checkpoints(tmp_path)[0]) == (3, {"b": 2})
    assert len(list_checkpoints(tmp_path)) == 1


@pytest.mark.parametrize("what", ["fsync", "rename"])
def test_a_checkpoint_that_cannot_be_written_leaves_those_before_it(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, {"a": 1}, keep=1)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync", full) if what == "fsync" else (Path, "rename", full)))
        with pytest.raises(RunFailed, match="No space left") as problem:
            save(tmp_path, 2, {"a": 2}, keep=1)
    assert str(tmp_path) in str(problem.value)
    assert [path.name for path in tmp_path.iterdir()] == ["000000001"]
    assert load(list_checkpoints(tmp_path)[0]) == (1, {"a": 1})


@pytest.mark.parametrize(("folder", "step"), [("draft", 1), ("", 2)])
def test_what_was_saved_goes_once_the_new_checkpoint_is_on_the_disk(
    folder: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, {"a": 1}, keep=1)
    place = tmp_path / f".{step:09d}.draft" if folder else tmp_path

    def full(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == place:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailed, match="No space left"):
        save(tmp_path, step, {"a": 2}, keep=1)
    assert load(tmp_path / "000000001") == (1, {"a": 1})


def test_a_checkpoint_leaves_no_file_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for step in (1, 2):
        save(tmp_path, step, {"a": torch.ones(1)}, keep=1)
        load(tmp_path / f"{step:09d}")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / ".000000001.draft").symlink_to(tmp_path / "other")
    save(folder, 1, {}, keep=1)
    assert (tmp_path / "other" / "file").exists()
    assert [path.name for path in folder.iterdir()] == ["000000001"]


def test_a_run_whose_folder_has_vanished_is_over(tmp_path: Path) -> None:
    with pytest.raises(RunFailed):
        save(tmp_path / "gone" / "checkpoints", 1, {}, keep=1)
    assert not (tmp_path / "gone").exists()


def test_every_byte_is_on_the_disk_before_a_checkpoint_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = list[str]()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()).removeprefix(str(tmp_path)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    save(tmp_path, 1, {"a": torch.ones(1)}, keep=1)
    draft = "/.000000001.draft"
    files = [f"{draft}/{name}" for name in ("a.safetensors", "state.json", "manifest.json")]
    assert synced == [*files, draft, ""]


# Damage.


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path / "checkpoints", 5, {"a": {"w": torch.ones(2)}, "b": 1}, keep=3)


def refused(saved: Path) -> BadInput:
    with pytest.raises(BadInput) as problem:
        load(saved)
    return problem.value


def test_a_changed_file_is_named(saved: Path) -> None:
    path = saved / "a.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    problem = refused(saved)
    assert "has changed" in problem.message
    assert problem.place == str(path)


def test_a_missing_file_is_named(saved: Path) -> None:
    (saved / "a.safetensors").unlink()
    problem = refused(saved)
    assert problem.message == "this file of a checkpoint cannot be read: No such file or directory"
    assert problem.place == str(saved / "a.safetensors")


def test_a_manifest_of_which_a_byte_has_changed_is_refused(saved: Path) -> None:
    path = saved / "manifest.json"
    path.write_bytes(path.read_bytes() + b" ")
    problem = refused(saved)
    assert "manifest has changed" in problem.message
    assert problem.place == str(path)


def test_a_manifest_that_is_none_is_refused(saved: Path) -> None:
    for content in (b"[]", b"{}", b"x", b'{"files": 3}'):
        (saved / "manifest.json").write_bytes(content)
        assert "cannot be read" in refused(saved).message


def test_a_checkpoint_under_another_name_is_refused(saved: Path) -> None:
    problem = refused(saved.rename(saved.with_name("000000006")))
    assert problem.message == "this is the checkpoint of step 5"


def test_files_that_no_run_writes_are_refused(saved: Path) -> None:
    cases = {
        "state.json": (b"{}", "not a checkpoint that a run wrote"),
        "a.safetensors": (b"x" * 20, "not in the safetensors format"),
    }
    for name, (content, said) in cases.items():
        before = (saved / name).read_bytes()
        (saved / name).write_bytes(content)
        sign(saved)
        assert said in refused(saved).message
        (saved / name).write_bytes(before)
    sign(saved, ["a.safetensors"])
    assert "not a checkpoint that a run wrote" in refused(saved).message
    sign(saved, ["state.json"])
    assert "not a checkpoint that a run wrote" in refused(saved).message
    sign(saved, ["a.safetensors", "state.json"])
    assert load(saved)[0] == 5


def test_the_latest_whole_one_is_read_and_damaged_ones_are_said(saved: Path, capsys: Any) -> None:
    folder = saved.parent
    for step in (6, 7):
        save(folder, step, {"b": step}, keep=3)
    assert load_latest(folder) == (7, {"b": 7})
    assert noticed(capsys) == ""
    (folder / "000000007" / "state.json").write_text("{}")
    assert load_latest(folder) == (6, {"b": 6})
    said = noticed(capsys)
    assert said.startswith("skipped a damaged checkpoint: ")
    assert said.count("skipped") == 1
    assert "000000007/state.json" in said
    for step in (5, 6):
        (folder / f"00000000{step}" / "state.json").unlink()
    with pytest.raises(BadInput, match="every checkpoint of this run is damaged") as problem:
        load_latest(folder)
    assert problem.value.place == str(folder)


def test_without_checkpoints_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "none") is None
    assert load_latest(tmp_path) is None
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="should be the folder of checkpoints"):
        load_latest(tmp_path / "file")


def test_a_reader_beside_a_run_that_keeps_one_checkpoint_reads_again(tmp_path: Path, capsys: Any) -> None:
    save(tmp_path, 1, {"a": torch.ones(1)}, keep=1)
    writer = threading.Thread(
        target=lambda: [save(tmp_path, step, {"a": torch.ones(1)}, keep=1) for step in range(2, 150)]
    )
    writer.start()
    reads, latest = 0, 0
    while writer.is_alive():
        found = load_latest(tmp_path)
        assert found is not None
        assert found[0] >= latest
        reads, latest = reads + 1, found[0]
    assert reads > 10
    assert noticed(capsys) == ""


def test_what_was_removed_or_replaced_while_it_was_read_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    read = load

    def removed(checkpoint: Path) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr("ganframe.runs.checkpoint_files.load", read)
        save(tmp_path, 2, {"a": 2}, keep=1)
        return read(checkpoint)

    def replaced(checkpoint: Path) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr("ganframe.runs.checkpoint_files.load", read)
        save(tmp_path, 2, {"a": 3}, keep=1)
        raise BadInput("half of each")

    save(tmp_path, 1, {"a": 1}, keep=1)
    for disturbed, value in ((removed, 2), (replaced, 3)):
        monkeypatch.setattr("ganframe.runs.checkpoint_files.load", disturbed)
        assert load_latest(tmp_path) == (2, {"a": value})
    assert noticed(capsys) == ""


def test_a_run_that_removes_checkpoints_faster_than_they_are_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def disturbed(checkpoint: Path) -> tuple[int, dict[str, Any]]:
        save(tmp_path, int(checkpoint.name) + 1, {}, keep=1)
        raise BadInput("gone")

    save(tmp_path, 1, {}, keep=1)
    monkeypatch.setattr("ganframe.runs.checkpoint_files.load", disturbed)
    with pytest.raises(BadInput, match="removes its checkpoints faster than they can be read") as problem:
        load_latest(tmp_path)
    assert "checkpoint.keep" in problem.value.remedy
    assert noticed(capsys) == ""


def test_later_checkpoints_are_set_aside_once(saved: Path) -> None:
    folder = saved.parent
    for step in (6, 7):
        save(folder, step, {"b": step}, keep=3)
    (folder / "000000007.damaged").mkdir()
    (folder / "000000007.damaged" / "older").touch()
    mark_damaged(folder, after=6)
    assert sorted(path.name for path in folder.iterdir()) == ["000000005", "000000006", "000000007.damaged"]
    assert not (folder / "000000007.damaged" / "older").exists()
    assert list_checkpoints(folder) == [folder / "000000006", folder / "000000005"]


def test_a_checkpoint_that_cannot_be_set_aside_ends_the_run(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(RunFailed, match=r"000000005.*Read-only file system"):
        mark_damaged(saved.parent, after=4)


@pytest.mark.parametrize("error", [RuntimeError, IndexError, KeyError, TypeError, ValueError, AttributeError])
def test_what_does_not_fit_is_the_config_s_problem(error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(BadInput) as problem, checkpoint_errors(tmp_path):
        raise error("two\n  lines")
    said = str(error("two\n  lines"))
    name = error.__name__
    expected = f"the checkpoint does not fit the run's config: {name}: {' '.join(said.split())}"
    assert problem.value.message == expected
    assert problem.value.place == str(tmp_path)


def test_other_errors_are_passed_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), checkpoint_errors(tmp_path):
        raise ZeroDivisionError


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailed, match="file: cannot be written: No space left"):
        write_atomically(path, b"three")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"two")]


# The state of a run.


class Pool(Game):
    inputs = ("real",)
    output = "fake"
    pictures = ()
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def player_specs(self) -> dict[str, PlayerSpec]:
        return {
            "generator": PlayerSpec(FakeGenerator(), ("generator",), POINT),
            "discriminator": PlayerSpec(FakeDiscriminator(), ("discriminator",), POINT),
        }

    @tensor
    def fake(self, game_round: Any) -> Tensor:
        raise NotImplementedError


class PoolConfig(GameConfig):
    type: Literal["pool"] = "pool"

    def build(self, data: DataSpec) -> Game:
        game = Pool(data)
        game.memory = {"pool": torch.zeros(2)}
        return game


class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(2))

    def forward(self, *given: Any) -> Tensor:
        return torch.zeros(())


class Keeping(RegularizerConfig):
    type: Literal["keeping"] = "keeping"

    def build(self) -> Any:
        return Kept()


class KeepingAugmentation(AugmentationConfig):
    type: Literal["keeping"] = "keeping"

    def build(self) -> nn.Module:
        return Kept()


class Hook:
    """Leaves a word in a checkpoint, and notes what it finds there."""

    found: Any = None

    @hookimpl
    def on_checkpoint_save(self, state: dict[str, object]) -> None:
        state["word"] = [1, "x"]

    @hookimpl
    def on_checkpoint_load(self, run: Run, state: Mapping[str, object]) -> None:
        self.found = dict(state), run.step, run.images, run.resumed


def started(path: Path, *, value: float = 0.0, hook: object = None, **changes: Any) -> Run:
    """A run whose every number is `value`, with an optimizer state for each parameter."""
    train = {"images": 640, "batch_size": 8, "device": "cpu"} | changes.pop("train", {})
    settings: dict[str, Any] = {
        "game": PoolConfig(),
        "losses": (FakeLoss(),),
        "regularizers": (Keeping(),),
        "augmentations": (KeepingAugmentation(),),
        "data": FakeData(),
        "checkpoint": Checkpoint(keep=2),
    } | changes
    experiment = Experiment(train=Train(**train), **settings)
    assembly = assemble(experiment, data={"real": POINT})
    averages = AveragedPlayers({"generator": assembly.game.players["generator"]}, 0.5)
    optimizers = assembly.optimizers()
    assembly.game.memory = {"pool": torch.full((2,), value)}
    for optimizer in cast(Any, optimizers).values():
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad = torch.ones_like(parameter)
        if value:
            optimizer.step()
    held = [*assembly.game.players.values(), *averages.players.values(), assembly.augmentations]
    held += [term.live for term in assembly.objective.terms if isinstance(term.live, nn.Module)]
    with torch.no_grad():
        for module in held:
            for each in (*module.parameters(), *module.buffers()):
                each.fill_(value)
    path.mkdir(exist_ok=True)
    hooks = RunHooks(*([hook] if hook else []))
    return Run(experiment, RunFolder(path), assembly, optimizers, averages, hooks)


def flat(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, (list, tuple)) else ()
    return [each for part in parts for each in flat(part)]


def test_a_checkpoint_has_every_part_of_a_run(tmp_path: Path) -> None:
    run = started(tmp_path, value=1.5, hook=Hook())
    run.step, run.images, run.rollbacks, run.evaluation_done = 7, 56, 2, False
    state.save_checkpoint(run)
    step, sections = load(tmp_path / "checkpoints" / "000000007")
    assert step == 7
    assert sections.keys() == {
        "player.generator", "player.discriminator", "term.keeping", "averages", "augmentations",
        "optimizers", "memory", "hooks", "progress", "settings",
    }  # fmt: skip
    for name in ("player.generator", "player.discriminator", "term.keeping", "augmentations", "memory"):
        assert flat(sections[name])
        assert all((each == 1.5).all() for each in flat(sections[name])), name
    assert sections["progress"] == {"images": 56, "rollbacks": 2, "looked": False, "turn_counts": {}}
    assert sections["hooks"] == {"word": [1, "x"]}
    assert sections["averages"]["generator.module.layer.weight"].tolist() == [[1.5] * 3] * 2
    for turn in ("discriminator", "generator"):
        assert sections["settings"]["optimizers"][turn]["type"] == "adam"
        count = len(list(run.game.players[turn].parameters()))
        assert sections["optimizers"][turn]["state"].keys() == {str(index) for index in range(count)}
        for each in sections["optimizers"][turn]["state"].values():
            # The gradient was 1, and the decay rates are 0.5 and 0.999.
            assert each["step"] == 1
            torch.testing.assert_close(each["exp_avg"], torch.full_like(each["exp_avg"], 0.5))
            torch.testing.assert_close(each["exp_avg_sq"], torch.full_like(each["exp_avg_sq"], 0.001))


def test_so_many_checkpoints_are_kept_as_the_config_says(tmp_path: Path) -> None:
    run = started(tmp_path, checkpoint=Checkpoint(keep=3))
    for run.step in (1, 2, 3, 4):
        state.save_checkpoint(run)
    assert [int(path.name) for path in list_checkpoints(run.folder.checkpoints)] == [4, 3, 2]


def test_only_the_main_process_writes_and_all_of_them_hear_the_hook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(tmp_path)
    monkeypatch.setenv("RANK", "1")
    state.save_checkpoint(run)
    assert not run.folder.checkpoints.exists()


SPOILT: dict[str, tuple[Callable[[Run], Tensor], str]] = {
    "player": (lambda run: run.game.players["generator"].layer.weight, "the player 'generator' (layer.weight)"),
    "average": (lambda run: run.averages.players["generator"].layer.bias, "the average of 'generator' (layer.bias)"),
    "optimizer": (
        lambda run: list(run.optimizers["discriminator"].state.values())[2]["exp_avg_sq"],
        "the optimizer of the turn 'discriminator' (exp_avg_sq of discriminator.judge.weight)",
    ),
    "term": (lambda run: run.assembly.objective.stateful_terms()["keeping"].kept, "the term 'keeping' (kept)"),
    "augmentation": (lambda run: run.assembly.augmentations[0].kept, "the augmentations (0.kept)"),
    "memory": (lambda run: run.game.memory["pool"], "the memory of the game (pool)"),
}  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", SPOILT)
def test_a_number_that_is_not_finite_is_found_wherever_it_is(where: str, number: float, tmp_path: Path) -> None:
    run = started(tmp_path, value=1.0)
    run.step = 6
    spoilt, said = SPOILT[where]
    with torch.no_grad():
        spoilt(run).view(-1)[-1] = number
    with pytest.raises(NotFinite) as problem:
        state.save_checkpoint(run)
    assert str(problem.value) == f"step 6: not finite: {said}"
    assert not run.folder.checkpoints.exists()


def test_no_hook_hears_of_a_checkpoint_that_is_refused(tmp_path: Path) -> None:
    told: list[int] = []

    class Told:
        @hookimpl
        def on_checkpoint_save(self, run: Run) -> None:
            told.append(run.step)

    run = started(tmp_path, value=1.0, hook=Told())
    run.game.memory["pool"][0] = torch.nan
    with pytest.raises(NotFinite):
        state.save_checkpoint(run)
    assert told == []


def test_a_list_in_an_optimizer_s_state_is_of_its_parameter(tmp_path: Path) -> None:
    run = started(tmp_path, value=1.0)
    next(iter(run.optimizers["generator"].state.values()))["past"] = [torch.tensor(torch.nan)]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(NotFinite, match=r"'generator' \(past.0 of generator.layer.weight\)$"):
        state.check_finite(run)


def test_three_tensors_of_a_part_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    run = started(tmp_path)
    run.game.memory = {name: torch.tensor(float("nan")) for name in "abc"} | {"list": [torch.tensor([1.0])]}
    with pytest.raises(NotFinite, match=r"the memory of the game \(a, b, c\)$"):
        state.check_finite(run)
    nan = torch.tensor(float("nan"))
    run.game.memory = {"a": {"b": [nan, nan]}, "c": (torch.ones(1), nan), "d": nan, "e": nan}
    with pytest.raises(NotFinite, match=r"the memory of the game \(a.b.0, a.b.1, c.1 and 2 more\)$"):
        state.check_finite(run)
    with torch.no_grad():
        run.game.players["generator"].layer.bias.fill_(nan)
    with pytest.raises(NotFinite, match=r"the player 'generator' \(layer.bias\); the memory of the game"):
        state.check_finite(run)


def test_whole_numbers_and_empty_tensors_are_finite(tmp_path: Path) -> None:
    run = started(tmp_path, value=1.0)
    run.game.memory = {"count": torch.tensor([2**40]), "empty": torch.zeros(0), "flags": torch.tensor([True])}
    state.check_finite(run)


class Part(Tensor):
    """A tensor of which this process has a half; the other is its inverse."""

    def full_tensor(self) -> Tensor:
        """All of it."""
        return torch.cat([self.as_subclass(Tensor), 1 / self.as_subclass(Tensor)])


def test_of_a_tensor_that_is_spread_over_processes_all_is_saved(tmp_path: Path) -> None:
    run = started(tmp_path)
    half = torch.tensor([1.0, 2.0]).as_subclass(Part)
    run.game.memory = {"a": {"list": [half, 3]}, "b": half}
    state.save_checkpoint(run)
    memory = load(list_checkpoints(run.folder.checkpoints)[0])[1]["memory"]
    assert memory["a"]["list"][0].tolist() == memory["b"].tolist() == [1, 2, 1, 0.5]
    assert memory["a"]["list"][1] == 3


def test_of_a_tensor_that_is_spread_over_processes_all_is_looked_at(tmp_path: Path) -> None:
    run = started(tmp_path)
    run.game.memory = {"a": torch.zeros(1).as_subclass(Part)}
    with pytest.raises(NotFinite, match="memory of the game"):
        state.check_finite(run)


def test_everything_comes_back(tmp_path: Path) -> None:
    before = started(tmp_path, value=1.5, hook=Hook())
    before.step, before.images, before.rollbacks, before.evaluation_done = 7, 56, 2, False
    cast(Any, before.optimizers["generator"]).param_groups[0]["lr"] = 0.125
    state.save_checkpoint(before)
    hook = Hook()
    run = started(tmp_path, value=0.25, hook=hook)
    run.game.memory = {"other": torch.ones(1)}
    state.restore(run)
    assert (run.step, run.images, run.rollbacks, run.evaluation_done, run.resumed) == (7, 56, 2, False, True)
    assert hook.found == ({"word": [1, "x"]}, 7, 56, True)
    assert run.game.memory.keys() == {"pool"}
    assert run.averages is not None
    parts = [*run.game.players.values(), *run.averages.players.values(), run.assembly.augmentations]
    parts.append(run.assembly.objective.stateful_terms()["keeping"])
    values = [*flat([part.state_dict() for part in parts]), run.game.memory["pool"]]
    assert len(values) == 2 + 6 + 2 + 1 + 1 + 1
    assert all((each == 1.5).all() for each in values)
    for turn, rate in (("discriminator", 0.0002), ("generator", 0.125)):
        optimizer: Any = run.optimizers[turn]
        assert optimizer.param_groups[0]["lr"] == rate
        assert len(optimizer.state) == len(optimizer.param_groups[0]["params"])
        assert all(each["step"] == 1 for each in optimizer.state.values())


def test_a_rank_waits_for_the_main_process_before_it_looks_for_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = started(tmp_path)
    before.step = 7
    monkeypatch.setattr(state, "barrier", lambda: state.save_checkpoint(before))
    run = started(tmp_path)
    state.restore(run)
    assert run.step == 7


def test_what_comes_back_is_shared_out_over_the_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.save_checkpoint(started(tmp_path, value=1.5))
    run = started(tmp_path, value=0.25)
    for module in (state, optimizer_state):
        monkeypatch.setattr(module, "distribute_like", lambda value, like: value + like.shape.numel())
    state.restore(run)
    weight = run.game.players["generator"].layer.weight
    assert (weight == 1.5 + weight.numel()).all()
    moments = cast(Any, run.optimizers["generator"]).state[weight]
    torch.testing.assert_close(moments["exp_avg"], torch.full_like(weight, 0.5 + weight.numel()))


def test_the_memory_comes_back_to_the_device_of_the_run(tmp_path: Path) -> None:
    run = started(tmp_path, value=1.5)
    state.save_checkpoint(run)
    run.assembly.device = torch.device("meta")
    state.restore(run)
    assert run.game.memory["pool"].device.type == "meta"


def test_a_run_without_checkpoints_begins_anew(tmp_path: Path) -> None:
    hook = Hook()
    run = started(tmp_path, value=0.25, hook=hook)
    state.restore(run)
    assert (run.step, run.images, run.resumed, run.evaluation_done, hook.found) == (0, 0, False, True, None)
    assert float(run.game.memory["pool"][0]) == 0.25


def test_a_restored_run_sets_damaged_checkpoints_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = started(tmp_path)
    for run.step in (3, 5):
        state.save_checkpoint(run)
    damaged = run.folder.checkpoints / "000000005"
    (damaged / "state.json").write_text("{}")
    monkeypatch.setenv("RANK", "1")
    state.restore(run)
    assert damaged.exists()
    monkeypatch.setenv("RANK", "0")
    state.restore(run)
    assert run.step == 3
    assert [path.name for path in list_checkpoints(run.folder.checkpoints)] == ["000000003"]
    assert damaged.with_name("000000005.damaged").exists()


def test_a_term_may_be_new_but_nothing_else(tmp_path: Path, capsys: Any) -> None:
    run = started(tmp_path, value=1.0, regularizers=())
    state.save_checkpoint(run)
    state.restore(started(tmp_path))
    assert noticed(capsys) == "no saved state; initialised fresh: term keeping\n"
    _, sections = load(list_checkpoints(run.folder.checkpoints)[0])
    for name, part in (("player.generator", "player generator"), ("averages", "averages")):
        save(run.folder.checkpoints, 9, {key: each for key, each in sections.items() if key != name}, keep=1)
        with pytest.raises(BadInput, match=f"does not fit this config: {part}: the run did not have it") as problem:
            state.restore(started(tmp_path))
        assert problem.value.remedy == "Start a new run with another --out."


def test_a_player_of_another_shape_is_named_with_its_tensor(tmp_path: Path) -> None:
    run = started(tmp_path)
    state.save_checkpoint(run)
    _, sections = load(list_checkpoints(run.folder.checkpoints)[0])
    sections["player.generator"]["layer.bias"] = torch.zeros(3)
    save(run.folder.checkpoints, 9, sections, keep=1)
    with pytest.raises(BadInput, match=r"this config: player generator: size mismatch for layer.bias"):
        state.restore(run)


def test_nothing_is_set_aside_by_a_run_that_cannot_go_on(tmp_path: Path) -> None:
    run = started(tmp_path)
    for run.step in (3, 5):
        state.save_checkpoint(run)
    damaged = run.folder.checkpoints / "000000005"
    (damaged / "state.json").write_text("{}")
    other = started(tmp_path, optimizers={"generator": RMSprop()})
    with pytest.raises(BadInput, match="does not fit this config"):
        state.restore(other)
    assert damaged.exists()


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyError])
def test_a_part_that_refuses_its_state_is_named(error: type[Exception], tmp_path: Path) -> None:
    run = started(tmp_path)
    state.save_checkpoint(run)

    def refuse(_state: object) -> None:
        raise error("count")

    run.assembly.objective.stateful_terms()["keeping"].load_state_dict = refuse
    with pytest.raises(BadInput, match=r"this config: term keeping: '?count"):
        state.restore(run)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyError, TypeError])
def test_an_optimizer_that_refuses_its_state_is_named(error: type[Exception], tmp_path: Path) -> None:
    run = started(tmp_path)
    state.save_checkpoint(run)

    def refuse(_state: object) -> None:
        raise error("count")

    cast(Any, run.optimizers["generator"]).load_state_dict = refuse
    with pytest.raises(BadInput, match=r"this config: optimizer generator: '?count"):
        state.restore(run)


def test_an_optimizer_that_the_run_did_not_have_is_refused(tmp_path: Path) -> None:
    run = started(tmp_path)
    state.save_checkpoint(run)
    _, sections = load(list_checkpoints(run.folder.checkpoints)[0])
    del sections["optimizers"]["generator"]
    save(run.folder.checkpoints, 9, sections, keep=1)
    with pytest.raises(BadInput, match="optimizer generator: the run did not have it"):
        state.restore(run)


def test_another_type_of_optimizer_is_refused(tmp_path: Path) -> None:
    state.save_checkpoint(started(tmp_path, value=1.0))
    run = started(tmp_path, optimizers={"generator": RMSprop()})
    with pytest.raises(BadInput, match="optimizer generator: the run had 'adam', and this is 'rmsprop'"):
        state.restore(run)


def test_an_optimizer_s_state_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    run = started(tmp_path, value=1.0)
    state.save_checkpoint(run)
    _, sections = load(list_checkpoints(run.folder.checkpoints)[0])
    sections["optimizers"]["generator"]["state"]["0"]["exp_avg"] = torch.zeros(1)
    save(run.folder.checkpoints, 9, sections, keep=1)
    with pytest.raises(BadInput, match="optimizer generator: 'exp_avg' is float32 of the shape"):
        state.restore(run)


def test_settings_of_an_optimizer_that_were_changed_hold_from_now_on(tmp_path: Path) -> None:
    before = started(tmp_path, value=1.0)
    for turn in ("generator", "discriminator"):
        cast(Any, before.optimizers[turn]).param_groups[0]["lr"] = 0.5
    state.save_checkpoint(before)
    run = started(tmp_path, optimizers={"generator": Adam(lr=0.125)})
    state.restore(run)
    rates = {turn: cast(Any, each).param_groups[0]["lr"] for turn, each in run.optimizers.items()}
    assert rates == {"generator": 0.125, "discriminator": 0.5}


# Going back.


def test_a_run_that_is_to_stop_does(tmp_path: Path) -> None:
    run = started(tmp_path)
    problem = NotFinite("spoilt")
    with pytest.raises(NotFinite) as raised:
        state.roll_back(run, problem)
    assert raised.value is problem
    assert run.rollbacks == 0


def test_a_run_goes_back_and_counts_it(tmp_path: Path, capsys: Any) -> None:
    run = started(tmp_path, value=1.0, train={"on_nonfinite": "rollback", "max_rollbacks": 3})
    run.step, run.images = 5, 40
    state.save_checkpoint(run)
    for number in (1, 2, 3):
        run.step, run.images = 7, 56
        for optimizer in cast(Any, run.optimizers).values():
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad = torch.full_like(parameter, float("nan"))
        with torch.no_grad():
            run.game.players["generator"].layer.bias.fill_(9)
        state.roll_back(run, NotFinite("spoilt"))
        assert (run.step, run.images, run.rollbacks) == (5, 40, number)
        assert noticed(capsys) == "went back from step 7 to 5: spoilt\n"
        assert run.game.players["generator"].layer.bias.tolist() == [1, 1]
        assert all(each.grad is None for player in run.game.players.values() for each in player.parameters())
    run.step = 7
    with pytest.raises(NotFinite) as problem:
        state.roll_back(run, NotFinite("spoilt"))
    assert str(problem.value) == "spoilt; the run went back 3 times already (train.max_rollbacks)"
    assert (run.step, run.rollbacks) == (7, 3)


# The state of an optimizer.


def moved(config: OptimizerConfig, *shapes: tuple[int, ...], steps: int = 1) -> Any:
    """An optimizer over parameters that have moved so often."""
    parameters = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    optimizer: Any = config.build(parameters)
    for _ in range(steps):
        for each in parameters:
            each.grad = torch.full_like(each, 0.5)
        optimizer.step()
    return optimizer


def saved_state(optimizer: Any) -> Any:
    return optimizer_state.state_dict(optimizer, optimizer.param_groups[0]["params"])


def test_the_keys_of_a_state_are_text(tmp_path: Path) -> None:
    found = saved_state(moved(SGD(momentum=0.5), (2,), (3,)))
    assert found["state"].keys() == {"0", "1"}
    assert found["state"]["1"]["momentum_buffer"].tolist() == [0.5, 0.5, 0.5]
    assert found["param_groups"][0]["momentum"] == 0.5
    assert found["param_groups"][0]["params"] == [0, 1]


@pytest.mark.parametrize(("settings", "rate", "momentum"), [(True, 0.25, 0.5), (False, 0.125, 0.75)])
def test_settings_come_back_or_stay(settings: bool, rate: float, momentum: float) -> None:
    saved = saved_state(moved(SGD(lr=0.25, momentum=0.5), (2,), (3,)))
    config = SGD(lr=0.125, momentum=0.75)
    optimizer = moved(config, (2,), (3,), steps=0)
    parameters = list(optimizer.param_groups[0]["params"])
    optimizer_state.load_state_dict(optimizer, config, parameters, saved, settings=settings)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"]) == (rate, momentum)
    assert all(mine is theirs for mine, theirs in zip(group["params"], parameters, strict=True))
    assert [optimizer.state[each]["momentum_buffer"].tolist() for each in parameters] == [[0.5] * 2, [0.5] * 3]


def loaded(config: OptimizerConfig, saved: Any, *shapes: tuple[int, ...]) -> Any:
    optimizer = moved(config, *shapes, steps=0)
    parameters = list(optimizer.param_groups[0]["params"])
    optimizer_state.load_state_dict(optimizer, config, parameters, saved, settings=True)
    return optimizer


def test_a_state_of_another_kind_is_refused() -> None:
    def saved() -> Any:
        return saved_state(moved(Adam(), (2,), (3,)))

    wrong = saved()
    wrong["state"]["1"]["exp_avg_sq"] = torch.zeros(2)
    with pytest.raises(ValueError, match=r"^'exp_avg_sq' is float32 of the shape \(2,\), and should be float32 of the"):
        loaded(Adam(), wrong, (2,), (3,))
    wrong = saved()
    del wrong["state"]["0"]["exp_avg"]
    with pytest.raises(ValueError, match=r"^'exp_avg' is missing, and should be float32 of the shape \(2,\)$"):
        loaded(Adam(), wrong, (2,), (3,))
    wrong = saved()
    wrong["state"]["0"]["exp_avg"] = "x"
    with pytest.raises(ValueError, match=r"^'exp_avg' is str, and should be float32 of the shape \(2,\)$"):
        loaded(Adam(), wrong, (2,), (3,))
    wrong = saved()
    wrong["state"]["2"] = wrong["state"]["0"]
    with pytest.raises(ValueError, match="there is a state for more than its 2 parameters"):
        loaded(Adam(), wrong, (2,), (3,))


def test_what_has_not_moved_yet_needs_no_state() -> None:
    saved = saved_state(moved(Adam(), (2,), (3,)))
    del saved["state"]["0"]
    optimizer = loaded(Adam(), saved, (2,), (3,))
    first, second = optimizer.param_groups[0]["params"]
    assert first not in optimizer.state
    assert optimizer.state[second]["step"] == 1


def test_what_comes_after_a_parameter_that_has_not_moved_is_checked_too() -> None:
    saved = saved_state(moved(Adam(), (2,), (3,)))
    del saved["state"]["0"]
    saved["state"]["1"]["exp_avg"] = torch.zeros(2)
    with pytest.raises(ValueError, match="'exp_avg' is float32 of the shape"):
        loaded(Adam(), saved, (2,), (3,))


def test_a_state_is_measured_by_the_settings_that_come_with_it() -> None:
    saved = saved_state(moved(RMSprop(), (2,)))
    saved["param_groups"][0]["centered"] = True
    with pytest.raises(ValueError, match="'grad_avg' is missing"):
        loaded(RMSprop(), saved, (2,))


def test_a_state_has_the_precision_of_its_parameter() -> None:
    def halved() -> tuple[nn.Parameter, Any]:
        parameter = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
        return parameter, Adam().build([parameter])

    parameter, optimizer = halved()
    parameter.grad = torch.full_like(parameter, 0.5)
    optimizer.step()
    again, restored = halved()
    optimizer_state.load_state_dict(restored, Adam(), [again], saved_state(optimizer), settings=True)
    assert restored.state[again]["exp_avg"].tolist() == [0.25, 0.25]


def test_a_check_moves_nothing() -> None:
    saved = saved_state(moved(Adam(), (2,)))
    optimizer = loaded(Adam(), saved, (2,))
    (parameter,) = optimizer.param_groups[0]["params"]
    assert parameter.tolist() == [1, 1]
    assert parameter.grad is None
    assert optimizer.state[parameter]["step"] == 1


def test_a_state_takes_the_memory_order_of_its_parameter() -> None:
    saved = saved_state(moved(Adam(), (2, 3, 4, 4)))
    numbers = torch.arange(96.0).view(2, 3, 4, 4)
    saved["state"]["0"]["exp_avg"] = numbers.clone()
    parameter = nn.Parameter(torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last))
    optimizer: Any = Adam().build([parameter])
    optimizer_state.load_state_dict(optimizer, Adam(), [parameter], saved, settings=True)
    found = optimizer.state[parameter]["exp_avg"]
    assert found.stride() == parameter.stride() == (48, 1, 12, 3)
    assert torch.equal(found, numbers)


# The folder of a run.

CONFIG = """
game: {type: adversarial, generator: {type: mlp, hidden: [4], latent: 2}, discriminator: {type: mlp, hidden: [4]}}
losses: [non-saturating]
data: ring
train: {images: 64, batch_size: 8, device: cpu}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    from ganframe import load_config

    path = tmp_path / "some.yaml"
    path.write_text(CONFIG)
    return load_config(str(path))


SPEC = {"real": TensorSpec((2,)), "label": TensorSpec((), classes=3)}


def test_a_new_folder_has_the_config_the_data_and_the_versions(experiment: Experiment, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "deep" / "run", experiment, SPEC)
    assert folder.path == tmp_path / "deep" / "run"
    assert {path.name for path in folder.path.iterdir()} == {"config.yaml", "data.json", "environment.json"}
    assert [path.name for path in folder.path.parent.iterdir()] == ["run"]
    assert folder.experiment() == experiment
    assert folder.data() == SPEC
    assert json.loads((folder.path / "data.json").read_text())["label"] == {
        "shape": [],
        "classes": 3,
        "class_names": None,
        "sample_rate": None,
    }
    versions = folder.environment()
    assert cast(Any, versions)["libraries"]["torch"] == torch.__version__
    assert RunFolder.open(folder.path) == folder


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("run", "this run folder exists already"),
        ("folder", "this folder exists already"),
        ("file", "this path exists already"),
        ("link", "this path exists already"),
    ],
)
def test_a_folder_that_is_there_is_refused(kind: str, said: str, experiment: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "run"
    make = {
        "run": lambda: RunFolder.create(path, experiment, SPEC),
        "folder": path.mkdir,
        "file": path.touch,
        "link": lambda: path.symlink_to(tmp_path / "nowhere"),
    }
    make[kind]()
    with pytest.raises(FolderTaken) as problem:
        RunFolder.create(path, experiment, SPEC)
    assert (problem.value.message, problem.value.place) == (said, str(path))
    assert "Choose another --out" in problem.value.remedy
    assert ("--resume" in problem.value.remedy) == (kind == "run")


def test_where_no_folder_can_be_made_is_said(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="the run folder cannot be created: Not a directory"):
        RunFolder.create(tmp_path / "file" / "run", experiment, SPEC)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(RunFailed, match="run: the run folder cannot be created: No space left"):
        RunFolder.create(tmp_path / "run", experiment, SPEC)


def test_a_folder_is_made_whole_or_not_at_all(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / f".run.{os.getpid()}.draft"
    left.mkdir()
    (left / "old").touch()
    assert {each.name for each in RunFolder.create(tmp_path / "run", experiment, SPEC).path.iterdir()} == {
        "config.yaml", "data.json", "environment.json",
    }  # fmt: skip

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(run_module, "environment", fail)
    with pytest.raises(ZeroDivisionError):
        RunFolder.create(tmp_path / "other", experiment, SPEC)
    assert {path.name for path in tmp_path.iterdir()} == {"some.yaml", "run"}


def test_a_config_that_differs_is_adopted_and_the_one_before_it_kept(experiment: Experiment, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", experiment, SPEC)
    made = {path: path.stat().st_mtime_ns for path in folder.path.iterdir()}
    folder.adopt(experiment, SPEC)
    assert {path: path.stat().st_mtime_ns for path in folder.path.iterdir()} == made
    folder.adopt(experiment, {"other": TensorSpec((1,))})
    assert not list(folder.path.glob("config-before-*"))
    assert folder.data() == {"other": TensorSpec((1,))}
    texts = [(folder.path / "config.yaml").read_bytes()]
    for number in (1, 2):
        changed = experiment.model_copy(update={"seed": number})
        folder.adopt(changed, {"other": TensorSpec((number,))})
        assert folder.experiment() == changed
        assert folder.data() == {"other": TensorSpec((number,))}
        texts.append((folder.path / "config.yaml").read_bytes())
    for number in (1, 2):
        assert (folder.path / f"config-before-{number}.yaml").read_bytes() == texts[number - 1]
    assert len(list(folder.path.glob("config-before-*"))) == 2
    # A number that somebody removed is given again; none is written over.
    (folder.path / "config-before-1.yaml").unlink()
    folder.adopt(experiment, SPEC)
    assert (folder.path / "config-before-2.yaml").read_bytes() == texts[1]
    assert (folder.path / "config-before-1.yaml").read_bytes() == texts[2]


def test_versions_that_differ_are_said_and_those_before_kept(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run", experiment, SPEC)
    assert folder.change_environment() == []
    assert not list(folder.path.glob("environment-before-*"))
    before = {
        "ganframe": "1", "python": "3.11", "platform": "A", "libraries": {"torch": "2.7"}, "plugins": {"x": "1"},
    }  # fmt: skip
    now = {
        "ganframe": "1", "python": "3.12", "platform": "B", "libraries": {"torch": "2.8"}, "plugins": {"y": "3"},
    }  # fmt: skip
    (folder.path / "environment.json").write_text(json.dumps(before))
    monkeypatch.setattr(run_module, "environment", lambda: now)
    assert folder.change_environment() == [
        "python 3.12 instead of 3.11",
        "torch 2.8 instead of 2.7",
        "x not installed instead of 1",
        "y 3 instead of not installed",
    ]
    assert folder.environment() == now
    assert json.loads((folder.path / "environment-before-1.json").read_text()) == before
    # Another machine alone is no change.
    monkeypatch.setattr(run_module, "environment", lambda: now | {"platform": "C"})
    assert folder.change_environment() == []
    monkeypatch.setattr(run_module, "environment", lambda: now | {"ganframe": "2"})
    assert folder.change_environment() == ["ganframe 2 instead of 1"]
    assert json.loads((folder.path / "environment-before-2.json").read_text()) == now


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no config.yaml") as problem:
        RunFolder.open(tmp_path)
    assert problem.value.place == str(tmp_path)
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(BadInput, match=r"no config.yaml"):
        RunFolder.open(tmp_path)


def test_links_may_lead_within_a_run_folder_only(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "deep").mkdir(parents=True)
    (run / "config.yaml").touch()
    (run / "deep" / "inside").symlink_to(run / "config.yaml")
    assert RunFolder.open(run).path == run
    (tmp_path / "running").touch()
    (run / "deep" / "outside").symlink_to(tmp_path / "running")
    with pytest.raises(BadInput, match="leads out of the run folder") as problem:
        RunFolder.open(run)
    assert problem.value.place == str(run / "deep" / "outside")
    (run / "deep" / "outside").unlink()
    (run / "deep" / "dots").symlink_to(run / ".." / "running")
    with pytest.raises(BadInput, match="leads out of the run folder"):
        RunFolder.open(run)
    (run / "deep" / "dots").unlink()
    (tmp_path / "link").symlink_to(run)
    assert RunFolder.open(tmp_path / "link").path == tmp_path / "link"
    os.mkfifo(run / "deep" / "pipe")
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        RunFolder.open(run)


@pytest.mark.parametrize(("shape", "classes"), [([0], None), ([2, -1], None), ([], 0)])
def test_data_that_cannot_be_are_refused(shape: list[int], classes: int | None, tmp_path: Path) -> None:
    assert RunFolder(tmp_path).data() is None
    (tmp_path / "data.json").write_text(json.dumps({"real": {"shape": shape, "classes": classes}}))
    with pytest.raises(BadInput, match="at least 1"):
        RunFolder(tmp_path).data()
    (tmp_path / "data.json").write_text('{"real": {"shape": [1]}, "label": {"shape": [], "classes": 1}}')
    assert RunFolder(tmp_path).data() == {"real": TensorSpec((1,)), "label": TensorSpec((), 1)}


def test_the_files_of_a_run_have_their_names() -> None:
    folder = RunFolder(Path("run"))
    named = {
        folder.checkpoints: "run/checkpoints", folder.pictures: "run/pictures", folder.samples: "run/samples.png",
        folder.report: "run/report.html", folder.scalars: "run/scalars.jsonl", folder.metrics: "run/metrics.jsonl",
        folder.quarantine(): "run/quarantine.jsonl", folder.quarantine(2): "run/quarantine-2.jsonl",
    }  # fmt: skip
    assert {str(path): name for path, name in named.items()} == {name: name for name in named.values()}


def test_a_default_folder_is_one_that_no_run_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module.time, "strftime", lambda form: form.replace("%", ""))
    first = default_folder("a/b c!.yaml")
    assert first == Path("runs/a-b-c-.yaml-Ymd-HMS")
    for expected in ("runs/a-b-c-.yaml-Ymd-HMS-2", "runs/a-b-c-.yaml-Ymd-HMS-3"):
        default_folder("a/b c!.yaml").mkdir(parents=True)
        assert default_folder("a/b c!.yaml") == Path(expected)
    assert default_folder("") == Path("runs/run-Ymd-HMS")


def test_a_report_of_a_run_is_a_number_without_a_graph(tmp_path: Path) -> None:
    run = started(tmp_path)
    run.report("ada/p", torch.ones((), requires_grad=True) * 2)
    assert run.reported["ada/p"] == 2
    assert not run.reported["ada/p"].requires_grad


def test_samples_are_made_by_averages_and_judged_by_the_players_that_train(tmp_path: Path) -> None:
    run = started(tmp_path)
    assert run.averages is not None
    game = run.sampling_game()
    assert game.players["generator"] is run.averages.players["generator"]
    assert game.players["discriminator"] is run.game.players["discriminator"]
    run.averages = None
    assert run.sampling_game().players["generator"] is run.game.players["generator"]
    assert run.device == torch.device("cpu")


class FactoredConfig(OptimizerConfig):
    """Keeps the means of rows and columns, `(n, 1)` and `(1, m)` beside a parameter `(n, m)`."""

    type: Literal["factored"] = "factored"

    def build(self, parameters: Any) -> Any:
        return torch.optim.Adafactor(parameters)


def test_a_state_of_another_shape_than_its_parameter_keeps_it() -> None:
    saved = saved_state(moved(FactoredConfig(), (2, 3)))
    optimizer = loaded(FactoredConfig(), saved, (2, 3))
    (found,) = optimizer.state.values()
    for name, shape in (("row_var", (2, 1)), ("col_var", (1, 3))):
        assert found[name].shape == shape
        assert torch.equal(found[name], saved["state"]["0"][name])
