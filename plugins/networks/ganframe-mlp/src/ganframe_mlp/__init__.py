"""Fully connected networks: samples of any shape are flattened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import Component, DiscriminatorConfig, GeneratorConfig, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["relu", "leaky-relu", "maxout"]


class MLPGenerator(GeneratorConfig):
    """Fully connected layers from a latent to a sample of any shape."""

    paper = "Goodfellow et al. 2014, arXiv:1406.2661, section 5"
    type: Literal["mlp"] = "mlp"
    conditional = True
    latent: PositiveInt = 100
    """Numbers in a latent."""
    hidden: tuple[PositiveInt, ...] = (256, 256)
    """Units of each hidden layer, from the latent on."""
    activation: Activation = "relu"
    """Activation after each hidden layer: ReLU, leaky ReLU with slope 0.2, or maxout."""
    pieces: PositiveInt = 5
    """Linear pieces of a maxout unit; ignored by other activations."""
    output: Literal["tanh", "linear"] = "tanh"
    """Activation after the last layer: tanh for samples in [-1, 1], such as images; linear for unbounded numbers."""
    embedding: PositiveInt | None = None
    """Dimension of the embedding of a class label, which is joined to the latent; one-hot when left out."""

    @override
    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        from ganframe_mlp.networks import Generator

        return Generator(self, output, condition)


class MLPDiscriminator(DiscriminatorConfig):
    """Fully connected layers from a sample of any shape, or several samples together, to a logit."""

    paper = "Goodfellow et al. 2014, arXiv:1406.2661, section 5; maxout: Goodfellow et al. 2013, arXiv:1302.4389"
    type: Literal["mlp"] = "mlp"
    conditional = True
    provides = frozenset({"features"})
    hidden: tuple[PositiveInt, ...] = (256, 256)
    """Units of each hidden layer, from the sample on."""
    activation: Activation = "leaky-relu"
    """Activation after each hidden layer: ReLU, leaky ReLU with slope 0.2, or maxout."""
    pieces: PositiveInt = 5
    """Linear pieces of a maxout unit; ignored by other activations."""
    input_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability of the sample's numbers, in training."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability of the hidden units, in training."""
    embedding: PositiveInt | None = None
    """Dimension of the embedding of a class label, which is joined to the sample; one-hot when left out."""

    @override
    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        from ganframe_mlp.networks import Discriminator

        return Discriminator(self, sample, condition)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both networks."""
    register(MLPGenerator)
    register(MLPDiscriminator)
