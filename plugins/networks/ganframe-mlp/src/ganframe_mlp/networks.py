"""The two networks.

With the paper's widths for digits (latent 100, hidden 1200, 1200; maxout 240 x 5 twice) they have 2,503,984 and
1,231,441 parameters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganframe.config import BadInput, SampleSpec, TensorSpec, parts
from ganframe.game import DiscriminatorOutput, Sample
from ganframe_mlp import Activation, MLPDiscriminator, MLPGenerator


class Maxout(nn.Module):
    """The maximum over each group of neighbouring inputs.

    Args:
        pieces: Number of inputs in a group.

    References:
        Goodfellow et al. 2013, arXiv:1302.4389.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, pieces: Tensor) -> Tensor:
        """Return units `(B, U)` for their pieces `(B, U * pieces)`."""
        return pieces.unflatten(1, (-1, self.pieces)).amax(2)


def hidden_layer(inputs: int, units: int, activation: Activation, pieces: int) -> nn.Sequential:
    """Return a linear layer with its activation."""
    match activation:
        case "maxout":
            return nn.Sequential(nn.Linear(inputs, units * pieces), Maxout(pieces))
        case "relu":
            return nn.Sequential(nn.Linear(inputs, units), nn.ReLU())
        case "leaky-relu":
            return nn.Sequential(nn.Linear(inputs, units), nn.LeakyReLU(0.2))


class Joined(nn.Module):
    """Joins a condition to a flat latent or sample.

    Args:
        condition: The condition; None for an unconditional network, which joins nothing.
        embedding: Dimension of the embedding of a class label; one-hot when None.

    Raises:
        BadInput: When an embedding is asked for and the condition is not a class label.
    """

    def __init__(self, condition: TensorSpec | None, embedding: int | None) -> None:
        super().__init__()
        self.classes = None if condition is None else condition.classes
        self.embed: nn.Embedding | None = None
        self.width = 0 if condition is None else self.classes or math.prod(condition.shape)
        if condition is not None and embedding is not None:
            if self.classes is None:
                message = f"'mlp' embeds class labels only, and the condition is {condition}"
                raise BadInput(message, path=("embedding",), remedy="Leave `embedding` out.")
            self.embed = nn.Embedding(self.classes, embedding)
            self.width = embedding

    def forward(self, flat: Tensor, condition: Tensor | None) -> Tensor:
        """Return `(B, D + width)` for `(B, D)` and labels `(B,)` or another condition `(B, ...)`."""
        if condition is None or self.width == 0:
            return flat
        if self.embed is not None:
            numbers = self.embed(condition)
        elif self.classes is not None:
            numbers = one_hot(condition, self.classes)
        else:
            numbers = _flat(condition)
        return torch.cat([flat, numbers.to(flat.dtype)], dim=1)


class Generator(nn.Module):
    """Maps a latent to a sample.

    Args:
        config: Widths and activations.
        output: The sample.
        condition: A class label, or numbers of any shape; None for an unconditional network.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, section 5.
    """

    def __init__(self, config: MLPGenerator, output: TensorSpec, condition: TensorSpec | None) -> None:
        super().__init__()
        self.latent_shape = (config.latent,)
        self.output_shape = output.shape
        self.join = Joined(condition, config.embedding)
        layers: list[nn.Module] = []
        inputs = config.latent + self.join.width
        for units in config.hidden:
            layers.append(hidden_layer(inputs, units, config.activation, config.pieces))
            inputs = units
        layers.append(nn.Linear(inputs, math.prod(output.shape)))
        if config.output == "tanh":
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return samples `(B, *shape)` for latents `(B, latent)`."""
        return self.layers(self.join(latent, condition)).reshape(-1, *self.output_shape)


class Discriminator(nn.Module):
    """Maps a sample of one or several tensors to a logit.

    Args:
        config: Widths and activations.
        sample: The sample; several tensors are flattened and joined.
        condition: A class label, or numbers of any shape; None for an unconditional network.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, section 5.
    """

    def __init__(self, config: MLPDiscriminator, sample: SampleSpec, condition: TensorSpec | None) -> None:
        super().__init__()
        self.join = Joined(condition, config.embedding)
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = nn.ModuleList()
        inputs = sum(math.prod(part.shape) for part in parts(sample)) + self.join.width
        for units in config.hidden:
            self.hidden.append(hidden_layer(inputs, units, config.activation, config.pieces))
            inputs = units
        self.judge = nn.Linear(inputs, 1)

    def forward(self, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Return logits `(B,)` for samples `(B, ...)`; the features are the hidden layers `(B, units)`."""
        flat = torch.cat([_flat(part) for part in sample], dim=1) if isinstance(sample, tuple) else _flat(sample)
        units = self.join(self.input_dropout(flat), condition)
        features: list[Tensor] = []
        for layer in self.hidden:
            units = layer(units)
            features.append(units)
            units = self.dropout(units)
        return DiscriminatorOutput(self.judge(units).squeeze(1), features=tuple(features))


def _flat(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1)
