"""Spectral normalisation of all layers of a network, by PyTorch's parametrization."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrizations import spectral_norm

from ganframe import BadInput

LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Embedding,
)


EVALUATION_ITERATIONS = 12
"""Power iterations of a forward pass in evaluation; they start from the stored vector and are not stored."""


class SpectralNorm(nn.Module):
    """PyTorch's spectral normalisation, closer to the largest singular value where that is cheap.

    Autocast leaves it alone: in bf16 the singular value would be off by parts in a thousand. In evaluation it looks
    further, because the weight need not be the one that the stored vectors were found for: an averaged weight comes
    with the latest vectors, since averages of vectors that turn would shrink to 0.

    Args:
        parametrization: PyTorch's, which holds the vectors and iterates in training.
    """

    not_averaged = ("parametrization._u", "parametrization._v")

    def __init__(self, parametrization: nn.Module) -> None:
        super().__init__()
        self.parametrization = parametrization

    def forward(self, weight: Tensor) -> Tensor:
        """The weight over its largest singular value."""
        with torch.autocast(weight.device.type, enabled=False):
            if self.training:
                return self.parametrization(weight)
            matrix = weight.movedim(cast(Any, self.parametrization).dim, 0).flatten(1)
            u, v = _singular_vectors(matrix.detach(), self.parametrization.get_buffer("_v"))
            return weight / torch.vdot(u, matrix @ v)


def _singular_vectors(matrix: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """The first ones, left and right: the best within the space of all steps of a power iteration.

    That is Lanczos' method. Where singular values lie close together, the last step alone is several times as far off.
    """
    # LAPACK knows no half precision.
    wide = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    steps = [start.to(wide.dtype)]
    for _ in range(EVALUATION_ITERATIONS):
        steps.append(normalize(wide.mH @ normalize(wide @ steps[-1], dim=0), dim=0))
    basis = torch.linalg.qr(torch.stack(steps, dim=1))[0]
    u, _, v = torch.linalg.svd(wide @ basis, full_matrices=False)
    return u[:, 0].to(matrix.dtype), (basis @ v[0]).to(matrix.dtype)


def normalise(network: nn.Module, power_iterations: int) -> nn.Module:
    """The network, each of its weight matrices divided by an estimate of its largest singular value.

    The matrix of a convolution has a row for each output channel. Layers that are normalised already stay as they are.

    Args:
        network: Any network; it is changed in place.
        power_iterations: Power iterations in each forward pass of training.

    Raises:
        BadInput: When no layer is left to be normalised.
    """
    layers = [each for each in network.modules() if isinstance(each, LAYERS) and not _is_normalised(each)]
    if not layers:
        raise BadInput(
            "'spectral-norm' finds no layer in this network that is not normalised already",
            path=("of",),
            remedy="It normalises linear, convolution and embedding layers.",
        )
    for layer in layers:
        spectral_norm(layer, n_power_iterations=power_iterations)
        parametrizations = _parametrizations(layer)
        parametrizations[-1] = SpectralNorm(parametrizations[-1])
    return network


def _is_normalised(layer: nn.Module) -> bool:
    return any(isinstance(each, SpectralNorm) for each in _parametrizations(layer))


def _parametrizations(layer: nn.Module) -> Any:
    """The parametrizations of the layer's weight."""
    return cast(Any, layer).parametrizations["weight"] if hasattr(layer, "parametrizations") else ()
