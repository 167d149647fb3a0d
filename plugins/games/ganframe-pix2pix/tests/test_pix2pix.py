"""The game of pix2pix and the U-Net, against the paper and the reference implementation."""

import pytest
import torch
from ganframe_pix2pix import PairedGame, UNet

from ganframe.config import BadInput, DiscriminatorConfig, TensorSpec
from ganframe.evaluation.sampling import sampling_mode
from ganframe.game import DiscriminatorOutput, Randomness, Round
from ganframe.testing.fakes import CPU, with_built_players


def image(channels, side, width=None):
    return TensorSpec((channels, side, width or side))


def unet(source=(3, 32), output=(3, 32), **settings):
    torch.manual_seed(0)
    return UNet(**{"channels": 4, **settings}).build(source=image(*source), output=image(*output))


# The U-Net.


@pytest.mark.parametrize(("side", "depth", "expected"), [(256, 8, 54_413_955), (128, 7, 41_828_995)])
def test_parameter_counts(side, depth, expected):
    with torch.device("meta"):
        networks = [UNet(depth=given).build(source=image(3, side), output=image(3, side)) for given in (None, depth)]
    for network in networks:
        assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("side", "width"), [(4, 4), (8, 8), (28, 28), (32, 64), (40, 8), (64, 64), (30, 45), (31, 5)])
@pytest.mark.parametrize("batch", [1, 3])
def test_any_sides_of_at_least_four(norm, side, width, batch):
    network = unet((1, side, width), (3, side, width), norm=norm)
    generated = network(torch.randn(batch, 1, side, width))
    assert generated.shape == (batch, 3, side, width)
    assert generated.abs().max() <= 1
    generated.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_the_depth_is_how_often_the_shorter_side_halves_to_one():
    for sides, halvings in (((30, 45), 4), ((64, 64), 6), ((512, 1024), 8)):
        with torch.device("meta"):
            network = UNet(channels=1).build(source=image(1, *sides), output=image(1, *sides))
        assert len(network.encoder) == halvings


@pytest.mark.parametrize(("side", "depth"), [(31, 5), (32, 6), (28, 5), (2, None), (3, None)])
def test_sides_that_cannot_be_halved_are_refused(side, depth):
    with pytest.raises(BadInput, match="can be halved"):
        unet((3, side), (3, side), depth=depth)


def test_other_sources_are_refused():
    for source, output in ((image(3, 64), image(3, 32)), (TensorSpec((5,)), image(3, 32)), (None, image(3, 32))):
        with pytest.raises(BadInput, match="one of the same sides"):
            UNet().build(source=source, output=output)


def test_skip_connections_reach_every_layer():
    """With a single pixel changed, only a network with skips changes some outputs and not others."""
    network = unet(dropout=0, norm="none").double()
    source = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    changed = source.clone()
    changed[0, :, 0, 0] = 1
    with torch.no_grad():
        for stage in network.decoder:  # cut the path through the innermost layers
            stage[0].weight.zero_()
        change = (network(source) - network(changed)).abs().sum(dim=(0, 1))
    assert change[0, 0] > 0
    assert change[8:, 8:].max() == 0


def test_dropout_stays_active_while_sampling():
    network = unet().eval()
    source = torch.randn(2, 3, 32, 32)
    generated = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        generated.append(network(source))
    assert torch.equal(generated[0], generated[1])
    assert not torch.equal(generated[0], generated[2])
    without_dropout = unet(dropout=0).eval()
    assert torch.equal(without_dropout(source), without_dropout(source))


def test_dropout_is_in_the_three_innermost_layers_of_the_decoder():
    decoder = unet((3, 64), (3, 64)).decoder
    with_dropout = [any("Dropout" in type(module).__name__ for module in stage) for stage in decoder]
    assert with_dropout == [True, True, True, False, False]


def test_instance_norm_keeps_the_images_of_a_batch_independent():
    network = unet(norm="instance", dropout=0)
    source = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(network(source)[:1], network(source[:1]))


# The game.


class FakePairDiscriminator(DiscriminatorConfig):
    """Its logit is the mean of the source minus that of the target."""

    type: str = "fake-pair-discriminator"

    def build(self, *, sample, condition=None):
        return Difference()


class Difference(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, sample, condition=None):
        source, target = sample
        return DiscriminatorOutput(self.scale * (source.mean(dim=(1, 2, 3)) - target.mean(dim=(1, 2, 3))))


@pytest.fixture
def game():
    data = {"source": image(1, 16), "target": image(3, 16)}
    game = PairedGame(generator=UNet(channels=4), discriminator=FakePairDiscriminator()).build(data)
    return with_built_players(game)


def opened(game, **more):
    batch = {"source": torch.rand(4, 1, 16, 16), "target": torch.rand(4, 3, 16, 16) - 1}
    return Round(game, batch, size=4, device=CPU, randomness=Randomness(0), **more)


def test_the_discriminator_sees_pairs(game):
    assert game.player_specs()["discriminator"].sample == (image(1, 16), image(3, 16))
    game_round = opened(game)
    game_round = game_round.in_turn(game.turns[0])
    (contest,) = game.contests
    source, target, fake = (game_round[name].mean(dim=(1, 2, 3)) for name in ("source", "target", "fake"))
    torch.testing.assert_close(game_round.discriminator_output(contest, "real").logits, source - target)
    torch.testing.assert_close(game_round.discriminator_output(contest, "fake").logits, source - fake)


def test_only_the_players_of_the_turn_learn(game):
    for turn, learns in ((game.turns[0], "discriminator"), (game.turns[1], "generator")):
        with game.only_trainable(turn.players):
            game_round = opened(game)
            game_round = game_round.in_turn(turn)
            game_round.discriminator_output(game.contests[0], "fake").logits.sum().backward()
        for name, player in game.players.items():
            assert any(parameter.grad is not None for parameter in player.parameters()) == (name == learns)
            player.zero_grad(set_to_none=True)


def test_a_shared_round_makes_the_fake_once(game):
    game_round = opened(game, shared=True)
    game_round = game_round.in_turn(game.turns[0])
    assert not game_round["fake_pair"][1].requires_grad
    before = game_round["fake"]
    game_round = game_round.in_turn(game.turns[1])
    with game.only_trainable(game.turns[1].players):
        assert game_round["fake_pair"][1].requires_grad
        assert torch.equal(before, game_round["fake"])


def test_sampling_is_seeded(game):
    with sampling_mode(game, Randomness(0), CPU):
        source = torch.ones(2, 1, 16, 16)
        first = game.players["generator"](source)
    with sampling_mode(game, Randomness(0), CPU):
        assert torch.equal(first, game.players["generator"](source))
    with sampling_mode(game, Randomness(1), CPU):
        assert not torch.equal(first, game.players["generator"](source))


def test_a_generator_from_latents_is_refused():
    class FromLatent(UNet):
        starts_from = "latent"

    data = {"source": image(1, 16), "target": image(3, 16)}
    game = PairedGame(generator=FromLatent(), discriminator=FakePairDiscriminator()).build(data)
    with pytest.raises(BadInput, match="starts from a latent"):
        game.player_specs()["generator"].build()


def test_data_without_pairs_is_refused():
    with pytest.raises(BadInput, match="reads source, target"):
        PairedGame(generator=UNet(), discriminator=FakePairDiscriminator()).build({"real": image(3, 16)})
