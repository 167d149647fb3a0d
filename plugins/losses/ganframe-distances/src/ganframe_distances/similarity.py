"""The structural similarity index of Wang et al. 2004."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from ganframe import BadInput


class Dissimilarity(nn.Module):
    """1 - mean SSIM over batch, channels and all positions at which the window lies within the image.

    Args:
        window: Side of the Gaussian window.
        sigma: Standard deviation of the window in pixels.
        c1: Stabiliser of the comparison of means.
        c2: Stabiliser of the comparison of variances.

    References:
        Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity, eq. 13 to 17.
    """

    def __init__(self, window: int, sigma: float, c1: float, c2: float) -> None:
        super().__init__()
        position = torch.arange(window, dtype=torch.float64) - window // 2
        weights = torch.exp(-position.square() / (2 * sigma**2))
        self.weights: tuple[float, ...] = tuple((weights / weights.sum()).tolist())
        self.c1, self.c2 = c1, c2

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the dissimilarity of images `(B, C, H, W)`, a scalar in [0, 2], computed in float32 or better.

        Raises:
            BadInput: When the tensors are not images, or smaller than the window.
        """
        window = len(self.weights)
        if a.ndim != 4 or min(a.shape[2:]) < window:
            message = f"'ssim' compares images of at least {window} x {window}, but one example is {tuple(a.shape[1:])}"
            raise BadInput(message, remedy="Use a smaller `window`, or another distance.")
        with torch.autocast(a.device.type, enabled=False):
            dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
            return 1 - self._similarity(a.to(dtype), b.to(dtype)).mean()

    def _similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """Return eq. 13 at each position."""
        stacked = torch.stack([a, b, a * a, b * b, a * b])
        mean_a, mean_b, square_a, square_b, product = self._blurred(stacked)
        # Rounding may take a variance below 0, or twice the covariance above the sum of the variances.
        variances = (square_a - mean_a.square()).clamp(min=0) + (square_b - mean_b.square()).clamp(min=0)
        covariance = (2 * (product - mean_a * mean_b)).clamp(-variances, variances)
        means = (2 * mean_a * mean_b + self.c1) / (mean_a.square() + mean_b.square() + self.c1)
        return means * (covariance + self.c2) / (variances + self.c2)

    def _blurred(self, stacked: Tensor) -> Tensor:
        """Return the window's means of `(K, B, C, H, W)`, rows first."""
        weights = torch.tensor(self.weights, dtype=stacked.dtype, device=stacked.device)
        flat = stacked.reshape(-1, 1, *stacked.shape[3:])
        flat = conv2d(conv2d(flat, weights[None, None, :, None]), weights[None, None, None, :])
        return flat.reshape(*stacked.shape[:3], *flat.shape[2:])
