"""Weights that follow from gradients, worked out by hand in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from ganframe_balancers import AdaptiveWeight, GradientBalancer
from line_game import MAKER_LR, JudgeConfig, MakerConfig, begin
from torch import Tensor, nn

from ganframe.config.component_kinds import GameConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.terms import LossConfig, RegularizerConfig
from ganframe.errors import BadInput
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.runs.folder import RunFolder
from ganframe.training.save_and_restore import restore, save_checkpoint

FIRST = torch.tensor([[1.0, 0.5], [-0.25, 2.0]], dtype=torch.float64)
LAST = torch.tensor([[0.5, -1.0], [0.75, 0.25]], dtype=torch.float64)
CRITIC = torch.tensor([[2.0, -0.5]], dtype=torch.float64)
REAL = torch.tensor([[1.0, 2.0], [0.5, -1.0], [-1.5, 0.25], [0.0, 3.0]], dtype=torch.float64)
DELTA, SHARE = 1e-4, 0.8


def linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(2, len(weight), bias=False, dtype=torch.float64)
    layer.weight = nn.Parameter(weight.clone())
    return layer


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = linear(FIRST), linear(LAST)

    @property
    def last_layer(self) -> nn.Parameter:
        return self.last.weight

    def forward(self, sample: Tensor) -> Tensor:
        return self.last(self.first(sample))


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = linear(CRITIC)

    def forward(self, sample: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.layer(sample).flatten())


class DecoderConfig(MakerConfig):
    """Two linear layers."""

    type: Literal["two-layers"] = "two-layers"  # pyright: ignore[reportIncompatibleVariableOverride]
    starts_from = "sample"

    def build(self, **given: Any) -> nn.Module:
        return Decoder()


class CriticConfig(JudgeConfig):
    """One linear layer."""

    type: Literal["one-layer"] = "one-layer"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self, **given: Any) -> nn.Module:
        return Critic()


class AutoencoderConfig(GameConfig):
    """A decoder of points, and a critic."""

    type: Literal["autoencoder"] = "autoencoder"

    def build(self, data: DataSpec) -> Game:
        return Autoencoder(data)


class Autoencoder(Game):
    inputs = ("real",)
    output = "fake"
    pictures = ()
    contests = (Contest("judge", real="real", fake="fake"),)
    turns = (Turn("judging", ("judge",)), Turn("making", ("maker",)))

    def player_specs(self) -> dict[str, PlayerSpec]:
        point = TensorSpec((2,))
        return {
            "maker": PlayerSpec(DecoderConfig(), ("maker",), point, source=point),
            "judge": PlayerSpec(CriticConfig(), ("judge",), point),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["maker"](game_round["real"])


class Adversarial(LossConfig):
    """The generator raises C of its samples; the discriminator learns nothing."""

    type: Literal["adversarial"] = "adversarial"

    def build(self) -> Any:
        class Loss:
            def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
                return 0 * (real.logits.mean() + fake.logits.mean())

            def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
                return -fake.logits.mean()

        return Loss()


class Reconstruction(RegularizerConfig):
    """Mean over the batch of the squared distance."""

    type: Literal["reconstruction"] = "reconstruction"

    def tensors(self) -> tuple[str, ...]:
        return ("fake", "real")

    def build(self) -> Any:
        class Distance:
            def forward(self, game_round: Round) -> Tensor:
                return (game_round["fake"] - game_round["real"]).square().sum(1).mean()

        return Distance()


def steps(balancer: Any, batches: list[Tensor], accumulate: int = 1, weight: float = 1.0) -> Any:
    """Take one step for each accumulated group of batches; return the trainer and the scalars of each step."""
    trainer = begin(
        [{"real": batch} for batch in batches],
        game=AutoencoderConfig(),
        losses=(Adversarial(weight=SHARE),),
        regularizers=(Reconstruction(weight=weight),),
        balancers={"making": balancer},
        train={"batch_size": len(batches[0]), "gradient_accumulation_steps": accumulate},
    )
    return trainer, [trainer.step() for _ in range(len(batches) // accumulate)]


def gradients(weight: Tensor = LAST) -> tuple[Tensor, Tensor]:
    """The gradients by the last layer of both terms, from their formulas."""
    hidden = REAL @ FIRST.T  # (B, 2)
    error = hidden @ weight.T - REAL
    return 2 / len(REAL) * error.T @ hidden, -(CRITIC.T @ hidden.mean(0, keepdim=True))


ADAPTIVE = AdaptiveWeight(at="maker", terms=("adversarial",), reference_terms=("reconstruction",), delta=DELTA)


@pytest.mark.parametrize("at", ["maker", "maker.last.weight"])
@pytest.mark.parametrize(("batches", "accumulate"), [([REAL], 1), ([REAL[:2], REAL[2:]], 2)])
def test_the_adaptive_weight_is_the_ratio_of_gradient_norms_at_the_last_layer(
    at: str, batches: list[Tensor], accumulate: int
) -> None:
    trainer, [scalars] = steps(ADAPTIVE.model_copy(update={"at": at}), batches, accumulate, weight=3.0)
    of_reconstruction, of_adversarial = gradients()
    factor = (3 * of_reconstruction).norm() / (SHARE * of_adversarial.norm() + DELTA)
    assert scalars["making/weight of adversarial"] == pytest.approx(float(SHARE * factor), rel=1e-12)
    expected = LAST - MAKER_LR * (3 * of_reconstruction + SHARE * factor * of_adversarial)
    torch.testing.assert_close(trainer.game.players["maker"].last.weight.detach(), expected, rtol=1e-12, atol=1e-12)


def test_the_adaptive_weight_is_bounded() -> None:
    _, [scalars] = steps(ADAPTIVE.model_copy(update={"max": 0.25}), [REAL])
    assert scalars["making/weight of adversarial"] == pytest.approx(SHARE * 0.25)


def test_a_term_that_has_not_begun_is_not_weighed() -> None:
    trainer = begin(
        [{"real": REAL}],
        game=AutoencoderConfig(),
        losses=(Adversarial(weight=SHARE, from_images=4),),
        regularizers=(Reconstruction(),),
        balancers={"making": ADAPTIVE},
        train={"batch_size": 4},
    )
    scalars = trainer.step()
    assert "making/weight of adversarial" not in scalars
    of_reconstruction, _ = gradients()
    expected = LAST - MAKER_LR * of_reconstruction
    torch.testing.assert_close(trainer.game.players["maker"].last.weight.detach(), expected, rtol=1e-12, atol=1e-12)


BALANCED = GradientBalancer(at="fake", terms=("adversarial", "reconstruction"), decay=0.5, total_norm=2.0)


@pytest.mark.parametrize(("batches", "accumulate"), [([REAL, REAL], 1), ([REAL[:2], REAL[2:]] * 2, 2)])
def test_the_balancer_gives_each_term_its_share_of_the_gradient_at_the_output(
    batches: list[Tensor], accumulate: int
) -> None:
    _, logged = steps(BALANCED, batches, accumulate)
    first, last = FIRST.clone(), LAST.clone()
    averages, counts = {"adversarial": 0.0, "reconstruction": 0.0}, 0.0
    for scalars in logged:
        hidden = REAL @ first.T
        error = hidden @ last.T - REAL
        # Of each example in a mean over four.
        norms = {"adversarial": float(CRITIC.norm()) / 4, "reconstruction": float((2 * error).norm(dim=1).mean()) / 4}
        counts = 0.5 * counts + 1
        weights = {}
        for name, share in (("adversarial", SHARE / (SHARE + 1)), ("reconstruction", 1 / (SHARE + 1))):
            averages[name] = 0.5 * averages[name] + norms[name]
            weights[name] = 2.0 * share / (averages[name] / counts)
            assert scalars[f"making/weight of {name}"] == pytest.approx(weights[name], rel=1e-9)
        at_output = weights["adversarial"] * -CRITIC / 4 + weights["reconstruction"] * 2 * error / 4  # (B, 2)
        first, last = (
            first - MAKER_LR * (at_output @ last).T @ REAL,
            last - MAKER_LR * at_output.T @ hidden,
        )


def test_the_averages_of_a_balancer_are_saved_and_restored(tmp_path: Path) -> None:
    trainer, _ = steps(BALANCED, [REAL, REAL])
    fresh, _ = steps(BALANCED, [2 * REAL])
    # Neither run shares an object with the other: what they have in common went through the checkpoint.
    trainer.run.folder = fresh.run.folder = RunFolder(tmp_path)
    save_checkpoint(trainer.run)
    restore(fresh.run)
    saved, restored = (each.run.assembly.balancers["making"].state_dict() for each in (trainer, fresh))
    assert restored["counts"].tolist() == [1.5, 1.5]
    torch.testing.assert_close(restored["norms"], saved["norms"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("balancer", "path", "message"),
    [
        ({"making": ADAPTIVE.model_copy(update={"terms": ("hinge",)})}, ("balancers", "making"), "no term 'hinge'"),
        ({"making": ADAPTIVE.model_copy(update={"at": "nobody"})}, ("balancers", "making", "at"), "player 'nobody'"),
        ({"making": ADAPTIVE.model_copy(update={"at": "judge"})}, ("balancers", "making", "at"), "no last_layer"),
        ({"making": ADAPTIVE.model_copy(update={"at": "maker.x"})}, ("balancers", "making", "at"), "no parameter 'x'"),
        ({"making": BALANCED.model_copy(update={"at": "maker"})}, ("balancers", "making", "at"), "no named tensor"),
        ({"nothing": ADAPTIVE}, ("balancers", "nothing"), "no turn 'nothing'"),
    ],
)
def test_what_a_balancer_cannot_find_is_refused(balancer: Any, path: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message) as problem:
        begin(
            game=AutoencoderConfig(),
            losses=(Adversarial(),),
            regularizers=(Reconstruction(),),
            balancers=balancer,
        )
    assert problem.value.path == path
