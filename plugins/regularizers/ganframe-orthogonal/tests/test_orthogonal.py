"""Orthogonal regularisation on known matrices, and over the layers of players."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_orthogonal import Orthogonal
from torch import Tensor, nn

from ganframe import load, load_config, train
from ganframe.game import BadInput, Contest, Game, Randomness, Round, Turn

double = {"dtype": torch.float64}


class ThreeTurns(Game):
    inputs = ()
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (
        Turn("discriminator", ("discriminator",)),
        Turn("generator", ("generator",)),
        Turn("both", ("discriminator", "generator")),
    )


def round_of(turn: int = 0, **players: nn.Module) -> Round:
    game = ThreeTurns({})
    game.set_players({"discriminator": nn.Identity(), "generator": nn.Identity(), **players})
    game_round = Round(game, {}, size=1, device=torch.device("cpu"), randomness=Randomness(0))
    return game_round.in_turn(game.turns[turn])


def linear(rows: Any) -> nn.Linear:
    weight = torch.tensor(rows, **double)
    layer = nn.Linear(weight.shape[1], weight.shape[0], **double)
    layer.weight = nn.Parameter(weight)
    return layer


def penalty(layer: nn.Module, **settings: Any) -> float:
    return Orthogonal(**settings).build().forward(round_of(discriminator=layer)).item()


FILTERS = [[3.0, 0.0, 4.0], [1.0, 2.0, 0.0]]
"""Two filters with the lengths 5 and sqrt 5 and the inner product 3."""
OTHERS = [[1.0, 1.0], [0.5, 0.0], [0.0, -2.0]]
"""Three filters: inner products 0.5, -2 and 0; squared lengths 2, 0.25 and 4."""


@pytest.mark.parametrize(
    ("filters", "angles", "with_norms"),
    [
        (FILTERS, 2 * 3**2, 2 * 3**2 + 24**2 + 4**2),
        (OTHERS, 2 * (0.5**2 + 2**2), 2 * (0.5**2 + 2**2) + 1 + 0.75**2 + 3**2),
    ],
)
def test_known_matrices(filters: Any, angles: float, with_norms: float):
    assert penalty(linear(filters)) == pytest.approx(angles, rel=1e-12)
    assert penalty(linear(filters), norms=True) == pytest.approx(with_norms, rel=1e-12)


def orthogonal(outputs: int, inputs: int) -> Tensor:
    torch.manual_seed(0)
    return torch.linalg.qr(torch.randn(inputs, outputs, **double))[0].T


@pytest.mark.parametrize("length", [1.0, 3.0])
def test_orthogonal_filters_pay_nothing_for_their_angles(length: float):
    """And (length^2 - 1)^2 each where their norms count."""
    layer = linear((length * orthogonal(4, 7)).tolist())
    assert penalty(layer) == pytest.approx(0, abs=1e-25)
    assert penalty(layer, norms=True) == pytest.approx(4 * (length**2 - 1) ** 2, rel=1e-12, abs=1e-25)


def test_more_outputs_than_inputs_keep_their_difference():
    """The least ||W^T W - I||^2 of n filters in m dimensions is n - m: at a tight frame of unit directions."""
    tight = orthogonal(3, 5).T
    assert tight.shape == (5, 3)
    assert penalty(linear(tight.tolist()), norms=True) == pytest.approx(5 - 3)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_filter_of_a_convolution_is_all_that_makes_one_output_channel(transposed: bool):
    weight = torch.tensor(FILTERS, **double).reshape(2, 3, 1, 1)
    layer = nn.ConvTranspose2d(3, 2, 1, **double) if transposed else nn.Conv2d(3, 2, 1, **double)
    layer.weight = nn.Parameter(weight.transpose(0, 1) if transposed else weight)
    assert penalty(layer) == pytest.approx(18)


def test_spatial_positions_belong_to_the_filter():
    layer = nn.Conv1d(1, 2, 3, **double)
    layer.weight = nn.Parameter(torch.tensor(FILTERS, **double)[:, None])
    assert penalty(layer) == pytest.approx(18)


def test_layers_and_players_in_training_add_up_and_the_rest_is_left_out():
    discriminator = nn.Sequential(linear(FILTERS), nn.BatchNorm1d(2), nn.Embedding(4, 3), linear(OTHERS))
    generator = linear(OTHERS)
    players = {"discriminator": discriminator, "generator": generator}
    term = Orthogonal().build()
    assert [term.forward(round_of(turn, **players)).item() for turn in range(3)] == pytest.approx([26.5, 8.5, 35])
    only = Orthogonal(players=("generator",)).build()
    assert [only.forward(round_of(turn, **players)).item() for turn in range(3)] == pytest.approx([0, 8.5, 8.5])


def test_under_a_parametrization_it_is_about_the_tensor_behind_it():
    layer = linear(FILTERS)
    nn.utils.parametrizations.spectral_norm(layer)
    before = [buffer.clone() for buffer in layer.buffers()]
    assert penalty(layer) == pytest.approx(18)
    assert all(map(torch.equal, before, layer.buffers()))


def test_a_turn_that_looks_ahead_pays_for_the_weights_that_it_looks_with():
    ahead = {"weight": torch.tensor(OTHERS, **double), "bias": torch.zeros(3, **double)}
    game_round = round_of(discriminator=linear(FILTERS)).with_discriminator_weights({"discriminator": ahead})
    assert Orthogonal().build().forward(game_round).item() == pytest.approx(8.5)


@pytest.mark.parametrize("norms", [False, True])
def test_gradcheck(norms: bool):
    def value(weight: Tensor) -> Tensor:
        ahead = {"discriminator": {"weight": weight}}
        game_round = round_of(discriminator=linear(FILTERS)).with_discriminator_weights(ahead)
        return Orthogonal(norms=norms).build().forward(game_round)

    assert torch.autograd.gradcheck(value, torch.tensor(FILTERS, **double).requires_grad_())


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_weights(dtype: torch.dtype, size: float):
    for value in (size, -size):
        layer = nn.Linear(4, 3, dtype=dtype)
        nn.init.constant_(layer.weight, value)
        found = Orthogonal(norms=True).build().forward(round_of(discriminator=layer))
        found.backward()
        assert bool(found.isfinite())
        assert bool(layer.weight.grad.isfinite().all())


CONFIG = """
game:
  type: adversarial
  generator: {{type: mlp, latent: 8, hidden: [8], output: linear}}
  discriminator: {{type: mlp, hidden: [8]}}
losses: [non-saturating]
regularizers: [{{type: orthogonal, weight: 1, players: [{player}]}}]
data: {{type: ring, samples: 100}}
optimizers: {{generator: {{type: adam, lr: 0.01}}}}
train: {{images: 3_200, batch_size: 16, device: cpu}}
"""


def test_training_makes_the_filters_of_the_named_players_orthogonal(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(player="generator"))
    experiment = load_config(str(file))
    trained = [
        load(train(experiment.model_copy(update=change), out=tmp_path / name).path, device="cpu").game.players
        for name, change in (("with", {}), ("without", {"regularizers": ()}))
    ]
    terms = [penalty(nn.Sequential(*players["generator"].modules())) for players in trained]
    assert terms[0] < 0.5 * terms[1]


def test_players_that_do_not_exist_are_refused(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(player="painter"))
    with pytest.raises(BadInput, match="the game has no player 'painter'") as problem:
        train(load_config(str(file)), out=tmp_path / "run")
    assert "generator, discriminator" in str(problem.value)


@pytest.mark.slow
def test_the_preset_covers_every_mode(tmp_path: Path):
    folder = train(load_config("orthogonal-ring"), out=tmp_path / "run")
    assert '"mode-coverage/modes": 8.0' in folder.metrics.read_text().splitlines()[-1]
