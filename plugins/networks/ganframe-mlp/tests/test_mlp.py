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
    return sum(each.numel() for each in network.parameters())


def test_the_preset_has_the_networks_of_the_paper():
    players = assemble(load_config("mlp-digits")).game.players
    assert {name: count(player) for name, player in players.items()} == {
        "generator": 2_503_984,
        "discriminator": 1_231_441,
    }


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (3, 4, 5, 6)])
def test_any_shape_is_made_and_judged(shape: tuple[int, ...]):
    spec = TensorSpec(shape)
    made = MLPGenerator(latent=7).build(output=spec)(torch.randn(3, 7))
    assert made.shape == (3, *shape)
    assert MLPDiscriminator().build(sample=spec)(made).logits.shape == (3,)


def test_several_tensors_are_judged_as_one():
    judge = MLPDiscriminator(hidden=()).build(sample=(POINT, TensorSpec((3,))))
    assert count(judge) == 5 + 1
    first, second = torch.randn(4, 2), torch.randn(4, 3)
    weight = next(judge.parameters()).detach()[0]
    judged = judge((first, second)).logits - judge((0 * first, 0 * second)).logits
    torch.testing.assert_close(judged, torch.cat([first, second], 1) @ weight)


def test_one_hot_labels_add_a_weight_for_each_class_and_unit():
    plain, given = (MLPGenerator(hidden=(50,)).build(output=POINT, condition=each) for each in (None, LABEL))
    assert count(given) - count(plain) == 10 * 50
    plain, given = (MLPDiscriminator(hidden=(50,)).build(sample=POINT, condition=each) for each in (None, LABEL))
    assert count(given) - count(plain) == 10 * 50


def test_embedded_labels_add_their_table():
    plain = MLPGenerator(hidden=(50,)).build(output=POINT)
    given = MLPGenerator(hidden=(50,), embedding=4).build(output=POINT, condition=LABEL)
    assert count(given) - count(plain) == 10 * 4 + 4 * 50


def test_a_condition_of_numbers_is_joined_as_it_is():
    condition = TensorSpec((2, 3))
    generator = MLPGenerator(latent=4, hidden=()).build(output=POINT, condition=condition)
    assert count(generator) == (4 + 6) * 2 + 2
    assert generator(torch.randn(5, 4), torch.randn(5, 2, 3)).shape == (5, 2)


@pytest.mark.parametrize("config", [MLPGenerator(embedding=4), MLPDiscriminator(embedding=4)])
def test_only_class_labels_can_be_embedded(config: MLPGenerator | MLPDiscriminator):
    role = {"output": POINT} if isinstance(config, MLPGenerator) else {"sample": POINT}
    with pytest.raises(BadInput, match="embeds class labels only"):
        config.build(**role, condition=TensorSpec((5,)))


def test_maxout_takes_the_largest_piece_of_each_unit():
    pieces = torch.randn(3, 8)
    expected = [[max(row[4 * unit : 4 * unit + 4]) for unit in range(2)] for row in pieces.tolist()]
    torch.testing.assert_close(Maxout(4)(pieces), torch.tensor(expected))


def test_tanh_keeps_samples_in_range_and_linear_does_not():
    far = 1e3 * torch.randn(64, 100)
    torch.manual_seed(0)
    assert float(MLPGenerator().build(output=POINT)(far).detach().abs().max()) <= 1
    assert float(MLPGenerator(output="linear").build(output=POINT)(far).detach().abs().max()) > 1


def test_dropout_acts_while_training_only():
    judge = MLPDiscriminator(input_dropout=0.2, dropout=0.5).build(sample=DIGIT)
    sample = torch.randn(4, *DIGIT.shape)
    assert not torch.equal(judge(sample).logits, judge(sample).logits)
    judge.eval()
    assert torch.equal(judge(sample).logits, judge(sample).logits)


def test_input_dropout_spares_the_condition():
    judge = MLPDiscriminator(hidden=(), input_dropout=0.9).build(sample=POINT, condition=LABEL)
    labels = torch.arange(10)
    judged = judge(torch.zeros(10, 2), labels).logits
    assert torch.equal(judged, judge(torch.zeros(10, 2), labels).logits)
    assert len(judged.unique()) == 10


def test_features_are_the_hidden_layers():
    output = MLPDiscriminator(hidden=(6, 5), activation="maxout", pieces=3).build(sample=DIGIT)(
        torch.zeros(2, 1, 28, 28)
    )
    assert [each.shape for each in output.features] == [(2, 6), (2, 5)]


def test_a_condition_of_one_number_needs_no_axis_of_its_own():
    generator = MLPGenerator(latent=4, hidden=()).build(output=POINT, condition=TensorSpec(()))
    assert generator(torch.randn(5, 4), torch.randn(5)).shape == (5, 2)
