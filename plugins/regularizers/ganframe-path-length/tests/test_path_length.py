"""Path lengths of linear generators in closed form, and the running mean by hand."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from ganframe_path_length import PathLength
from ganframe_path_length.paths import PathLengthPenalty, path_lengths
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load_config, train
from ganframe.game import BadInput, Contest, Game, Randomness, Round, Turn, tensor
from ganframe.runs.checkpoint_files import list_checkpoints, load
from ganframe.testing.runs import train_whole_and_resumed
from ganframe.training.assembly import assemble

double = {"dtype": torch.float64}
CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, latent: 2, hidden: [8], output: linear}
  discriminator: {type: mlp, hidden: [8]}
losses: [non-saturating]
regularizers: [{type: path-length, weight: 0.1, every: 2}]
data: {type: ring, samples: 100}
train: {images: 96, batch_size: 8, device: cpu, accumulate: 1}
checkpoint: {every_images: 8}
"""


class WithGenerator(Game):
    inputs = ()
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"](game_round["latent"])


class Linear(nn.Module):
    """G(z) = A z, in the shape of a sample."""

    def __init__(self, matrix: Tensor, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)
        self.shape = shape

    def forward(self, latent: Tensor) -> Tensor:
        return (latent @ self.matrix.T).unflatten(1, self.shape)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **double)


def round_of(generator: nn.Module, latent: Tensor, seed: int = 0) -> Round:
    game = WithGenerator({})
    game.set_players({"discriminator": nn.Identity(), "generator": generator})
    batch = {"latent": latent, "real": latent}
    game_round = Round(game, batch, size=len(latent), device=torch.device("cpu"), randomness=Randomness(seed))
    return game_round.in_turn(game.turns[1], requires_grad_tensors=frozenset({"latent"}))


def noise(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """The y of a round, before it is divided."""
    return Randomness(seed).normal("path-length fake", shape).double()


def live(**settings: Any) -> PathLengthPenalty:
    return cast(PathLengthPenalty, PathLength(**settings).build())


@pytest.mark.parametrize(("shape", "pixels"), [((3, 4, 5), 20), ((6,), 1), ((2, 8), 8)])
def test_a_linear_generator_has_the_length_of_a_transposed_y(shape: tuple[int, ...], pixels: int):
    matrix, latent = draws(math.prod(shape), 4), draws(5, 4, seed=1)
    y = noise((5, *shape)).flatten(1) / math.sqrt(pixels)
    expected = torch.stack([(matrix.T @ row).norm() for row in y])
    found = path_lengths(round_of(Linear(matrix, shape), latent), "fake", "latent")
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layers", [1, 3, 14])
def test_the_length_by_styles_is_the_root_of_the_mean_square_over_layers(layers: int):
    """G(w) = A_1 w_1 + ... + A_L w_L has lengths sqrt((|A_1^T y|^2 + ... + |A_L^T y|^2) / L)."""
    matrices, latent = draws(layers, 6, 4), draws(5, layers, 4, seed=1)
    generator = nn.Sequential(nn.Flatten(), Linear(torch.cat(list(matrices), 1), (6,)))
    expected = [sum((matrix.T @ y).square().sum() for matrix in matrices) / layers for y in noise((5, 6))]
    found = path_lengths(round_of(generator, latent), "fake", "latent")
    torch.testing.assert_close(found, torch.stack(cast(list[Tensor], expected)).sqrt())


@pytest.mark.parametrize("matrix", [[[2.0], [1.0]], [[0.5], [-3.0]]])
def test_lengths_in_the_mean(matrix: list[list[float]]):
    """For one latent number A^T y ~ N(0, |A|^2): lengths of mean |A| sqrt(2 / pi) and variance |A|^2 (1 - 2 / pi)."""
    generator, size = Linear(torch.tensor(matrix, **double), (2,)), math.hypot(*(row[0] for row in matrix))
    value = live().forward(round_of(generator, torch.zeros(100_000, 1, **double)))
    lengths = path_lengths(round_of(generator, torch.zeros(100_000, 1, **double)), "fake", "latent")
    assert lengths.mean().item() == pytest.approx(size * math.sqrt(2 / math.pi), rel=0.01)
    assert value.item() == pytest.approx(size**2 * (1 - 2 / math.pi), rel=0.02)


def test_an_isometry_in_many_dimensions_pays_least():
    """||y|| of D numbers varies by 1/2, sqrt D itself is the length; a stretched axis varies more."""
    square = torch.eye(200, **double)
    stretched = square.clone()
    stretched[0, 0] = 20.0
    even, uneven = (
        live().forward(round_of(Linear(matrix, (200,)), torch.zeros(2000, 200, **double))).item()
        for matrix in (square, stretched)
    )
    assert even == pytest.approx(0.5, rel=0.1)
    assert uneven > 10 * even


@pytest.mark.parametrize("decay", [0.99, 0.5, 0.0])
def test_the_mean_is_an_unbiased_average_of_all_turns(decay: float):
    term, generator, means = live(decay=decay), Linear(draws(3, 2), (3,)), []
    for turn in range(4):
        generator.matrix.data *= 1.5
        game_round = round_of(generator, draws(6, 2), seed=turn)
        lengths = path_lengths(round_of(generator, draws(6, 2), seed=turn), "fake", "latent")
        means.append(lengths.mean().item())
        weights = [decay ** (turn - past) for past in range(turn + 1)]
        a = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
        expected = (lengths - a).square().mean().item()
        assert term.forward(game_round).item() == pytest.approx(expected)
        term.on_turn_end(cast(Any, SimpleNamespace()), game_round.game.turns[1])
        assert (term.total / term.share).item() == pytest.approx(a)


def test_a_turn_over_several_rounds_counts_once():
    term, generator = live(), Linear(torch.ones(1, 1, **double), (1,))
    rounds = [round_of(generator, draws(4, 1), seed=seed) for seed in range(2)]
    means = [noise((4, 1), seed).abs().mean().item() for seed in range(2)]
    for game_round in rounds:
        term.forward(game_round)
    term.on_turn_end(cast(Any, SimpleNamespace()), rounds[0].game.turns[1])
    term.on_turn_end(cast(Any, SimpleNamespace()), rounds[0].game.turns[0])
    assert term.share.item() == pytest.approx(0.01)
    assert (term.total / term.share).item() == pytest.approx(sum(means) / 2)


def test_gradcheck_and_second_order():
    """The penalty's gradient in the weights goes through the Jacobian, to finite differences."""

    class Curved(nn.Module):
        def __init__(self, weight: Tensor) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, latent: Tensor) -> Tensor:
            return torch.tanh(latent @ self.weight).square() @ self.weight.T

    def penalty(weight: Tensor) -> Tensor:
        # No gradient passes through the running mean, so it is held at 1.
        term = live()
        term.total.fill_(1e9)
        term.share.fill_(1e9)
        term.decay = 1 - 1e-12
        return term.forward(round_of(Curved(weight), draws(3, 2)))

    weight = draws(2, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(penalty, weight)
    assert torch.autograd.gradgradcheck(penalty, weight)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_and_for_flat_generators(dtype: torch.dtype, size: float):
    for scale in (size, -size, 0.0):
        generator = Linear(torch.full((3, 2), scale, dtype=dtype), (3,))
        found = live().forward(round_of(generator, draws(4, 2).to(dtype)))
        found.backward()
        assert bool(found.isfinite())
        assert bool(generator.matrix.grad.isfinite().all())


def test_a_sample_that_does_not_depend_on_the_latent_costs_nothing():
    class Constant(Linear):
        def forward(self, latent: Tensor) -> Tensor:
            return super().forward(torch.ones_like(latent))

    assert live().forward(round_of(Constant(draws(3, 2), (3,)), draws(4, 2))).item() == 0


def test_the_mean_survives_a_resume_bit_for_bit(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    whole, resumed = train_whole_and_resumed(load_config(str(file)), tmp_path, stop_after=7)
    assert whole["term.path-length"]["share"].item() == pytest.approx(1 - 0.99**6)
    for section in ("term.path-length", "player.generator"):
        assert all(torch.equal(tensor, resumed[section][name]) for name, tensor in whole[section].items())


@pytest.mark.parametrize("game", ["share_round: true", "share_round: false"])
def test_it_works_in_a_shared_round_and_in_bf16(game: str, tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.replace("type: adversarial", f"type: adversarial\n  {game}"))
    folder = train(load_config(str(file), "train.precision=bf16", "train.accumulate=2"), out=tmp_path / "run")
    (_, sections) = load(list_checkpoints(folder.checkpoints)[0])
    assert 0 < sections["term.path-length"]["total"].item() < 10


def test_a_latent_that_the_game_lacks_is_refused(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.replace("weight: 0.1", "latent: style"))
    with pytest.raises(BadInput, match="reads the tensor 'style', which the game does not have"):
        assemble(load_config(str(file)))


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_other_decays_are_refused(decay: float):
    with pytest.raises(ValidationError):
        PathLength(decay=decay)


@pytest.mark.slow
def test_the_preset_covers_every_mode(tmp_path: Path):
    folder = train(load_config("path-length-ring"), out=tmp_path / "run")
    assert '"mode-coverage/modes": 8.0' in folder.metrics.read_text().splitlines()[-1]
