"""Warm start from runs and files, players that never train, and what is refused of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import distillation
import pytest
import torch
from distillation import BATCH, DistillationConfig, experiment
from safetensors.torch import save_file
from torch import Tensor

from ganframe import BadInput, Experiment, load, train
from ganframe.config.weights import WeightSource
from ganframe.runs.checkpoint_files import list_checkpoints
from ganframe.runs.checkpoint_files import load as load_checkpoint
from ganframe.testing.games import CHECKS
from ganframe.testing.runs import InterruptAfter, Interrupted, train_whole_and_resumed
from ganframe.training.assembly import assemble
from ganframe.training.explain import explain
from ganframe.training.warm_start import fill_players


def flat(tree: object, key: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        return {name: each for part, value in tree.items() for name, each in flat(value, f"{key}/{part}").items()}
    if isinstance(tree, list):
        return {name: each for part, value in enumerate(tree) for name, each in flat(value, f"{key}/{part}").items()}
    return {key: tree}


def assert_same(mine: object, theirs: object) -> None:
    mine, theirs = flat(mine), flat(theirs)
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        assert torch.equal(value, theirs[key]) if isinstance(value, Tensor) else value == theirs[key], key


def latest(run: Path) -> dict[str, Any]:
    return load_checkpoint(list_checkpoints(run / "checkpoints")[0])[1]


def filled(config: Experiment) -> dict[str, dict[str, Tensor]]:
    """The weights with which a new run of this config starts."""
    assembly = assemble(config)
    fill_players(config, assembly.game, assembly.game.trained_players)
    return {name: player.state_dict() for name, player in assembly.game.players.items()}


def refusal(**parts: Any) -> BadInput:
    with pytest.raises(BadInput) as problem:
        filled(experiment(**parts))
    return problem.value


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps with averages."""
    return train(experiment(steps=3, seed=7), out=tmp_path_factory.mktemp("first") / "run").path


def maker_state(value: float = 0.5) -> dict[str, Tensor]:
    """Weights for a generator, as they would be written by hand."""
    return {
        "trunk.0.weight": torch.full((4, 2), value),
        "trunk.0.bias": torch.arange(4.0),
        "trunk.1.weight": torch.ones(4),
        "trunk.1.bias": torch.zeros(4),
        "trunk.1.running_mean": torch.full((4,), 0.25),
        "trunk.1.running_var": torch.full((4,), 4.0),
        "trunk.1.num_batches_tracked": torch.tensor(3),
        "head.weight": torch.full((2, 4), -value),
        "head.bias": torch.tensor([1.0, 2.0]),
    }


# Sources.


def test_a_player_starts_from_the_averages_of_a_run_and_all_else_from_its_seed(first: Path) -> None:
    saved, fresh = latest(first), filled(experiment())
    weights = filled(experiment(init_from={"generator": {"run": first}, "discriminator": {"run": first}}))
    for name, value in weights["generator"].items():
        assert torch.equal(value, saved["averages"][f"generator.module.{name}"]), name
    assert not torch.equal(weights["generator"]["head.weight"], saved["player.generator"]["head.weight"])
    assert_same(weights["discriminator"], saved["player.discriminator"])
    assert_same(weights["teacher"], fresh["teacher"])


def test_the_weights_themselves_can_be_asked_for_and_those_of_another_player(first: Path) -> None:
    saved = latest(first)
    source = {"run": first, "player": "generator", "averages": False}
    assert_same(filled(experiment(init_from={"teacher": source}))["teacher"], saved["player.generator"])


def test_a_part_is_filled_alone_and_after_the_player_that_it_belongs_to(first: Path, tmp_path: Path) -> None:
    save_file(maker_state(), tmp_path / "maker.safetensors")
    saved, fresh = latest(first), filled(experiment())
    source = {"run": first, "player": "generator.head", "averages": False}
    part = filled(experiment(init_from={"generator.head": source}))["generator"]
    assert torch.equal(part["head.weight"], saved["player.generator"]["head.weight"])
    assert torch.equal(part["trunk.0.weight"], fresh["generator"]["trunk.0.weight"])
    both = {"generator.head": source, "generator": {"file": tmp_path / "maker.safetensors"}}
    weights = filled(experiment(init_from=both))["generator"]
    assert torch.equal(weights["head.bias"], saved["player.generator"]["head.bias"])
    assert weights["trunk.0.bias"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("prefix", ["a.generator", "a.generator."])
def test_a_file_may_hold_more_than_what_lies_under_the_prefix(prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "several.safetensors"
    other = {"a.generators.head.bias": torch.zeros(9)}
    save_file({f"a.generator.{name}": value for name, value in maker_state().items()} | other, file)
    weights = filled(experiment(init_from={"generator": {"file": file, "prefix": prefix}}))["generator"]
    assert_same(weights, maker_state())
    assert weights["head.weight"].tolist() == [[-0.5] * 4] * 2


def test_an_exported_player_is_such_a_file(first: Path, tmp_path: Path) -> None:
    from ganframe.evaluation.export import export

    export(load(first, device="cpu"), "generator", tmp_path / "generator.safetensors")
    weights = filled(experiment(init_from={"generator": {"file": tmp_path / "generator.safetensors"}}))
    for name, value in weights["generator"].items():
        assert torch.equal(value, latest(first)["averages"][f"generator.module.{name}"]), name


# A whole run.


def test_a_second_phase_begins_where_the_first_ended(first: Path, tmp_path: Path) -> None:
    """As SRGAN: one term alone first, then a contest too. With a learning rate of 0 what is saved is what began."""
    still = {name: {"type": "adam", "lr": 0} for name in ("generator", "discriminator")}
    config = experiment(
        steps=1, regularizers=(), optimizers=still, init_from={"generator": {"run": first, "averages": False}}
    )
    train(config, out=tmp_path / "run")
    saved, before = latest(tmp_path / "run"), latest(first)
    for name in ("head.weight", "trunk.0.weight"):
        assert torch.equal(saved["player.generator"][name], before["player.generator"][name])
        # Averages begin with the filled weights.
        assert torch.equal(saved["averages"][f"generator.module.{name}"], before["player.generator"][name])


def test_a_resumed_run_needs_its_source_no_more(first: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(first, tmp_path / "source"))
    config = experiment(init_from={"generator": {"run": source}})
    train(config, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(config, out=tmp_path / "run", hooks=[InterruptAfter(3)])
    shutil.rmtree(source)
    train(config, out=tmp_path / "run", resume=True)
    assert_same(latest(tmp_path / "run"), latest(tmp_path / "whole"))


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_from_the_source(first: Path, tmp_path: Path) -> None:
    config = experiment(init_from={"generator": {"run": first}})
    whole, resumed = train_whole_and_resumed(config, tmp_path, stop_after=1)
    assert_same(resumed, whole)


def test_what_is_refused_leaves_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"init_from\.generator"):
        train(experiment(init_from={"generator": {"run": tmp_path / "none"}}), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# Refusals.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("head.bias"), "missing: head.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "not in the network: extra"),
        (lambda state: state.update({"head.bias": torch.zeros(3)}), "head.bias is (3,), and not (2,)"),
        (lambda state: state.update({"head.bias": torch.zeros(2).double()}), "head.bias is float64, and not float32"),
        (lambda state: state["head.bias"].fill_(float("nan")), "not finite: head.bias"),
        (lambda state: state["trunk.0.bias"].fill_(float("inf")), "not finite: trunk.0.bias"),
        (lambda state: state.clear() or state.update(x=torch.zeros(1)), "missing: trunk.0.weight, trunk.0.bias, "),
    ],
)
def test_weights_that_do_not_fit_are_named(change: Callable[[Any], object], message: str, tmp_path: Path) -> None:
    state = maker_state()
    change(state)
    save_file(state, tmp_path / "maker.safetensors")
    problem = refusal(init_from={"generator": {"file": tmp_path / "maker.safetensors"}})
    assert message in problem.message
    assert problem.path == ("init_from", "generator")
    assert problem.place == str(tmp_path / "maker.safetensors")


def test_a_long_list_of_names_is_cut(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "maker.safetensors")
    problem = refusal(init_from={"generator": {"file": tmp_path / "maker.safetensors"}})
    assert "and 6 more; not in the network: x" in problem.message


def hostile(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in ("empty", "cut", "pickle", "header", "claims")}
    save_file(maker_state(), folder / "whole")
    whole = (folder / "whole").read_bytes()
    files["empty"].write_bytes(b"")
    files["cut"].write_bytes(whole[:-5])
    torch.save(maker_state(), files["pickle"])
    files["header"].write_bytes((2**63 - 1).to_bytes(8, "little") + b"{}")
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}).encode()
    files["claims"].write_bytes(len(header).to_bytes(8, "little") + header)
    return files


@pytest.mark.parametrize("kind", ["empty", "cut", "pickle", "header", "claims"])
def test_a_damaged_or_hostile_file_is_refused(kind: str, tmp_path: Path) -> None:
    problem = refusal(init_from={"generator": {"file": hostile(tmp_path)[kind]}})
    says = {
        "cut": "has changed since it was written: it has 795 bytes and not 800",
        "claims": "has changed since it was written: it has 93 bytes and not 4,000,000,000,093",
    }
    assert says.get(kind, "not in the safetensors format: it has no header") in problem.message
    assert problem.path == ("init_from", "generator")


def test_a_huge_file_of_other_tensors_is_refused_unread(tmp_path: Path) -> None:
    file, size = tmp_path / "huge", 2**32
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, 8 + len(header) + size)
    assert "not in the network: a" in refusal(init_from={"generator": {"file": file}}).message


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "none", "."):
        assert "no such file" in refusal(init_from={"generator": {"file": tmp_path / name}}).message


def test_a_source_without_what_is_asked_for_is_refused(first: Path, tmp_path: Path) -> None:
    assert "no run in this folder" in refusal(init_from={"generator": {"run": tmp_path}}).message
    problem = refusal(init_from={"generator": {"run": first, "player": "maker"}})
    assert problem.message == "the run saved no player 'maker'"
    assert problem.remedy == "It has: generator, discriminator."
    assert "saved no player 'teacher'" in refusal(init_from={"teacher": {"run": first}}).message
    problem = refusal(init_from={"generator": {"run": first, "player": "generator.trunks"}})
    assert problem.message == "the player 'generator' of the run has no part 'trunks'"


def test_a_part_that_the_game_does_not_have_is_refused_with_close_names(first: Path) -> None:
    problem = refusal(init_from={"generator.trunc": {"run": first}})
    assert problem.message == "the player 'generator' has no part 'trunc'"
    assert "generator.trunk" in problem.remedy
    assert problem.path == ("init_from", "generator.trunc")
    problem = refusal(init_from={"maker": {"run": first}})
    assert problem.message == "the game has no player 'maker'"
    assert problem.remedy == "It has: generator, discriminator, teacher."
    assert "has no weights" in refusal(init_from={"generator.trunk.2": {"run": first}}).message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "one `run` or one `file`"),
        ({"run": "a", "file": "b"}, "one `run` or one `file`"),
        ({"run": "a", "prefix": "x"}, "`prefix` is for a file"),
        ({"file": "a", "player": "x"}, "`player` and `averages` are for a run"),
        ({"file": "a", "averages": False}, "`player` and `averages` are for a run"),
    ],
)
def test_a_source_is_a_run_or_a_file(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeightSource.model_validate(source)


# Players that never train.


def test_a_frozen_teacher_resumes_bit_for_bit_and_is_in_no_checkpoint(first: Path, tmp_path: Path) -> None:
    config = experiment(init_from={"teacher": {"run": first, "player": "generator"}})
    whole, resumed = train_whole_and_resumed(config, tmp_path, stop_after=3)
    assert_same(resumed, whole)
    assert {name for name in whole if "teacher" in name} == set()
    assert not any("teacher" in name for name in whole["averages"])
    files = {path.name for path in list_checkpoints(tmp_path / "whole" / "checkpoints")[0].iterdir()}
    assert not any("teacher" in name for name in files)
    assert whole["frozen_players"].keys() == {"teacher"}


def test_a_teacher_stays_as_it_is_and_passes_gradients_on(first: Path, tmp_path: Path) -> None:
    config = experiment(init_from={"teacher": {"run": first, "player": "generator"}})
    assembly = assemble(config)
    teacher, generator = assembly.game.players["teacher"], assembly.game.players["generator"]
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    with assembly.game.only_trainable(("generator",)):
        teacher(generator(torch.ones(3, 2))).square().sum().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert float(generator.head.weight.grad.abs().sum()) > 0
    train(config, out=tmp_path / "run")
    loaded = load(tmp_path / "run", device="cpu")
    for name, value in loaded.players["teacher"].state_dict().items():
        assert torch.equal(value, latest(first)["averages"][f"generator.module.{name}"]), name
    assert loaded.sample(3).shape == (3, 2)


def test_a_teacher_that_has_changed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "teacher.safetensors"
    save_file(maker_state(), file)
    config = experiment(init_from={"teacher": {"file": file}})
    with pytest.raises(Interrupted):
        train(config, out=tmp_path / "run", hooks=[InterruptAfter(3)])
    save_file(maker_state(0.75), file)
    for again in (lambda: train(config, out=tmp_path / "run", resume=True), lambda: load(tmp_path / "run")):
        with pytest.raises(BadInput, match="the frozen player 'teacher' are not those that the run was trained with"):
            again()
    save_file(maker_state(), file)
    train(config, out=tmp_path / "run", resume=True)


def test_a_turn_that_trains_a_frozen_player_is_refused() -> None:
    with pytest.raises(BadInput, match="the turn 'generator' trains the player 'teacher', which is frozen") as problem:
        assemble(experiment(game=DistillationConfig(trains_teacher=True)))
    assert problem.value.path == ("game",)


@pytest.mark.parametrize("title", sorted(set(CHECKS["game"]) - {"missing data is named"}))
def test_the_kit_takes_a_game_with_a_teacher(title: str) -> None:
    CHECKS["game"][title](WithAnyData())


class WithAnyData(DistillationConfig):
    """The game, over data of which only the points are read."""

    def build(self, data: Any) -> Any:
        return super().build({"real": distillation.POINT})


def test_explain_says_where_weights_come_from_and_which_train(first: Path) -> None:
    config = experiment(
        init_from={"generator": {"run": first}, "teacher": {"run": first, "player": "generator"}},
        freeze=["discriminator.blocks.0", {"part": "generator.trunk", "until_images": 10_000}],
    )
    header, *rows = explain(config).tables["players"]
    assert header[-2] == "weights"
    assert {row[0]: row[-2] for row in rows} == {
        "generator": f"train; start from {first}; generator.trunk frozen until 10,000 images",
        "discriminator": "train; discriminator.blocks.0 frozen",
        "teacher": f"frozen; start from {first} (generator)",
    }


# Ranks.


def on_ranks(ranks: int, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    file, run = folder / f"{ranks}.json", folder / f"{ranks}-{settings.get('fsdp', False)}"
    file.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    ended = subprocess.run(
        [*command, distillation.__file__, str(file), str(run)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return latest(run)


@pytest.mark.slow
def test_two_ranks_equal_one_with_a_teacher_frozen_parts_and_a_thaw(tmp_path: Path) -> None:
    save = {name: value.double() if value.is_floating_point() else value for name, value in maker_state().items()}
    save_file({name: value for name, value in save.items() if not name.startswith("trunk.1")}, tmp_path / "teacher")
    settings = {
        "steps": 5,
        "init_from": {"teacher": {"file": str(tmp_path / "teacher")}},
        "freeze": ["discriminator.blocks.0", {"part": "generator.trunk", "until_images": 2 * BATCH + 1}],
    }
    alone = flat(on_ranks(1, settings, tmp_path))
    for sharded in (False, True):
        shared = flat(on_ranks(2, {**settings, "fsdp": sharded}, tmp_path))
        assert shared.keys() == alone.keys()
        for key, value in alone.items():
            if isinstance(value, Tensor):
                assert torch.allclose(shared[key].double(), value.double(), rtol=0, atol=1e-9), (sharded, key)
            else:
                assert shared[key] == value, (sharded, key)
