"""Virtual batch norm: statistics of a fixed reference batch and of the sample itself.

B samples of a batch, N samples of the reference batch, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from ganframe.config import BadInput, TensorSpec
from ganframe.game import Wrapper

if TYPE_CHECKING:
    from ganframe_virtual_batch_norm import VirtualBatchNorm


class VirtualNorm(nn.Module):
    """Normalises each sample by (reference sum + own) / (N + 1), of the numbers and of their squares.

    The first N of a batch are the reference; they are normalised by their own statistics. What a sample adds is its
    mean over positions, so that every sample counts as much as one of the reference.

    Args:
        replaced: The batch norm whose place it takes, with its scale, shift and epsilon.
        reference: How many samples the reference has.
    """

    def __init__(self, replaced: _BatchNorm, reference: int) -> None:
        super().__init__()
        self.reference = reference
        self.eps = replaced.eps
        self.weight: nn.Parameter | None = replaced.weight
        self.bias: nn.Parameter | None = replaced.bias

    def forward(self, features: Tensor) -> Tensor:
        """Features `(N + B, C, ...)`, the reference first."""
        with torch.autocast(features.device.type, enabled=False):
            wide = features.to(torch.promote_types(features.dtype, torch.float32))
            positions = tuple(range(2, wide.ndim))
            # Around a common centre, so that the difference of large numbers loses nothing.
            centre = wide[: self.reference].detach().mean((0, *positions), keepdim=True)
            wide = wide - centre
            means = [_over(power, positions) for power in (wide, wide.square())]
            mean, square = (self._joined(each) for each in means)
            normed = (wide - mean) * torch.rsqrt((square - mean.square()).clamp(min=0) + self.eps)
            shape = (1, -1, *(1,) * len(positions))
            if self.weight is not None:
                normed = normed * self.weight.reshape(shape)
            if self.bias is not None:
                normed = normed + self.bias.reshape(shape)
        return normed.to(features.dtype)

    def _joined(self, means: Tensor) -> Tensor:
        """Statistics for each of the N + B samples, from those of each sample alone."""
        count = self.reference
        reference = means[:count].sum(0, keepdim=True)
        return torch.cat([(reference / count).expand_as(means[:count]), (reference + means[count:]) / (count + 1)])


class WithReference(Wrapper):
    """A generator that makes the reference samples beside each batch, for its virtual batch norms.

    Args:
        network: The generator, whose layers expect the reference first.
        latents: The reference latents `(N, ...)`.
        classes: How many labels the reference takes in turn; None for an unconditional generator.
    """

    def __init__(self, network: nn.Module, latents: Tensor, classes: int | None) -> None:
        super().__init__(network)
        self.latents: Tensor
        self.register_buffer("latents", latents)
        self.classes = classes

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Samples `(B, ...)` from latents `(B, ...)`."""
        given = [torch.cat([self.latents.to(latent.dtype), latent])]
        if condition is not None and self.classes is not None:
            # No buffer: averaging would round the labels.
            labels = torch.arange(len(self.latents), device=condition.device) % self.classes
            given.append(torch.cat([labels.to(condition.dtype), condition]))
        return self.network(*given)[len(self.latents) :]


def with_reference(
    config: VirtualBatchNorm, network: nn.Module, source: TensorSpec | None, condition: TensorSpec | None
) -> nn.Module:
    """The generator with virtual batch norm and a reference batch drawn for it.

    Raises:
        BadInput: When no reference can be drawn for the generator, or it has no batch norm.
    """
    if source is not None:
        raise BadInput("'virtual-batch-norm' draws latents, but this generator starts from a sample", path=("of",))
    if condition is not None and condition.classes is None:
        raise BadInput(f"'virtual-batch-norm' can draw class labels, but the condition is {condition}", path=("of",))
    normed = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, _BatchNorm)
    ]
    if not normed:
        raise BadInput("'virtual-batch-norm' finds no batch norm in this generator", path=("of",))
    for parent, name, child in normed:
        setattr(parent, name, VirtualNorm(child, config.reference))
    shape: Any = (config.reference, *network.latent_shape)  # pyright: ignore[reportGeneralTypeIssues]
    latents = torch.randn(shape) if config.prior == "normal" else torch.rand(shape) * 2 - 1
    return WithReference(network, latents, None if condition is None else condition.classes)


def _over(values: Tensor, positions: tuple[int, ...]) -> Tensor:
    return values.mean(positions, keepdim=True) if positions else values
