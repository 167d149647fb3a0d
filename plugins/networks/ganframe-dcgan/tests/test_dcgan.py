"""DCGAN's published sizes, shapes and initialisation."""

from __future__ import annotations

import pytest
import torch
from ganframe_dcgan import DCGANDiscriminator, DCGANGenerator
from torch import nn

from ganframe.config import BadInput, TensorSpec


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_64_pixel_networks_have_the_published_sizes() -> None:
    image = TensorSpec((3, 64, 64))
    assert parameters(DCGANGenerator().build(output=image)) == 3_576_704
    assert parameters(DCGANDiscriminator().build(sample=image)) == 2_765_568


@pytest.mark.parametrize("side", [28, 32, 48, 64, 128])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_sides(side: int, upsample: str) -> None:
    image = TensorSpec((1, side, side))
    generator = DCGANGenerator(channels=4, latent=8, upsample=upsample).build(output=image)
    generated = generator(torch.randn(2, 8))
    assert generated.shape == (2, 1, side, side)
    assert float(generated.detach().abs().max()) <= 1
    output = DCGANDiscriminator(channels=4).build(sample=image)(generated)
    assert output.logits.shape == (2,)


@pytest.mark.parametrize(
    ("shape", "innermost"),
    [
        *[((1, 28, 56), (7, 14)), ((3, 64, 32), (8, 4)), ((2, 48, 32), (6, 4))],
        *[((1, 30, 45), (7, 11)), ((4, 9, 8), (4, 4)), ((3, 64, 37), (8, 4))],  # 45, 22, 11 and 37, 18, 9, 4
    ],
)
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_oblong_images_and_odd_sides(shape: tuple[int, ...], innermost: tuple[int, int], upsample: str) -> None:
    generator = DCGANGenerator(channels=4, latent=8, upsample=upsample).build(output=TensorSpec(shape))
    assert generator.layers[0].kernel_size == innermost
    generated = generator(torch.randn(2, 8))
    assert generated.shape == (2, *shape)
    output = DCGANDiscriminator(channels=4).build(sample=TensorSpec(shape))(generated)
    assert output.logits.shape == (2,)
    assert output.features[-1].shape[2:] == innermost


@pytest.mark.parametrize("shape", [(3, 64, 7), (3, 4, 4), (8,)])
def test_samples_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="'dcgan' needs one image with sides of at least 8"):
        DCGANGenerator().build(output=TensorSpec(shape))
    with pytest.raises(BadInput, match="'dcgan' needs one image with sides of at least 8"):
        DCGANDiscriminator().build(sample=TensorSpec(shape))


def test_a_condition_that_is_not_a_label_is_refused() -> None:
    with pytest.raises(BadInput, match="class labels"):
        DCGANGenerator().build(output=TensorSpec((1, 28, 28)), condition=TensorSpec((5,)))


def test_the_projection_adds_the_inner_product_of_label_and_features() -> None:
    """Miyato and Koyama 2018, eq. 3: without the projection the logits do not depend on the label."""
    label = TensorSpec((), classes=3)
    network = DCGANDiscriminator(channels=4).build(sample=TensorSpec((1, 28, 28)), condition=label).eval()
    sample = torch.randn(5, 1, 28, 28)
    labels = torch.tensor([0, 1, 2, 0, 1])
    inner = network(sample, labels).features[-1].flatten(1)
    with torch.no_grad():
        projection = (network.embed.weight[labels] * inner).sum(dim=1)
        without = network(sample, labels).logits - projection
        network.embed.weight.zero_()
        torch.testing.assert_close(network(sample, labels).logits, without, rtol=1e-4, atol=1e-4)


def test_weights_are_initialised_as_in_the_paper() -> None:
    torch.manual_seed(0)
    generator = DCGANGenerator().build(output=TensorSpec((3, 64, 64)))
    weights = [module.weight for module in generator.modules() if isinstance(module, nn.ConvTranspose2d)]
    for weight in weights:
        # Five standard errors of the standard deviation and of the mean.
        assert float(weight.detach().std()) == pytest.approx(0.02, rel=5 / (2 * weight.numel()) ** 0.5)
        assert float(weight.detach().mean()) == pytest.approx(0, abs=5 * 0.02 / weight.numel() ** 0.5)


def test_no_batch_norm_next_to_images() -> None:
    network = DCGANDiscriminator().build(sample=TensorSpec((3, 64, 64)))
    norms = [any(isinstance(module, nn.BatchNorm2d) for module in stage) for stage in network.stages]
    assert norms == [False, True, True, True]
    generator = DCGANGenerator().build(output=TensorSpec((3, 64, 64)))
    assert not isinstance(generator.layers[-2], nn.BatchNorm2d)
