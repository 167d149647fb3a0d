"""The game of CycleGAN, its pools, and the ResNet generator."""

import pytest
import torch
from ganframe_cyclegan import CycleGame, ResNet
from ganframe_kernels.instance_norm import InstanceNormAct2d

from ganframe.config import BadInput, TensorSpec
from ganframe.game import Randomness, Round
from ganframe.testing.fakes import CPU, FakeDiscriminator, FakeGenerator, with_built_players

PIXEL = TensorSpec((1, 1, 1))


def image(channels, side, width=None):
    return TensorSpec((channels, side, width or side))


# The ResNet.


@pytest.mark.parametrize(("blocks", "expected"), [(9, 11_378_179), (6, 7_837_699)])
def test_parameter_counts(blocks, expected):
    with torch.device("meta"):
        network = ResNet(blocks=blocks).build(source=image(3, 256), output=image(3, 256))
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize(("side", "width"), [(8, 8), (12, 8), (28, 28), (32, 64), (30, 45), (9, 11)])
def test_any_sides_of_at_least_eight(side, width):
    network = ResNet(blocks=1, channels=2).build(source=image(1, side, width), output=image(3, side, width))
    generated = network(torch.randn(2, 1, side, width))
    assert generated.shape == (2, 3, side, width)
    assert generated.abs().max() <= 1


@pytest.mark.parametrize("side", [4, 7])
def test_smaller_sides_are_refused(side):
    with pytest.raises(BadInput, match="sides of at least 8"):
        ResNet().build(source=image(3, side), output=image(3, side))


def test_other_sources_are_refused():
    for source, output in ((image(3, 64), image(3, 32)), (TensorSpec((5,)), image(3, 32)), (None, image(3, 32))):
        with pytest.raises(BadInput, match="one of the same sides"):
            ResNet().build(source=source, output=output)


def test_borders_are_padded_by_reflection():
    """A constant image stays constant, borders included, up to the zero padding of the strided layers."""
    network = ResNet(blocks=1, channels=2).build(source=image(1, 32), output=image(1, 32))
    reflected = [module for module in network.modules() if getattr(module, "padding_mode", "zeros") == "reflect"]
    padded = [module.padding for module in network.modules() if isinstance(module, InstanceNormAct2d)]
    assert len(reflected) == 3  # the first, the last, and the first of the block
    assert sum(padded) == 1  # for the second of the block
    first = reflected[0]
    output = first(torch.full((1, 1, 32, 32), 0.7))
    assert output.amax(dim=(2, 3)).sub(output.amin(dim=(2, 3))).max() < 1e-6


# The game.


def make(pool=50, a=PIXEL, b=PIXEL):
    config = CycleGame(generator=FakeGenerator(from_sample=True), discriminator=FakeDiscriminator(), pool=pool)
    return with_built_players(config.build({"real_a": a, "real_b": b}))


class Shift(torch.nn.Module):
    """A generator whose inverse is known."""

    def __init__(self, by):
        super().__init__()
        self.by = torch.nn.Parameter(torch.tensor(float(by)))

    def forward(self, sample):
        return sample + self.by


def opened(game, real_a, real_b, turn=None, step=0, shared=False):
    batch = {"real_a": real_a, "real_b": real_b}
    game_round = Round(game, batch, size=len(real_a), device=CPU, randomness=Randomness(0).at(step), shared=shared)
    if turn is not None:
        game_round = game_round.in_turn(turn)
    return game_round


def pixels(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1)


def test_tensors_are_what_their_names_say():
    game = make()
    game.set_players(game.players | {"g_ab": Shift(10), "g_ba": Shift(200)})
    game_round = opened(game, pixels(1), pixels(2))
    expected = {"fake_b": 11, "fake_a": 202, "reconstructed_a": 211, "reconstructed_b": 212}
    expected |= {"identity_a": 201, "identity_b": 12, "replayed_a": 202, "replayed_b": 11}
    assert {name: game_round[name].item() for name in expected} == expected


def test_each_network_fits_its_domains():
    specs = make(a=image(1, 16), b=image(3, 16)).player_specs()
    assert (specs["g_ab"].source, specs["g_ab"].sample) == (image(1, 16), image(3, 16))
    assert (specs["g_ba"].source, specs["g_ba"].sample) == (image(3, 16), image(1, 16))
    assert (specs["d_a"].sample, specs["d_b"].sample) == (image(1, 16), image(3, 16))


def test_identity_needs_equal_shapes():
    game = make(a=image(1, 16), b=image(3, 16))
    game_round = opened(game, torch.zeros(2, 1, 16, 16), torch.zeros(2, 3, 16, 16), game.turns[1])
    assert game_round["reconstructed_a"].shape == (2, 1, 16, 16)
    for name in ("identity_a", "identity_b"):
        with pytest.raises(BadInput, match="A is 1 x 16 x 16 and B is 3 x 16 x 16"):
            game_round[name]


def test_one_network_for_each_direction():
    game = make()
    weights = [next(iter(game.players[name].parameters())) for name in ("g_ab", "g_ba", "d_a", "d_b")]
    assert len({id(weight) for weight in weights}) == 4


# The pools.


def play(game, values, step):
    """Take a discriminators' turn whose fakes of B have these values; return what their discriminator is shown."""
    game.set_players(game.players | {"g_ab": Shift(0), "g_ba": Shift(0)})
    game_round = opened(game, pixels(*values), pixels(*values), game.turns[0], step)
    shown = game_round["replayed_b"]
    assert torch.equal(shown, game_round["replayed_b"])
    return shown.flatten().tolist()


def stored(game, domain="b"):
    return game.memory[f"pool_{domain}"].flatten().tolist()


def test_new_fakes_are_shown_until_the_pool_is_full():
    game = make(pool=5)
    assert play(game, [1, 2, 3], 0) == [1, 2, 3]
    assert stored(game) == [1, 2, 3]
    shown = play(game, [4, 5, 6], 1)
    assert shown[:2] == [4, 5]
    assert len(stored(game)) == 5


def test_an_exchange_keeps_every_fake():
    """Each fake is either shown now or put into the pool, which gives one up to be shown: none is lost or doubled."""
    game, size, past = make(pool=7), 4, 0
    for step in range(100):
        before = stored(game) if game.memory else []
        new = [float(size * step + index) for index in range(size)]
        shown = play(game, new, step)
        assert len(stored(game)) == min(7, size * (step + 1))
        came = before + new
        if len(before) == 7:
            assert sorted(stored(game) + shown) == sorted(came)
            past += sum(value in before for value in shown)
    # Half are exchanged. Some of these come from the same batch, at most size / 7 of them.
    assert 0.35 < past / (98 * size) < 0.6


def test_the_tensor_of_a_pool_is_never_written_into():
    """A game that looks ahead keeps it, to restore it."""
    game = make(pool=3)
    play(game, [1, 2, 3], 0)
    for step in range(1, 5):
        held = game.memory["pool_b"]
        before = held.tolist()
        play(game, [10 * step, 10 * step + 1, 10 * step + 2], step)
        assert held.tolist() == before
    assert stored(game) != [1, 2, 3]


def test_exchanges_are_drawn_from_the_round():
    shown = []
    for _ in range(2):
        game = make(pool=3)
        shown.append([play(game, [step, step + 0.5], step) for step in range(10)])
    assert shown[0] == shown[1]


def test_domains_have_pools_of_their_own():
    game = make(pool=3)
    game_round = opened(game, pixels(1, 2), pixels(3, 4), game.turns[0])
    assert not torch.equal(game_round["replayed_a"], game_round["replayed_b"])
    assert game.memory.keys() == {"pool_a", "pool_b"}


def test_an_empty_pool_shows_new_fakes():
    game = make(pool=0)
    for step in range(5):
        assert play(game, [1, 2, 3], step) == [1, 2, 3]
    assert game.memory == {}


def test_generator_turns_and_sampling_leave_the_pool_as_it_is():
    game = make(pool=2)
    play(game, [1, 2, 3], 0)
    before = stored(game)
    sampling = opened(game, pixels(7, 8), pixels(7, 8))
    assert torch.equal(sampling["replayed_b"], sampling["fake_b"])
    training = opened(game, pixels(7, 8), pixels(7, 8), game.turns[1])
    for contest in game.contests:
        training.discriminator_output(contest, "fake")
    assert stored(game) == before


def test_discriminators_see_replays_in_their_own_turn_only():
    game = make(pool=1)
    play(game, [100], 0)
    seen = set()
    for step in range(1, 12):
        game.memory["pool_b"] = pixels(100)
        game_round = opened(game, pixels(1), pixels(1), game.turns[0], step)
        seen.add(game_round.discriminator_output(game.contests[1], "fake").sample.item())
        game_round = game_round.in_turn(game.turns[1])
        assert game_round.discriminator_output(game.contests[1], "fake").sample.item() == 1
    assert seen == {1.0, 100.0}


def test_replays_carry_no_graph():
    game = make()
    for shared in (False, True):
        game_round = opened(game, pixels(1), pixels(2), game.turns[0], shared=shared)
        with game.only_trainable(game.turns[0].players):
            assert not game_round["replayed_a"].requires_grad
        assert not game.memory["pool_a"].requires_grad


def test_while_generators_train_replays_keep_their_graph_and_pools_have_none():
    """As in a generator's turn that looks ahead to the discriminators' turn."""
    game = make(pool=1)
    game_round = opened(game, pixels(1, 2), pixels(3, 4), game.turns[0])
    with game.only_trainable(game.turns[1].players):
        assert game_round["replayed_a"].requires_grad
    assert not game.memory["pool_a"].requires_grad


def test_a_shared_round_keeps_the_graph_for_the_generators():
    game = make()
    game_round = opened(game, pixels(1), pixels(2), game.turns[0], shared=True)
    for contest in game.contests:
        game_round.discriminator_output(contest, "fake")
    game_round = game_round.in_turn(game.turns[1])
    with game.only_trainable(game.turns[1].players):
        for name in ("fake_a", "fake_b", "reconstructed_a", "reconstructed_b", "identity_a", "identity_b"):
            assert game_round[name].requires_grad
