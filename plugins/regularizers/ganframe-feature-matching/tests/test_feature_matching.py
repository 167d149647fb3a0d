"""Feature matching on known features."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_feature_matching import FeatureMatching
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load_config, train
from ganframe.game import BadInput, Contest, DiscriminatorOutput, Game, Randomness, Round, Turn
from ganframe.training.assembly import assemble

double = {"dtype": torch.float64}


class TwoContests(Game):
    inputs = ()
    contests = (
        Contest("discriminator", real="real", fake="fake"),
        Contest("discriminator", real="real", fake="other", name="more"),
    )
    turns = (Turn("generator", ("generator",)),)


class KnownFeatures(nn.Module):
    """Features x, x^2 and (x1, x1)."""

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(
            sample.flatten(1).sum(1), (sample, sample.square(), sample.flatten(1)[:, :1].repeat(1, 2))
        )


def penalty(real: Tensor, fake: Tensor, other: Tensor | None = None, **settings: Any) -> Tensor:
    game = TwoContests({})
    game.set_players({"discriminator": KnownFeatures(), "generator": nn.Identity()})
    batch = {"real": real, "fake": fake, "other": real if other is None else other}
    game_round = Round(game, batch, size=len(real), device=torch.device("cpu"), randomness=Randomness(0))
    return FeatureMatching(**settings).build().forward(game_round.in_turn(game.turns[0]))


REAL = torch.tensor([[1.0, 0.0], [3.0, 2.0]], **double)
FAKE = torch.tensor([[0.0, 4.0], [1.0, 0.0]], **double)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ((0,), 1.5**2 + 1**2),  # means (2, 1) and (0.5, 2)
        ((1,), 4.5**2 + 6**2),  # means (5, 2) and (0.5, 8)
        ((-1,), 2 * 1.5**2),
        ((0, -2), 1.5**2 + 1**2 + 4.5**2 + 6**2),
        (None, 1.5**2 + 1**2 + 4.5**2 + 6**2 + 2 * 1.5**2),
    ],
)
def test_means_of_known_features(layers: Any, expected: float):
    assert penalty(REAL, FAKE, layers=layers).item() == pytest.approx(expected)
    assert penalty(2 * REAL, 2 * FAKE, layers=(0,)).item() == pytest.approx(4 * 3.25)


def test_the_last_layer_unless_the_config_says_otherwise():
    assert penalty(REAL, FAKE).item() == penalty(REAL, FAKE, layers=(2,)).item()


def test_contests_add_up():
    assert penalty(REAL, FAKE, FAKE, layers=(0,)).item() == pytest.approx(6.5)


def test_equal_means_cost_nothing_whatever_the_samples():
    assert penalty(REAL, torch.tensor([[2.0, 1.0], [2.0, 1.0]], **double), layers=(0,)).item() == 0
    assert penalty(REAL, REAL.flip(0)).item() == 0


def test_positions_are_matched_one_by_one():
    image = torch.arange(8.0, **double).reshape(1, 2, 2, 2)
    assert penalty(image, torch.zeros_like(image), layers=(0,)).item() == pytest.approx(sum(k**2 for k in range(8)))


def test_gradcheck_and_nothing_for_the_reals():
    assert torch.autograd.gradcheck(lambda fake: penalty(REAL, fake, layers=None), FAKE.clone().requires_grad_())
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    penalty(real, fake, fake).backward()
    assert real.grad is None
    assert fake.grad is not None


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_features(dtype: torch.dtype, size: float):
    real, fake = (torch.full((3, 2), value, dtype=dtype, requires_grad=True) for value in (size, -size))
    found = penalty(real, fake, layers=None)
    found.backward()
    assert bool(found.isfinite())
    assert bool(fake.grad.isfinite().all())


@pytest.mark.parametrize("layer", [3, -4])
def test_features_that_do_not_exist_are_refused(layer: int):
    with pytest.raises(BadInput, match=f"the feature {layer} of 'discriminator', which has 3"):
        penalty(REAL, FAKE, layers=(layer,))


def test_an_empty_list_of_layers_is_refused():
    with pytest.raises(ValidationError):
        FeatureMatching(layers=())


def test_a_discriminator_without_features_is_refused(tmp_path: Path):
    config = """
game: {type: adversarial, generator: {type: mlp, output: linear}, discriminator: {type: %s}}
losses: [non-saturating]
regularizers: [feature-matching]
data: {type: ring, samples: 100}
train: {images: 100}
"""
    file = tmp_path / "config.yaml"
    file.write_text(config % "mlp")
    assemble(load_config(str(file)))
    with pytest.MonkeyPatch.context() as patch:
        discriminator = type(load_config(str(file)).game.discriminator)
        patch.setattr(discriminator, "provides", frozenset())
        with pytest.raises(BadInput, match="reads features, which 'mlp' does not give"):
            assemble(load_config(str(file)))


@pytest.mark.slow
def test_the_preset_covers_every_mode(tmp_path: Path):
    folder = train(load_config("feature-matching-ring"), out=tmp_path / "run")
    assert '"mode-coverage/modes": 8.0' in folder.metrics.read_text().splitlines()[-1]
