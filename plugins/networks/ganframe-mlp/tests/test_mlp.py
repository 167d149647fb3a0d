"""The fully connected networks: sizes, conditions, activations and dropout."""

import pytest
import torch
from ganframe_mlp import MLPDiscriminator, MLPGenerator
from ganframe_mlp.networks import Maxout
from torch import nn

from ganframe import load_config
from ganframe.config import BadInput, TensorSpec
from ganframe.training.assembly import assemble

DIGIT, POINT, LABEL = TensorSpec((1, 28, 28)), TensorSpec((2,)), TensorSpec((), classes=10)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_preset_has_the_networks_of_the_paper():
    players = assemble(load_config("mlp-digits")).game.players
    assert {name: count(player) for name, player in players.items()} == {
        "generator": 2_503_984,
        "discriminator": 1_231_441,
    }


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (3, 4, 5, 6)])
def test_samples_of_any_shape(shape: tuple[int, ...]):
    spec = TensorSpec(shape)
    generated = MLPGenerator(latent=7).build(output=spec)(torch.randn(3, 7))
    assert generated.shape == (3, *shape)
    assert MLPDiscriminator().build(sample=spec)(generated).logits.shape == (3,)


def test_several_tensors_are_joined():
    discriminator = MLPDiscriminator(hidden=()).build(sample=(POINT, TensorSpec((3,))))
    assert count(discriminator) == 5 + 1
    first, second = torch.randn(4, 2), torch.randn(4, 3)
    weight = next(discriminator.parameters()).detach()[0]
    logits = discriminator((first, second)).logits - discriminator((0 * first, 0 * second)).logits
    torch.testing.assert_close(logits, torch.cat([first, second], 1) @ weight)


def test_one_hot_labels_add_a_weight_for_each_class_and_unit():
    plain, conditional = (MLPGenerator(hidden=(50,)).build(output=POINT, condition=spec) for spec in (None, LABEL))
    assert count(conditional) - count(plain) == 10 * 50
    plain, conditional = (MLPDiscriminator(hidden=(50,)).build(sample=POINT, condition=spec) for spec in (None, LABEL))
    assert count(conditional) - count(plain) == 10 * 50


def test_embedded_labels_add_their_table():
    plain = MLPGenerator(hidden=(50,)).build(output=POINT)
    conditional = MLPGenerator(hidden=(50,), embedding=4).build(output=POINT, condition=LABEL)
    assert count(conditional) - count(plain) == 10 * 4 + 4 * 50


def test_a_condition_of_numbers_is_joined_as_it_is():
    condition = TensorSpec((2, 3))
    generator = MLPGenerator(latent=4, hidden=()).build(output=POINT, condition=condition)
    assert count(generator) == (4 + 6) * 2 + 2
    assert generator(torch.randn(5, 4), torch.randn(5, 2, 3)).shape == (5, 2)


@pytest.mark.parametrize("config", [MLPGenerator(embedding=4), MLPDiscriminator(embedding=4)])
def test_only_class_labels_can_be_embedded(config: MLPGenerator | MLPDiscriminator):
    player = {"output": POINT} if isinstance(config, MLPGenerator) else {"sample": POINT}
    with pytest.raises(BadInput, match="embeds class labels only"):
        config.build(**player, condition=TensorSpec((5,)))


def test_maxout_takes_the_largest_piece_of_each_unit():
    pieces = torch.randn(3, 8)
    expected = [[max(row[4 * unit : 4 * unit + 4]) for unit in range(2)] for row in pieces.tolist()]
    torch.testing.assert_close(Maxout(4)(pieces), torch.tensor(expected))


def test_tanh_keeps_samples_in_range_and_linear_does_not():
    large = 1e3 * torch.randn(64, 100)
    torch.manual_seed(0)
    assert float(MLPGenerator().build(output=POINT)(large).detach().abs().max()) <= 1
    assert float(MLPGenerator(output="linear").build(output=POINT)(large).detach().abs().max()) > 1


def test_dropout_is_active_in_training_only():
    discriminator = MLPDiscriminator(input_dropout=0.2, dropout=0.5).build(sample=DIGIT)
    sample = torch.randn(4, *DIGIT.shape)
    assert not torch.equal(discriminator(sample).logits, discriminator(sample).logits)
    discriminator.eval()
    assert torch.equal(discriminator(sample).logits, discriminator(sample).logits)


def test_input_dropout_does_not_touch_the_condition():
    discriminator = MLPDiscriminator(hidden=(), input_dropout=0.9).build(sample=POINT, condition=LABEL)
    labels = torch.arange(10)
    logits = discriminator(torch.zeros(10, 2), labels).logits
    assert torch.equal(logits, discriminator(torch.zeros(10, 2), labels).logits)
    assert len(logits.unique()) == 10


def test_features_are_the_hidden_layers():
    output = MLPDiscriminator(hidden=(6, 5), activation="maxout", pieces=3).build(sample=DIGIT)(
        torch.zeros(2, 1, 28, 28)
    )
    assert [feature.shape for feature in output.features] == [(2, 6), (2, 5)]


def test_a_condition_of_one_number_needs_no_axis_of_its_own():
    generator = MLPGenerator(latent=4, hidden=()).build(output=POINT, condition=TensorSpec(()))
    assert generator(torch.randn(5, 4), torch.randn(5)).shape == (5, 2)
