"""Spectral normalisation of all layers of a network, with PyTorch's parametrization."""

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
"""The layers that are normalised."""

EVALUATION_ITERATIONS = 12
"""Number of power iterations of a forward pass in evaluation. They start from the stored vector and do not change
it."""


class SpectralNorm(nn.Module):
    """PyTorch's spectral normalisation W / sigma(W), with a more exact sigma in evaluation.

    Autocast is off: in bf16 the singular value would be wrong by some thousandths. Evaluation takes more iterations,
    because the stored vectors may belong to another weight. This is so for an averaged weight: it comes with the latest
    vectors, since averages of rotating vectors would shrink to 0.

    Args:
        parametrization: PyTorch's parametrization, which stores the vectors and iterates in training.

    References:
        Miyato et al. 2018, arXiv:1802.05957, eq. 8 and algorithm 1.
    """

    not_averaged = ("parametrization._u", "parametrization._v")

    def __init__(self, parametrization: nn.Module) -> None:
        super().__init__()
        self.parametrization = parametrization

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight divided by its largest singular value."""
        with torch.autocast(weight.device.type, enabled=False):
            if self.training:
                return self.parametrization(weight)
            matrix = weight.movedim(cast(Any, self.parametrization).dim, 0).flatten(1)
            u, v = _singular_vectors(matrix.detach(), self.parametrization.get_buffer("_v"))
            return weight / torch.vdot(u, matrix @ v)


def _singular_vectors(matrix: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first left and right singular vectors: the best ones in the space that all power iterations span.

    This is Lanczos' method. If singular values are close together, the error of the last power iteration alone is
    several times as large.
    """
    # LAPACK has no half precision.
    wide = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    steps = [start.to(wide.dtype)]
    for _ in range(EVALUATION_ITERATIONS):
        steps.append(normalize(wide.mH @ normalize(wide @ steps[-1], dim=0), dim=0))
    basis = torch.linalg.qr(torch.stack(steps, dim=1))[0]
    u, _, v = torch.linalg.svd(wide @ basis, full_matrices=False)
    return u[:, 0].to(matrix.dtype), (basis @ v[0]).to(matrix.dtype)


def normalise(network: nn.Module, power_iterations: int) -> nn.Module:
    """Divide each weight matrix of a network by an estimate of its largest singular value.

    The matrix of a convolution has a row for each output channel. Layers that are already normalised do not change.

    Args:
        network: Any network; it is changed in place.
        power_iterations: Number of power iterations in each forward pass of training.

    Raises:
        BadInput: When there is no layer left to normalise.
    """
    layers = [module for module in network.modules() if isinstance(module, LAYERS) and not _is_normalised(module)]
    if not layers:
        raise BadInput(
            "'spectral-norm' finds no layer in this network that is not already normalised",
            path=("of",),
            remedy="Use a network with linear, convolution or embedding layers.",
        )
    for layer in layers:
        spectral_norm(layer, n_power_iterations=power_iterations)
        parametrizations = _parametrizations(layer)
        parametrizations[-1] = SpectralNorm(parametrizations[-1])
    return network


def _is_normalised(layer: nn.Module) -> bool:
    return any(isinstance(parametrization, SpectralNorm) for parametrization in _parametrizations(layer))


def _parametrizations(layer: nn.Module) -> Any:
    """Return the parametrizations of the layer's weight."""
    return cast(Any, layer).parametrizations["weight"] if hasattr(layer, "parametrizations") else ()
