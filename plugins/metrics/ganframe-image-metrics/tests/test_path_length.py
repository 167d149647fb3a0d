"""Lengths of paths whose length is known: a generator that only turns latents, and an encoder that changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from ganframe_image_metrics import PathLength
from ganframe_image_metrics.path_length import PathLengths, interpolated, perceptual_distance
from torch import Tensor, nn

from ganframe import Experiment
from ganframe.config import BadInput, EncoderConfig, GeneratorConfig, TensorSpec
from ganframe.game import Game, PlayerSpec, Randomness, Round, tensor
from ganframe.testing.fakes import CPU, FakeData, FakeDiscriminator, FakeEncoder

SIZE = 6
"""Numbers of a latent, and of a sample."""


class Same(EncoderConfig):
    """Changes nothing."""

    type: Literal["same"] = "same"

    def build(self) -> nn.Module:
        return SameNetwork()


class SameNetwork(nn.Module):
    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        return (sample,)


class Turned(nn.Module):
    """Turns and enlarges latents; may add noise, or insist on float32."""

    def __init__(self) -> None:
        super().__init__()
        drawn = torch.randn((SIZE, SIZE), generator=torch.Generator().manual_seed(0))
        self.turn = nn.Parameter(3 * torch.linalg.qr(drawn).Q)

    def forward(self, latent: Tensor) -> Tensor:
        return latent @ self.turn.T


class TurnedConfig(GeneratorConfig):
    """Turns latents."""

    type: Literal["turned"] = "turned"

    def build(self, **fit: Any) -> nn.Module:
        return Turned()


class Sphere(Game):
    """Latents of length 2, drawn on a sphere."""

    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    contests = ()
    turns = ()

    def player_specs(self) -> dict[str, PlayerSpec]:
        point = TensorSpec((SIZE,))
        return {
            "generator": PlayerSpec(TurnedConfig(), ("generator",), point),
            "discriminator": PlayerSpec(FakeDiscriminator(), ("discriminator",), point),
        }

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        """Draw points of a sphere."""
        return 2 * nn.functional.normalize(game_round.randomness.normal("latent", (game_round.size, SIZE)), dim=1)

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """Turn latents."""
        return self.players["generator"](game_round["latent"])


class Noisy(Sphere):
    """Samples are the same for all latents, but for noise."""

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """Draw noise."""
        return 0 * game_round["latent"] + game_round.randomness.normal("noise", (game_round.size, SIZE))


def round_of(game: Game, size: int = 200) -> Round:
    game.set_players({name: spec.build() for name, spec in game.player_specs().items()})
    batch = {"real": torch.zeros(size, SIZE)}
    return Round(game, batch, size=size, device=CPU, randomness=Randomness(1).at(7))


def sphere(kind: type[Sphere] = Sphere) -> Game:
    return kind({"real": TensorSpec((SIZE,))})


def lengths(game_round: Round, **settings: Any) -> Tensor:
    config = PathLength(encoder=Same(), **settings)
    with torch.no_grad():
        return PathLengths(config, SameNetwork()).read(game_round)["distance"]


def angles(game_round: Round) -> Tensor:
    """The angle between the two latents of each path."""
    game, other = game_round.game, game_round.randomness.at("path-length")
    batch = {"real": game_round["real"]}
    end = Round(game, batch, size=game_round.size, device=CPU, randomness=other)["latent"]
    cosines = (game_round["latent"].double() * end.double()).sum(dim=1) / 4
    return cosines.clamp(-1, 1).acos()


def test_the_length_of_a_great_circle_is_its_angle():
    """Samples have one length and turn by angle * eps, so d / eps² is the square of the angle."""
    game_round = round_of(sphere())
    found, expected = lengths(game_round), angles(game_round).square()
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    assert found.std() > 0.3  # the paths differ


def test_single_precision_adds_the_square_of_its_rounding():
    """At eps = 1e-4 a difference has about four digits; at 1e-3, five."""
    game_round = round_of(sphere())
    expected = angles(game_round).square()
    errors = [
        float((lengths(game_round, precision="float32", epsilon=epsilon) / expected - 1).abs().max())
        for epsilon in (1e-4, 1e-3)
    ]
    assert 1e-5 < errors[1] < errors[0] < 0.05


@pytest.mark.parametrize("epsilon", [1e-2, 1e-4, 1e-6])
def test_any_step_gives_the_same_length(epsilon: float):
    game_round = round_of(sphere())
    torch.testing.assert_close(lengths(game_round, epsilon=epsilon), angles(game_round).square(), rtol=1e-3, atol=0)


def test_a_straight_path_has_its_speed_by_hand():
    """Between a and b of length 2 at an angle w, the direction turns by 4 sin(w) / |p(t)|² at p(t)."""
    game_round = round_of(sphere())
    found, angle = lengths(game_round, interpolation="lerp"), angles(game_round)
    place = game_round.randomness.at("path-length").uniform("place", (200,)).double() * (1 - 1e-4) + 0.5e-4
    squared = 4 * ((1 - place) ** 2 + place**2 + 2 * place * (1 - place) * angle.cos())
    torch.testing.assert_close(found, (4 * angle.sin() / squared).square(), rtol=1e-4, atol=0)


def test_noise_and_conditions_are_the_same_at_both_points():
    assert float(lengths(round_of(sphere(Noisy))).max()) == 0


def test_players_stay_as_they_are():
    game_round = round_of(sphere())
    before = dict(game_round.game.players)
    weights = before["generator"].turn.clone()
    lengths(game_round)
    assert game_round.game.players == before
    assert before["generator"].turn.dtype == torch.float32
    assert torch.equal(before["generator"].turn, weights)


def test_networks_that_do_not_compute_in_float64_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Turned, "forward", lambda self, latent: latent.float() @ self.turn.T)
    with pytest.raises(BadInput, match=r"precision: the players or the encoder do not compute in float64") as problem:
        lengths(round_of(sphere()))
    assert "precision: float32" in problem.value.remedy
    assert lengths(round_of(sphere()), precision="float32").isfinite().all()


def test_other_errors_of_networks_stay_as_they_are(monkeypatch: pytest.MonkeyPatch):
    def fail(self: Turned, latent: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Turned, "forward", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        lengths(round_of(sphere()))


def test_an_encoder_that_answers_in_float32_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SameNetwork, "forward", lambda self, sample: (sample.float(),))
    with pytest.raises(BadInput, match=r"do not compute in float64: an activation has the dtype torch\.float32"):
        lengths(round_of(sphere()))


class Stored(EncoderConfig):
    """Has a file."""

    type: Literal["stored"] = "stored"
    file: Path
    """The weights."""

    def build(self) -> nn.Module:
        return SameNetwork()


def test_the_protocol_tells_files_of_one_name_apart(tmp_path: Path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"abc")
    config = PathLength(encoder=Stored(file=file))
    # The example of FIPS 180-2, appendix B.1.
    expected = "stored (file weights.safetensors sha256 ba7816bf8f01)"
    assert PathLengths(config, SameNetwork()).protocol()["encoder"] == expected


@pytest.mark.parametrize("missing", [{"latent": "code"}, {"sample": "picture"}])
def test_games_without_latents_are_refused(missing: dict[str, str]):
    with pytest.raises(BadInput, match=r"the game does not make '(code|picture)'") as problem:
        lengths(round_of(sphere()), **missing)
    assert problem.value.remedy == "It makes: latent, fake."


def test_points_on_paths_by_hand():
    start, end = torch.tensor([[2.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    third = torch.tensor([1 / 3, 0.5, 0.0], dtype=torch.float64)
    root = 3**0.5
    arcs = interpolated(start, end, third, "slerp")
    torch.testing.assert_close(arcs, torch.tensor([[root, 1.0], [2.0, 0.0], [1.0, 0.0]], dtype=torch.float64))
    lines = interpolated(start, end, third, "lerp")
    torch.testing.assert_close(lines, torch.tensor([[4 / 3, 2 / 3], [2.0, 0.0], [1.0, 0.0]], dtype=torch.float64))
    maps = interpolated(start[:1].reshape(1, 1, 2, 1), end[:1].reshape(1, 1, 2, 1), third[:1], "slerp")
    assert maps.shape == (1, 1, 2, 1)


def test_the_distance_of_activations_by_hand():
    """At one of two positions (3, 4) and (4, 3) become (.6, .8) and (.8, .6): 0.08 / 2. The vectors differ by 2."""
    maps = [torch.tensor([[[[a, 1.0]], [[b, 1.0]]]], dtype=torch.float64) for a, b in ((3.0, 4.0), (4.0, 3.0))]
    vectors = [torch.tensor([row], dtype=torch.float64) for row in ([5.0, 0.0], [0.0, 7.0])]
    found = perceptual_distance([maps[0], vectors[0]], [maps[1], vectors[1]])
    assert found.item() == pytest.approx(0.04 + 2, rel=1e-8)


def test_activations_that_are_zero_have_no_distance():
    zero = torch.zeros(1, 3)
    assert perceptual_distance([zero], [zero]).item() == 0


def test_the_trimmed_mean_leaves_out_what_the_authors_leave_out():
    values = torch.randn(501, generator=torch.Generator().manual_seed(0)).exp()
    metric = PathLengths(PathLength(encoder=Same()), SameNetwork())
    for part in values.split(100):
        metric.update({"distance": part})
    found, numbers = metric.compute(), values.double().numpy()
    low, high = np.percentile(numbers, 1, method="lower"), np.percentile(numbers, 99, method="higher")
    assert found["mean"] == pytest.approx(numbers.mean())
    assert found["trimmed"] == pytest.approx(numbers[(low <= numbers) & (numbers <= high)].mean())


def test_a_game_that_is_trained_is_measured():
    """A dense generator with classes, over an encoder with convolutions."""
    from ganframe.evaluation.metrics import Evaluation
    from ganframe.training.assembly import assemble

    experiment = Experiment.model_validate(
        {
            "game": {
                "type": "adversarial",
                "condition": "label",
                "generator": {"type": "mlp", "hidden": [8], "latent": 4},
                "discriminator": {"type": "mlp", "hidden": [8]},
            },
            "losses": ["non-saturating"],
            "data": FakeData(),
            "train": {"total_images": 8, "device": "cpu"},
        }
    )
    game = assemble(experiment, CPU).game
    config = PathLength(encoder=FakeEncoder(), samples=60)
    measured = [Evaluation((config,), FakeData(), 0, FakeData().build(), size).measure(game, CPU) for size in (60, 60)]
    assert measured[0].results == measured[1].results
    assert measured[0].results["path-length/mean"] > 0
    assert measured[0].protocols["path-length"] == {
        "samples": "60",
        "encoder": "stub",
        "interpolation": "slerp",
        "epsilon": "0.0001",
        "precision": "float64",
    }
    coarse = PathLength(encoder=FakeEncoder(), samples=60, epsilon=1e-3, precision="float32")
    again = Evaluation((coarse,), FakeData(), 0, FakeData().build(), 60).measure(game, CPU)
    mean = measured[0].results["path-length/mean"]
    assert again.results["path-length/mean"] == pytest.approx(mean, rel=0.02)
