"""From images to features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ganframe.game import BadInput
from ganframe_feature_metrics.settings import FeatureMetric

ENCODER_BATCH = 32
"""Number of images in each forward pass of an encoder."""


class Extractor:
    """An encoder with the resizing before it and the reduction to one vector behind it.

    Every forward pass has the same number of images, so that the features of an image do not depend on the batch that
    it came in: kernels round differently for batches of other sizes.

    Args:
        config: The metric, with its encoder.

    Raises:
        BadInput: When the encoder cannot be built.
    """

    def __init__(self, config: FeatureMetric) -> None:
        self.resize = config.resize
        self.network = config.build_encoder()

    @torch.no_grad()
    def activations(self, images: Tensor) -> Tensor:
        """Return the encoder's last activation of images `(B, C, H, W)` in [-1, 1], `(B, ...)`."""
        network = self.network.to(images.device)
        found: list[Tensor] = []
        for chunk in images.float().split(ENCODER_BATCH):
            resized = chunk if self.resize is None else resized_to(self.resize, chunk)
            missing = ENCODER_BATCH - len(chunk)
            filled = pad(resized, (0,) * (2 * resized.ndim - 1) + (missing,)) if missing else resized
            found.append(network(filled)[-1][: len(chunk)])
        return torch.cat(found)

    def features(self, images: Tensor) -> Tensor:
        """Return one vector for each image, `(B, D)`, float32 and on the CPU.

        Args:
            images: `(B, C, H, W)` in [-1, 1].

        Raises:
            BadInput: When the encoder's last activation is neither `(B, C, H, W)` nor `(B, D)`, or is not finite.
        """
        activation = self.activations(images)
        vectors = activation.double().mean(dim=(2, 3)) if activation.ndim == 4 else activation
        if vectors.ndim != 2:
            message = f"the encoder's last activation of one example is {tuple(activation.shape[1:])}"
            raise BadInput(message, path=("encoder",), remedy="Use an encoder that ends in a vector or a map.")
        return _finite(vectors).float().cpu()

    def class_logits(self, images: Tensor) -> Tensor:
        """Return the encoder's last activation as logits of classes, `(B, classes)`, float32 and on the CPU.

        Args:
            images: `(B, C, H, W)` in [-1, 1].

        Raises:
            BadInput: When the encoder's last activation is not `(B, classes)`, or is not finite.
        """
        activation = self.activations(images)
        if activation.ndim != 2:
            message = f"the encoder's last activation of one example is {tuple(activation.shape[1:])}, not class logits"
            raise BadInput(message, path=("encoder",), remedy="Use a classifier, with its logits as the last layer.")
        return _finite(activation).float().cpu()


def resized_to(size: tuple[int, int], images: Tensor) -> Tensor:
    """Return images `(B, C, *size)` by bicubic interpolation with antialiasing, kept in [-1, 1]."""
    return interpolate(images, size, mode="bicubic", antialias=True).clamp(-1, 1)


def _finite(features: Tensor) -> Tensor:
    if not bool(features.isfinite().all()):
        raise BadInput("features of the encoder are not finite", remedy="Look at the samples: are they finite?")
    return features
