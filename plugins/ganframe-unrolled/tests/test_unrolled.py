"""Looking ahead, against steps that were taken by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_unrolled import UnrolledGame
from safetensors.torch import load_file
from torch import Tensor

from ganframe import BadInput, Experiment, load_config, train
from ganframe.assembly import assemble
from ganframe.data import Batches
from ganframe.game import Round
from ganframe.objective import Moment
from ganframe.randomness import Randomness

PLAIN: dict[str, Any] = {
    "type": "adversarial",
    "generator": {"type": "mlp", "latent": 4, "hidden": [8], "output": "linear"},
    "discriminator": {"type": "mlp", "hidden": [8], "dropout": 0, "input_dropout": 0},
}
CYCLE: dict[str, Any] = {
    "type": "cycle",
    "generator": {"type": "resnet", "channels": 4, "blocks": 1},
    "discriminator": {"type": "patchgan", "channels": 4, "receptive_field": 16},
}
OVER_EMOJI: dict[str, Any] = {
    "regularizers": ["cycle"],
    "data": {"type": "fluent-emoji", "paired": False},
    "train": {"images": 4, "batch_size": 2},
}


def experiment(game: Any, **more: Any) -> Experiment:
    settings = {"losses": ["non-saturating"], "data": "ring", "train": {"images": 64, "batch_size": 16}}
    return Experiment.model_validate({"game": game, **settings, **more})


def weights(out: Path) -> dict[str, Tensor]:
    (last,) = sorted((out / "checkpoints").iterdir())[-1:]
    return {f"{file.name} {key}": each for file in last.glob("player.*") for key, each in load_file(file).items()}


@pytest.mark.parametrize(
    ("game", "more"),
    [
        (PLAIN, {"regularizers": [{"type": "r1", "every": 2}]}),
        (CYCLE, OVER_EMOJI),
    ],
)
def test_no_steps_are_the_game_itself_bit_for_bit(game: Any, more: dict[str, Any], tmp_path: Path) -> None:
    for name, config in (("plain", game), ("unrolled", {"type": "unrolled", "of": game, "steps": 0})):
        train(experiment(config, **more), out=tmp_path / name)
    plain, unrolled = weights(tmp_path / "plain"), weights(tmp_path / "unrolled")
    assert plain.keys() == unrolled.keys()
    assert all(torch.equal(plain[name], unrolled[name]) for name in plain)


def test_the_discriminators_of_a_cycle_are_foreseen_and_its_pools_are_left_alone(tmp_path: Path) -> None:
    for steps in (0, 2):
        game = {"type": "unrolled", "of": CYCLE, "steps": steps}
        train(experiment(game, **OVER_EMOJI | {"train": {"images": 2, "batch_size": 2}}), out=tmp_path / str(steps))
    none, two = weights(tmp_path / "0"), weights(tmp_path / "2")
    parameters = [name for name in none if "running" not in name and "batches_tracked" not in name]
    changed = {name.split()[0] for name in parameters if not torch.equal(none[name], two[name])}
    assert changed == {"player.g_ab.safetensors", "player.g_ba.safetensors"}
    pools = [load_file(next((tmp_path / name / "checkpoints").glob("*/memory.safetensors"))) for name in ("0", "2")]
    assert pools[0]
    assert all(torch.equal(each, pools[1][name]) for name, each in pools[0].items())


def in_the_generators_turn(steps: int, lr: float) -> tuple[Any, Round, Any, Any]:
    torch.manual_seed(0)
    config = experiment({"type": "unrolled", "of": PLAIN, "steps": steps, "lr": lr})
    assembly = assemble(config, torch.device("cpu"))
    batch = next(Batches(config.data.build(), 16, Randomness(0), assembly.device).starting_at(0))
    for player in assembly.game.players.values():
        player.double()
    batch = {name: each.double() if each.is_floating_point() else each for name, each in batch.items()}
    round = Round(assembly.game, batch, size=16, device=assembly.device, randomness=Randomness(0))
    round._made["latent"] = Randomness(1).normal("latent", (16, 4)).double()
    turn = assembly.game.turns[1]
    round.enter(turn)
    return assembly.game, round, turn, assembly.objective.at(turn, Moment(0, 0, 64))


@pytest.mark.parametrize(("steps", "lr"), [(1, 0.3), (3, 0.1)])
def test_the_generators_loss_is_that_against_the_discriminator_after_k_steps(steps: int, lr: float) -> None:
    game, round, turn, objective = in_the_generators_turn(steps, lr)
    with game.moving(turn.moves):
        found = float(game.play(round, objective).total.detach())
    judge = game.players["discriminator"]
    with torch.no_grad():
        fake = game.players["generator"](round["latent"])
    descent = torch.optim.SGD(judge.parameters(), lr=lr)
    softplus = torch.nn.functional.softplus
    for _ in range(steps):
        descent.zero_grad()
        (softplus(-judge(round["real"]).logits).mean() + softplus(judge(fake).logits).mean()).backward()
        descent.step()
    assert found == pytest.approx(float(softplus(-judge(fake).logits).mean().detach()), abs=1e-12)


def test_the_gradient_flows_through_the_foreseen_steps() -> None:
    """Against central differences of the whole look-ahead, which sees how the foreseen discriminator moves too."""
    game, round, turn, objective = in_the_generators_turn(2, 0.5)
    weight = next(game.players["generator"].parameters())

    def cost() -> Tensor:
        round._made = {name: each for name, each in round._made.items() if name in ("latent", "real")}
        round.enter(turn)
        with game.moving(turn.moves):
            return game.play(round, objective).total

    (slope,) = torch.autograd.grad(cost(), weight)
    with torch.no_grad():
        for place in ((0, 0), (3, 2), (5, 1)):
            ends = []
            for nudge in (1e-5, -2e-5):
                weight[place] += nudge
                with torch.enable_grad():
                    ends.append(float(cost().detach()))
            weight[place] += 1e-5
            assert float(slope[place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-8)


def test_foreseen_steps_leave_the_discriminator_where_it_is() -> None:
    game, round, turn, objective = in_the_generators_turn(3, 0.5)
    before = {name: each.clone() for name, each in game.players["discriminator"].state_dict().items()}
    with game.moving(turn.moves):
        game.play(round, objective).total.backward()
    assert all(torch.equal(before[name], each) for name, each in game.players["discriminator"].state_dict().items())
    assert all(each.grad is None for each in game.players["discriminator"].parameters())


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ({"share_round": True}, "game.share_round: the foreseen steps need a round of their own"),
        ({"of": PLAIN | {"share_round": True}}, "game.of.share_round: the foreseen steps need a round of their own"),
        ({"of": PLAIN | {"discriminator": {"type": "dcgan"}}}, "game.of.discriminator: "),
    ],
)
def test_what_cannot_be_foreseen_is_refused(game: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as problem:
        assemble(experiment({"type": "unrolled", "of": PLAIN} | game))
    assert message in str(problem.value)


def test_the_preset_loads() -> None:
    config = load_config("unrolled-ring")
    assert isinstance(config.game, UnrolledGame)
