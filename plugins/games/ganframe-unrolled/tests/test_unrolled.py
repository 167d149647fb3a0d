"""Looking ahead, against steps taken by hand."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from ganframe_unrolled import UnrolledGame
from safetensors.torch import load_file
from torch import Tensor

from ganframe import load_config, train
from ganframe.builtin.schedules import Linear
from ganframe.config import BadInput, DataSpec, Experiment, Scheduled, TensorSpec, initial_value
from ganframe.game import Game, Randomness, Round
from ganframe.game.objective import TurnObjective
from ganframe.game.training_progress import TrainingProgress
from ganframe.runs.folder import RunFolder
from ganframe.testing.fakes import FakeGameConfig
from ganframe.training.assembly import assemble
from ganframe.training.plugin_hooks import RunHooks
from ganframe.training.run_state import Run

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


class WaitingConfig(FakeGameConfig):
    """A game with a scheduled number."""

    type: Literal["waiting"] = "waiting"  # pyright: ignore[reportIncompatibleVariableOverride]
    wait: Scheduled = 0.0

    def build(self, data: DataSpec) -> Game:
        game: Any = super().build(data)
        game.wait = initial_value(self.wait)
        return game


def experiment(game: Any, **more: Any) -> Experiment:
    settings = {"losses": ["non-saturating"], "data": "ring", "train": {"images": 64, "batch_size": 16}}
    return Experiment.model_validate({"game": game, **settings, **more})


def weights(out: Path) -> dict[str, Tensor]:
    (last,) = sorted((out / "checkpoints").iterdir())[-1:]
    return {f"{file.name} {key}": tensor for file in last.glob("player.*") for key, tensor in load_file(file).items()}


@pytest.mark.parametrize(
    ("game", "more"),
    [
        (PLAIN, {"regularizers": [{"type": "r1", "every": 2}]}),
        (CYCLE, OVER_EMOJI),
    ],
)
def test_zero_steps_are_the_game_itself_bit_for_bit(game: Any, more: dict[str, Any], tmp_path: Path) -> None:
    for name, config in (("plain", game), ("unrolled", {"type": "unrolled", "of": game, "steps": 0})):
        train(experiment(config, **more), out=tmp_path / name)
    plain, unrolled = weights(tmp_path / "plain"), weights(tmp_path / "unrolled")
    assert plain.keys() == unrolled.keys()
    assert all(torch.equal(plain[name], unrolled[name]) for name in plain)


def test_without_a_due_term_in_the_discriminators_turn_there_is_nothing_to_unroll(tmp_path: Path) -> None:
    losses = [{"type": "wasserstein", "from_images": 1000}]
    for steps in (0, 3):
        game = {"type": "unrolled", "of": PLAIN, "steps": steps}
        more = {"losses": losses, "regularizers": ["minibatch-diversity"]}
        train(experiment(game, **more), out=tmp_path / str(steps))
    ahead = weights(tmp_path / "3")
    assert all(torch.equal(value, ahead[name]) for name, value in weights(tmp_path / "0").items())


def test_the_discriminators_of_a_cycle_are_unrolled_and_its_pools_stay_as_they_are(tmp_path: Path) -> None:
    for steps in (0, 2):
        game = {"type": "unrolled", "of": CYCLE, "steps": steps}
        train(experiment(game, **OVER_EMOJI | {"train": {"images": 2, "batch_size": 2}}), out=tmp_path / str(steps))
    none, two = weights(tmp_path / "0"), weights(tmp_path / "2")
    parameters = [name for name in none if "running" not in name and "batches_tracked" not in name]
    changed = {name.split()[0] for name in parameters if not torch.equal(none[name], two[name])}
    assert changed == {"player.g_ab.safetensors", "player.g_ba.safetensors"}
    pools = [load_file(next((tmp_path / name / "checkpoints").glob("*/memory.safetensors"))) for name in ("0", "2")]
    assert pools[0]
    assert all(torch.equal(pool, pools[1][name]) for name, pool in pools[0].items())


def in_the_generators_turn(config: Experiment, data: DataSpec, size: int = 16) -> tuple[Game, Round, Any]:
    """Return the game, a round over float64 draws in the turn of the generators, and the objective of that turn."""
    torch.manual_seed(0)
    assembly = assemble(config, torch.device("cpu"), data)
    for player in assembly.game.players.values():
        player.double()
    batch = {name: Randomness(0).normal(name, (size, *spec.shape)).double() for name, spec in data.items()}
    game_round = Round(assembly.game, batch, size=size, device=assembly.device, randomness=Randomness(0))
    turn = assembly.game.turns[1]
    game_round = game_round.in_turn(turn)
    return assembly.game, game_round, TurnObjective(assembly.objective, TrainingProgress(0, 0, 64))


def over_points(discriminator: dict[str, Any] | None = None, regularizers: Any = (), **unrolled: Any) -> Any:
    game = PLAIN | ({"discriminator": discriminator} if discriminator else {})
    config = experiment({"type": "unrolled", "of": game} | unrolled, regularizers=regularizers)
    game, game_round, objective = in_the_generators_turn(config, {"real": TensorSpec((2,))})
    game_round._made.values["latent"] = Randomness(1).normal("latent", (16, 4)).double()
    return game, game_round, objective


def over_images(**cycle: Any) -> tuple[Game, Round, Any]:
    discriminator = {"type": "patchgan", "channels": 4, "receptive_field": 16, "norm": "instance"}
    game = {"type": "unrolled", "of": CYCLE | {"discriminator": discriminator} | cycle, "steps": 2, "lr": 0.02}
    data = dict.fromkeys(("real_a", "real_b"), TensorSpec((1, 16, 16)))
    return in_the_generators_turn(experiment(game, losses=["least-squares"]), data, size=4)


def play(game: Game, game_round: Round, objective: Any) -> Tensor:
    """Return the objective of the generators' turn, over a round in which only latents were made."""
    game_round._made.values = {name: value for name, value in game_round._made.values.items() if name == "latent"}
    game_round = game_round.in_turn(game.turns[1])
    with game.only_trainable(game.turns[1].players):
        return game.play(game_round, objective).total


def fill_the_pools(game: Game, game_round: Round) -> dict[str, Tensor]:
    """Let the discriminators see other fakes than the round's; return the pools after that."""
    batch = {name: images.flip(3) for name, images in game_round._batch.items()}
    past = Round(game, batch, size=game_round.size, device=game_round.device, randomness=Randomness(2))
    past = past.in_turn(game.turns[0])
    with game.only_trainable(game.turns[0].players):
        for contest in game.contests:
            past.discriminator_output(contest, "fake")
    return {name: pool.clone() for name, pool in game.memory.items()}


@pytest.mark.parametrize(("steps", "lr"), [(1, 0.3), (3, 0.1)])
def test_the_generators_loss_is_that_against_the_discriminator_after_k_steps(steps: int, lr: float) -> None:
    game, game_round, objective = over_points(steps=steps, lr=lr)
    found = float(play(game, game_round, objective).detach())
    discriminator = game.players["discriminator"]
    with torch.no_grad():
        fake = game.players["generator"](game_round["latent"])
    sgd = torch.optim.SGD(discriminator.parameters(), lr=lr)
    softplus = torch.nn.functional.softplus
    for _ in range(steps):
        sgd.zero_grad()
        real_loss = softplus(-discriminator(game_round["real"]).logits).mean()
        (real_loss + softplus(discriminator(fake).logits).mean()).backward()
        sgd.step()
    assert found == pytest.approx(float(softplus(-discriminator(fake).logits).mean().detach()), abs=1e-12)


def check_the_gradient(game: Game, game_round: Round, objective: Any) -> None:
    """Compare with central differences of the whole look-ahead, in which the unrolled discriminators change too."""
    weight = game.trainable_parameters(game.turns[1].players)[0]
    (gradient,) = torch.autograd.grad(play(game, game_round, objective), weight)
    for index in range(0, weight.numel(), weight.numel() // 4):
        ends: list[float] = []
        for change in (1e-6, -2e-6):
            weight.data.view(-1)[index] += change
            ends.append(float(play(game, game_round, objective).detach()))
        weight.data.view(-1)[index] += 1e-6
        assert float(gradient.view(-1)[index]) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_the_gradient_flows_through_the_unrolled_steps() -> None:
    check_the_gradient(*over_points(steps=2, lr=0.5))


@pytest.mark.parametrize("penalty", ["r2", "wgan-gp", "0-gp", "dragan"])
def test_the_gradient_flows_through_the_unrolled_penalties(penalty: str) -> None:
    """With a discriminator whose gradient depends on the sample, unlike that of a piecewise linear one."""
    discriminator = {"type": "autoencoder", "hidden": [8], "code": 2}
    check_the_gradient(*over_points(discriminator, [penalty], steps=2, lr=0.02))


@pytest.mark.parametrize("pool", [0, 3])
def test_the_gradient_flows_through_the_unrolled_steps_of_a_cycle(pool: int) -> None:
    """Also through a full pool: with these draws the second fake of B is shown in place of the third."""
    game, game_round, objective = over_images(pool=pool)
    fill_the_pools(game, game_round)
    game_round.randomness = Randomness(3)
    check_the_gradient(game, game_round, objective)
    if pool:
        assert torch.equal(game_round["replayed_b"][2], game_round["fake_b"][1])


def test_looking_ahead_leaves_full_pools_as_they_were() -> None:
    game, game_round, objective = over_images(pool=3)
    before = fill_the_pools(game, game_round)
    for seed in range(3):
        game_round.randomness = Randomness(seed)
        play(game, game_round, objective)
        assert all(torch.equal(game.memory[name], pool) for name, pool in before.items())
    assert [len(pool) for pool in before.values()] == [3, 3]


def test_unrolled_steps_do_not_change_the_discriminator() -> None:
    game, game_round, objective = over_points(steps=3, lr=0.5)
    discriminator = game.players["discriminator"]
    before = {name: tensor.clone() for name, tensor in discriminator.state_dict().items()}
    play(game, game_round, objective).backward()
    assert all(torch.equal(before[name], tensor) for name, tensor in discriminator.state_dict().items())
    assert all(parameter.grad is None for parameter in discriminator.parameters())


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ({"share_round": True}, "game.share_round: the unrolled steps need a round of their own"),
        ({"of": PLAIN | {"share_round": True}}, "game.of.share_round: the unrolled steps need a round of their own"),
        ({"of": PLAIN | {"discriminator": {"type": "dcgan"}}}, "game.of.discriminator: "),
    ],
)
def test_games_that_cannot_be_unrolled_are_refused(game: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as problem:
        assemble(experiment({"type": "unrolled", "of": PLAIN} | game))
    assert message in str(problem.value)


def test_a_schedule_of_the_inner_game_holds_in_the_one_that_looks_ahead() -> None:
    """After 16 of 64 images; the rate is a setting of the game that looks ahead itself."""
    inner = WaitingConfig(wait=Linear(start=0, end=64))
    game = UnrolledGame.model_validate({"of": inner, "lr": {"type": "linear", "start": 0, "end": 1}})
    assembly = assemble(experiment(game), torch.device("cpu"))
    run = Run(assembly.experiment, RunFolder(Path("nowhere")), assembly, {}, None, RunHooks(), images=16)
    waiting: Any = run.sampling_game()
    assert (waiting.wait, waiting.lr) == (16, 0.25)


def test_the_preset_loads() -> None:
    config = load_config("unrolled-ring")
    assert isinstance(config.game, UnrolledGame)
