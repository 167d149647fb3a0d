"""Networks made from other networks, and what terms may ask of networks and tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from ganframe import BadInput, Experiment, hookimpl, train
from ganframe.builtin.schedules import Linear
from ganframe.config.network_transforms import DiscriminatorTransform, GeneratorTransform, built_from
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.schedules import Scheduled, initial_value
from ganframe.config.tensor_specs import TensorSpec
from ganframe.config.terms import RegularizerConfig
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.plugins.discovery import installed
from ganframe.randomness import Randomness
from ganframe.training.assembly import assemble
from ganframe.training.ema import AveragedPlayers
from ganframe.training.run_state import Run

GAME: dict[str, Any] = {
    "type": "adversarial",
    "generator": {"type": "mlp", "hidden": [8], "latent": 4, "output": "linear"},
    "discriminator": {"type": "mlp", "hidden": [8]},
}


class Negated(DiscriminatorTransform):
    """Judges the other way round."""

    type: Literal["negated"] = "negated"

    def change(self, network: nn.Module, *, sample: Any, condition: Any) -> nn.Module:
        return _Negated(network)


class _Negated(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Any) -> Any:
        output = self.network(*given)
        output.logits = -output.logits
        return output


class Frozen(GeneratorTransform):
    """The same generator."""

    type: Literal["frozen"] = "frozen"

    def change(self, network: nn.Module, *, output: Any, source: Any, condition: Any) -> nn.Module:
        return network


def experiment(game: Any, regularizers: tuple[RegularizerConfig, ...] = (), **more: Any) -> Experiment:
    settings = {"losses": ["non-saturating"], "data": "ring", "train": {"images": 64, "batch_size": 4}}
    made = Experiment.model_validate({"game": game, **settings, **more})
    return made.model_copy(update={"regularizers": regularizers})


def of_type(kind: type[Any], name: str) -> Any:
    return installed().registry.find(kind.kind, name)


def test_a_transform_can_do_what_the_network_that_it_changes_can() -> None:
    for name in ("dcgan", "mlp", "patchgan"):
        inner = of_type(DiscriminatorConfig, name)()
        outer = Negated(of=inner)
        for capability in ("conditional", "provides", "supports_double_backward", "batch_coupled"):
            assert getattr(outer, capability) == getattr(inner, capability)
    for name in ("mlp", "unet"):
        inner = of_type(GeneratorConfig, name)()
        assert Frozen(of=inner).starts_from == inner.starts_from


def test_the_transformed_network_plays() -> None:
    plain = assemble(experiment(GAME))
    changed = assemble(
        experiment(GAME | {"discriminator": Negated(of=of_type(DiscriminatorConfig, "mlp")(hidden=(8,)))})
    )
    sample = torch.randn(3, 2)
    for assembly in (plain, changed):
        assembly.game.players["discriminator"].eval()
    assert torch.equal(
        plain.game.players["discriminator"](sample).logits, -changed.game.players["discriminator"](sample).logits
    )


def test_an_error_of_the_inner_network_is_placed_under_of() -> None:
    with pytest.raises(BadInput) as problem:
        assemble(experiment(GAME | {"discriminator": Negated(of=of_type(DiscriminatorConfig, "dcgan")())}))
    assert "game.discriminator.of: " in str(problem.value)


class Slope(RegularizerConfig):
    """Mean squared derivative of the fakes by the latents."""

    type: Literal["slope"] = "slope"

    def requires_grad_tensors(self) -> tuple[str, ...]:
        return ("latent",)

    def build(self) -> Any:
        return _Slope()


class _Slope(nn.Module):
    def forward(self, game_round: Round) -> Tensor:
        (slope,) = torch.autograd.grad(game_round["fake"].sum(), game_round["latent"], create_graph=True)
        return slope.square().sum(1).mean()


class Likelihood(RegularizerConfig):
    """Calls what the generator may not have."""

    type: Literal["likelihood"] = "likelihood"
    requires_methods = frozenset({"log_prob"})

    def build(self) -> Any:
        return nn.Identity()


@pytest.mark.parametrize("shared", [False, True])
def test_a_term_may_differentiate_by_a_tensor_that_it_names(shared: bool) -> None:
    assembly = assemble(experiment(GAME | {"share_round": shared}, (Slope(),)), torch.device("cpu"))
    game = assembly.game
    game_round = Round(
        game,
        {"real": torch.zeros(4, 2)},
        size=4,
        device=torch.device("cpu"),
        randomness=Randomness(0),
        shared=shared,
        requires_grad_tensors=frozenset({"latent"}) if shared else frozenset(),
    )
    first, second = (game.turns[0], game.turns[1]) if shared else (game.turns[1], game.turns[1])
    for turn in (first, second):
        with game.only_trainable(turn.players):
            progress = TrainingProgress(0, 0, 64)
            found = assembly.objective(assembly.objective.open_round(game_round, turn, progress), turn, progress)
    layers = [each for each in game.players["generator"].modules() if isinstance(each, nn.Linear)]
    latent = game_round["latent"].detach()
    active = (layers[0](latent) > 0).to(latent.dtype)
    jacobian = torch.einsum("oh,bh,hl->bol", layers[1].weight, active, layers[0].weight)
    expected = jacobian.sum(1).square().sum(1).mean()
    torch.testing.assert_close(found.terms["slope"].detach(), expected.detach())


def test_in_the_discriminators_turn_no_graph_reaches_the_latents() -> None:
    assembly = assemble(experiment(GAME, (Slope(),)), torch.device("cpu"))
    game = assembly.game
    game_round = Round(game, {"real": torch.zeros(4, 2)}, size=4, device=torch.device("cpu"), randomness=Randomness(0))
    with game.only_trainable(game.turns[0].players):
        progress = TrainingProgress(0, 0, 64)
        assembly.objective(assembly.objective.open_round(game_round, game.turns[0], progress), game.turns[0], progress)
        assert not game_round["fake"].requires_grad


def test_a_tensor_that_is_not_there_cannot_be_a_leaf() -> None:
    class Elsewhere(Slope):
        """By a tensor that no game has."""

        def requires_grad_tensors(self) -> tuple[str, ...]:
            return ("style",)

    with pytest.raises(BadInput, match="reads the tensor 'style', which the game does not have"):
        assemble(experiment(GAME, (Elsewhere(),)))


def test_a_method_that_the_generator_lacks_is_refused_before_training() -> None:
    with pytest.raises(BadInput) as problem:
        assemble(experiment(GAME, (Likelihood(),)))
    assert "regularizers.0: 'likelihood' calls log_prob, which 'mlp' (generator) does not have" in str(problem.value)


class Dimmed(DiscriminatorTransform):
    """Scales the logits; counts its turns."""

    type: Literal["dimmed"] = "dimmed"
    factor: Scheduled = 1.0
    """Factor of the logits."""

    def change(self, network: nn.Module, *, sample: Any, condition: Any) -> nn.Module:
        return _Dimmed(network, initial_value(self.factor))


class _Dimmed(nn.Module):
    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor, self.turns = network, factor, 0

    @hookimpl
    def on_turn_end(self) -> None:
        """Count."""
        self.turns += 1

    def forward(self, *given: Any) -> Any:
        output = self.network(*given)
        output.logits = output.logits * self.factor
        return output


class InPlace(DiscriminatorTransform):
    """The same network, which is counted once."""

    type: Literal["in-place"] = "in-place"

    def change(self, network: nn.Module, *, sample: Any, condition: Any) -> nn.Module:
        return network


def test_a_transform_within_others_follows_its_schedule_and_hears_of_every_turn(tmp_path: Path) -> None:
    mlp = of_type(DiscriminatorConfig, "mlp")(hidden=(8,))
    judge = Negated(of=InPlace(of=Dimmed(factor=Linear(start=2, end=1), of=mlp)))
    found: list[tuple[float, int]] = []

    class Watch:
        @hookimpl
        def on_step_end(self, run: Run) -> None:
            live: Any = run.game.players["discriminator"]
            found.append((live.network.factor, live.network.turns))

    settings = {"train": {"images": 16, "batch_size": 4, "device": "cpu", "ema": {"half_life_images": 8}}}
    train(experiment(GAME | {"discriminator": judge}, **settings), out=tmp_path / "run", hooks=[Watch()])
    assert found == [(2.0, 2), (1.75, 4), (1.5, 6), (1.25, 8)]


class Blindfolded(InPlace):
    """The same network, which is never shown the condition."""

    type: Literal["blindfolded"] = "blindfolded"  # pyright: ignore[reportIncompatibleVariableOverride]

    def inner_condition(self, condition: Any) -> Any:
        return None


def test_a_transform_says_for_which_condition_the_other_network_is_built() -> None:
    mlp = of_type(DiscriminatorConfig, "mlp")(hidden=(8,))
    sample, label = TensorSpec((2,)), TensorSpec((), classes=4)
    told, blind = (
        cls(of=InPlace(of=mlp)).build(sample=sample, condition=label).state_dict() for cls in (InPlace, Blindfolded)
    )
    plain = mlp.build(sample=sample).state_dict()
    assert {name: each.shape for name, each in blind.items()} == {name: each.shape for name, each in plain.items()}
    assert told.keys() != blind.keys() or any(told[name].shape != each.shape for name, each in blind.items())
    inner = Blindfolded(of=InPlace(of=mlp)).build(sample=sample, condition=label)
    assert [config.type_name() for config, _ in built_from(inner)] == ["mlp", "in-place"]


def test_a_loss_may_join_some_turns_only() -> None:
    made = experiment(GAME, losses=[{"type": "non-saturating", "turns": ["discriminator"]}, {"type": "hinge"}])
    objective = assemble(made).objective
    for turn, names in zip(objective.game.turns, (["non-saturating", "hinge"], ["hinge"]), strict=True):
        assert [term.name for term in objective.active_terms(turn, TrainingProgress(0, 0, 64)).terms] == names
    with pytest.raises(BadInput, match=r"the game has no turn 'judge'; it has: discriminator, generator"):
        assemble(experiment(GAME, losses=[{"type": "non-saturating", "turns": ["judge"]}]))


def test_buffers_of_whole_numbers_are_not_averaged() -> None:
    network = nn.BatchNorm1d(2)
    averages = AveragedPlayers({"generator": network}, decay=0.9)
    for _ in range(9):
        network(torch.randn(4, 2))
        averages.update()
    assert int(averages.players["generator"].num_batches_tracked) == 9  # type: ignore[arg-type]
