"""Freezing of players and parts of them: what moves, what does not, and when a part thaws."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from distillation import BATCH, Distillation, DistillationConfig, experiment
from torch import Tensor

from ganframe import BadInput, hookimpl, load, train
from ganframe.builtin.optimizers import Adam
from ganframe.config.experiment import Checkpoint, Train
from ganframe.evaluation.sampling import sampling_mode
from ganframe.randomness import Randomness
from ganframe.runs.checkpoint_files import list_checkpoints
from ganframe.runs.checkpoint_files import load as load_checkpoint
from ganframe.testing.runs import train_whole_and_resumed
from ganframe.training.assembly import assemble
from ganframe.training.frozen_parts import FrozenParts
from ganframe.training.rebuild_optimizers import rebuild_optimizers
from ganframe.training.run_state import Run

FREEZE_D = "discriminator.blocks.0"


def flat(tree: object, key: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        return {name: each for part, value in tree.items() for name, each in flat(value, f"{key}/{part}").items()}
    if isinstance(tree, list):
        return {name: each for part, value in enumerate(tree) for name, each in flat(value, f"{key}/{part}").items()}
    return {key: tree}


def sections(run: Path) -> list[dict[str, Any]]:
    """The state after each step, the first step first."""
    return [load_checkpoint(path)[1] for path in reversed(list_checkpoints(run / "checkpoints"))]


def initial(player: str) -> dict[str, Tensor]:
    return assemble(experiment()).game.players[player].state_dict()


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


# What moves.


def test_frozen_weights_and_statistics_do_not_move_and_all_others_do(tmp_path: Path) -> None:
    train(experiment(freeze=[FREEZE_D, "generator.trunk"]), out=tmp_path / "run")
    state = sections(tmp_path / "run")[-1]
    judge = moved(initial("discriminator"), state["player.discriminator"])
    assert {name for name in judge if name.startswith("blocks.0.")} == set()
    assert judge >= {"blocks.1.0.weight", "blocks.1.1.running_mean", "blocks.1.1.num_batches_tracked", "head.weight"}
    maker = initial("generator")
    assert moved(maker, state["player.generator"]) == {"head.weight", "head.bias"}
    averaged = {name.removeprefix("generator.module."): value for name, value in state["averages"].items()}
    assert moved(maker, averaged) == {"head.weight", "head.bias"}


def test_frozen_weights_are_in_no_optimizer(tmp_path: Path) -> None:
    assembly = assemble(experiment(freeze=[FREEZE_D, "generator.trunk"]))
    optimizers = assembly.optimizers()
    held = {name: [id(p) for p in optimizer.param_groups[0]["params"]] for name, optimizer in optimizers.items()}
    judge, maker = assembly.game.players["discriminator"], assembly.game.players["generator"]
    assert held["generator"] == [id(maker.head.weight), id(maker.head.bias)]
    free = [*judge.blocks[1].parameters(), *judge.head.parameters()]
    assert held["discriminator"] == [id(parameter) for parameter in free]
    # Adam has three tensors for each of the two weights that train.
    train(experiment(freeze=["generator.trunk"]), out=tmp_path / "run")
    saved = sections(tmp_path / "run")[-1]["optimizers"]["generator"]
    assert {index: sorted(state) for index, state in saved["state"].items()} == {
        index: ["exp_avg", "exp_avg_sq", "step"] for index in ("0", "1")
    }


def test_frozen_parts_stay_in_eval_mode_over_sampling() -> None:
    assembly = assemble(experiment(freeze=[FREEZE_D]))
    judge = assembly.game.players["discriminator"]
    with sampling_mode(assembly.game, Randomness(0), torch.device("cpu")):
        pass
    assert [module.training for module in judge.blocks[0].modules()] == [False] * 4
    assert judge.training
    assert all(module.training for module in judge.blocks[1].modules())


def test_a_whole_player_can_be_frozen_where_others_train_in_its_turn() -> None:
    game = Distillation(experiment().game, {"real": experiment().data.spec()["real"]})
    game.set_players({name: spec.build() for name, spec in game.player_specs().items()})
    parts = FrozenParts(game, experiment(freeze=["generator"]).freeze)
    assert parts.apply(0)
    assert not parts.apply(10**9)
    assert game.trainable_parameters(["generator"]) == []
    assert not any(module.training for module in game.players["generator"].modules())


def test_what_a_network_froze_itself_does_not_thaw() -> None:
    assembly = assemble(experiment())
    maker = assembly.game.players["generator"]
    maker.trunk[0].bias.requires_grad_(False)
    maker.trunk[1].eval()
    parts = FrozenParts(assembly.game, experiment(freeze=[{"part": "generator.trunk", "until_images": 5}]).freeze)
    parts.apply(0)
    assert [parameter.requires_grad for parameter in maker.trunk.parameters()] == [False] * 4
    parts.apply(5)
    assert [parameter.requires_grad for parameter in maker.trunk.parameters()] == [True, False, True, True]
    assert [module.training for module in maker.trunk] == [True, False, True]


def test_a_part_of_a_part_stays_frozen_when_the_whole_thaws() -> None:
    assembly = assemble(experiment())
    freeze = experiment(freeze=["generator.trunk.0", {"part": "generator.trunk", "until_images": 5}]).freeze
    parts = FrozenParts(assembly.game, freeze)
    maker = assembly.game.players["generator"]
    for images, free in ((0, []), (4, []), (5, [*maker.trunk[1].parameters()]), (4, [])):
        parts.apply(images)
        assert [id(p) for p in assembly.game.trainable_parameters(["generator"])] == [
            id(parameter) for parameter in (*free, *maker.head.parameters())
        ]
        assert maker.trunk[1].training == bool(free)
        assert not maker.trunk[0].training


# Thawing.


class Watched:
    """The names of what each optimizer holds, and its number of steps, after each step of the run."""

    def __init__(self) -> None:
        self.held, self.counts, self.rates = list[list[str]](), list[dict[str, float]](), list[float]()

    @hookimpl
    def on_step_end(self, run: Run) -> None:
        names = {id(parameter): name for name, parameter in run.game.players["generator"].named_parameters()}
        optimizer: Any = run.optimizers["generator"]
        parameters = optimizer.param_groups[0]["params"]
        self.held.append([names[id(parameter)] for parameter in parameters])
        self.counts.append({names[id(p)]: float(optimizer.state[p]["step"]) for p in parameters})
        self.rates.append(optimizer.param_groups[0]["lr"])
        optimizer.param_groups[0]["lr"] = 0.25  # as a hook may


TRUNK = ["trunk.0.weight", "trunk.0.bias", "trunk.1.weight", "trunk.1.bias"]
HEAD = ["head.weight", "head.bias"]


def test_a_part_joins_the_optimizer_in_the_order_of_the_network_with_a_fresh_state(tmp_path: Path) -> None:
    """Frozen until 9 of 8 images a step: the first two steps are taken without it."""
    watched = Watched()
    freeze = [{"part": "generator.trunk", "until_images": BATCH + 1}]
    train(experiment(steps=4, freeze=freeze), out=tmp_path / "run", hooks=[watched])
    assert watched.held == [HEAD, HEAD, TRUNK + HEAD, TRUNK + HEAD]
    assert watched.counts[1] == dict.fromkeys(HEAD, 2)
    assert watched.counts[2] == dict.fromkeys(TRUNK, 1) | dict.fromkeys(HEAD, 3)
    assert watched.counts[3] == dict.fromkeys(TRUNK, 2) | dict.fromkeys(HEAD, 4)
    assert watched.rates[1:] == [0.25] * 3
    states = [state["player.generator"] for state in sections(tmp_path / "run")]
    assert moved(states[0], states[1]) == set(HEAD)
    statistics = {f"trunk.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert moved(states[1], states[2]) == {*HEAD, *TRUNK} | statistics


def test_a_frozen_start_is_the_same_run_without_a_thaw_until_then(tmp_path: Path) -> None:
    """Until the thaw nothing differs, and the moments of what trained before are carried over."""
    freeze = [{"part": "generator.trunk", "until_images": 2 * BATCH}]
    train(experiment(steps=3, freeze=freeze), out=tmp_path / "thaws")
    train(experiment(steps=3, freeze=["generator.trunk"]), out=tmp_path / "frozen")
    thaws, frozen = sections(tmp_path / "thaws"), sections(tmp_path / "frozen")
    for step in (0, 1):
        for name in HEAD:
            assert torch.equal(thaws[step]["player.generator"][name], frozen[step]["player.generator"][name])
    # The checkpoint of the step after which the part thaws has it in the optimizer, without a state.
    assert thaws[1]["optimizers"]["generator"]["state"].keys() == {"4", "5"}
    assert frozen[1]["optimizers"]["generator"]["state"].keys() == {"0", "1"}
    assert_equal(thaws[1]["optimizers"]["generator"]["state"]["4"], frozen[1]["optimizers"]["generator"]["state"]["0"])


def assert_equal(mine: object, theirs: object) -> None:
    mine, theirs = flat(mine), flat(theirs)
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        assert torch.equal(value, theirs[key]) if isinstance(value, Tensor) else value == theirs[key], key


def test_the_state_of_what_trained_before_can_be_left_behind(tmp_path: Path) -> None:
    class Rebuild:
        @hookimpl
        def on_step_end(self, run: Run) -> None:
            before: Any = run.optimizers["generator"]
            before.param_groups[0]["lr"] = 0.25
            rebuild_optimizers(run, keep_state=False)
            self.kept = run.optimizers["generator"] is before  # the same parameters train
            run.game.players["generator"].trunk.requires_grad_(False)  # pyright: ignore[reportCallIssue]
            run.game.set_players(run.game.players)
            rebuild_optimizers(run, keep_state=False)
            self.optimizer: Any = run.optimizers["generator"]

    rebuild = Rebuild()
    train(experiment(steps=1), out=tmp_path / "run", hooks=[rebuild])
    (group,) = rebuild.optimizer.param_groups
    assert (rebuild.kept, dict(rebuild.optimizer.state), len(group["params"]), group["lr"]) == (True, {}, 2, 0.25)


def test_a_group_of_parameters_is_empty_while_it_is_frozen(tmp_path: Path) -> None:
    rates = {"trunk": {"lr": 0.125}, "head": {"lr": 0.5}}
    config = experiment(
        steps=4,
        freeze=[{"part": "generator.trunk", "until_images": 2 * BATCH}],
        optimizers={"generator": Adam(groups=rates)},
    )
    assembly = assemble(config)
    plain, trunk, head = assembly.optimizers()["generator"].param_groups
    assert [len(group["params"]) for group in (plain, trunk, head)] == [0, 0, 2]
    assert (trunk["lr"], head["lr"]) == (0.125, 0.5)
    assembly.frozen_parts.apply(2 * BATCH)
    groups = assembly.optimizers()["generator"].param_groups
    assert [(len(group["params"]), group["lr"]) for group in groups[1:]] == [(4, 0.125), (2, 0.5)]
    for stop in (1, 2, 3):
        whole, resumed = train_whole_and_resumed(config, tmp_path / str(stop), stop_after=stop)
        assert_equal(resumed, whole)


@pytest.mark.parametrize("optimizers", [{}, {"helper": Adam(lr=0.01)}, {"generator.generator": Adam(lr=0.01)}])
def test_an_optimizer_of_a_player_begins_when_the_player_thaws(optimizers: dict[str, Any], tmp_path: Path) -> None:
    config = experiment(
        steps=4,
        game=DistillationConfig(helper=True),
        freeze=[{"part": "helper", "until_images": 2 * BATCH}],
        optimizers=optimizers,
    )
    for stop in (1, 2, 3):
        whole, resumed = train_whole_and_resumed(config, tmp_path / str(stop), stop_after=stop)
        assert_equal(resumed, whole)
    first, *_, last = sections(tmp_path / "1" / "whole")
    fresh = assemble(config).game.players["helper"].state_dict()
    assert moved(fresh, first["player.helper"]) == set()
    assert moved(fresh, last["player.helper"]) > {*TRUNK, *HEAD}
    names = {"helper": "generator.helper", "generator.generator": "generator"}
    name = next((names[key] for key in optimizers), None)
    if name is not None:
        assert name not in first["optimizers"]
        assert all(state["step"] == 2 for state in last["optimizers"][name]["state"].values())


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_a_run_resumes_exactly_before_at_and_after_a_thaw(stop: int, tmp_path: Path) -> None:
    freeze = [FREEZE_D, {"part": "generator.trunk", "until_images": 3 * BATCH}]
    config = experiment(
        steps=6, freeze=freeze, optimizers={"generator": Adam(lr={"type": "linear", "start": 0.01, "end": 0})}
    )
    whole, resumed = train_whole_and_resumed(config, tmp_path, stop_after=stop)
    assert_equal(resumed, whole)


def test_a_thaw_between_checkpoints_is_taken_again(tmp_path: Path) -> None:
    config = experiment(
        steps=6,
        freeze=[{"part": "generator.trunk", "until_images": 3 * BATCH}],
        checkpoint=Checkpoint(every_images=2 * BATCH, keep=100),
    )
    for stop in (4, 5):
        whole, resumed = train_whole_and_resumed(config, tmp_path / str(stop), stop_after=stop)
        assert_equal(resumed, whole)


class Spoil:
    """Once, in the middle of a step, makes a weight NaN and takes the latest checkpoint away."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def on_turn_end(self, run: Run) -> None:
        if run.step == self.step:
            self.step = -1
            shutil.rmtree(list_checkpoints(run.folder.checkpoints)[0])
            with torch.no_grad():
                next(run.game.players["generator"].parameters()).fill_(float("nan"))


def test_a_run_that_goes_back_over_a_thaw_freezes_again(tmp_path: Path) -> None:
    watched = Watched()
    config = experiment(
        freeze=[{"part": "generator.trunk", "until_images": 3 * BATCH}],
        checkpoint=Checkpoint(every_images=2 * BATCH, keep=100),
        train=Train(total_images=6 * BATCH, batch_size=BATCH, device="cpu", on_nonfinite="rollback"),
    )
    train(config, out=tmp_path / "run", hooks=[Spoil(3), watched])
    # Step 4 fails, after the thaw, and the checkpoint of step 2 is from before it.
    assert watched.held == [HEAD, HEAD, HEAD, HEAD, *[TRUNK + HEAD] * 3]
    assert watched.counts[3] == dict.fromkeys(HEAD, 3)


def test_a_loaded_run_has_its_frozen_parts(tmp_path: Path) -> None:
    train(experiment(freeze=[FREEZE_D]), out=tmp_path / "run")
    found = load(tmp_path / "run", device="cpu").players["discriminator"].state_dict()
    assert_equal(dict(found), sections(tmp_path / "run")[-1]["player.discriminator"])


# Refusals.


@pytest.mark.parametrize(
    ("freeze", "path", "message", "remedy"),
    [
        (["discriminator.blok.0"], (0, "part"), "has no part 'blok.0'", "discriminator.blocks.0"),
        (["generator.head", "judge"], (1, "part"), "no player 'judge'", "It has: generator, discriminator, teacher."),
        (["teacher.head"], (0, "part"), "'teacher.head' never trains", "Leave it out."),
        (["generator"], (), "nothing is left to train in the turn 'generator'", "Let some"),
        (["generator.trunk", "generator.head"], (), "nothing is left to train in the turn 'generator'", "Let some"),
        (
            [{"part": "generator", "until_images": 8}],
            (),
            "nothing is left to train in the turn 'generator'",
            "Let some",
        ),
    ],
)
def test_what_cannot_be_frozen_is_refused(freeze: Any, path: tuple[Any, ...], message: str, remedy: str) -> None:
    with pytest.raises(BadInput) as problem:
        assemble(experiment(freeze=freeze))
    assert problem.value.path == ("freeze", *path)
    assert message in problem.value.message
    assert remedy in problem.value.remedy


def test_a_balancer_at_a_frozen_weight_is_refused() -> None:
    from ganframe.training.backward import find_parameter

    game = assemble(experiment(freeze=["generator.trunk"])).game
    assert find_parameter(game, "generator.head.weight") is game.players["generator"].head.weight
    with pytest.raises(BadInput, match="does not train"):
        find_parameter(game, "generator.trunk.0.weight")


def test_a_name_stands_for_a_part_that_never_trains() -> None:
    (short,) = experiment(freeze=["generator.trunk"]).freeze
    assert (short.part, short.until_images) == ("generator.trunk", None)
    assert experiment(freeze=["generator.trunk"]).dump()["freeze"] == [{"part": "generator.trunk"}]
