"""From images to features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ganframe.data import as_float
from ganframe.game import BadInput
from ganframe_feature_metrics.settings import FeatureMetric

IMAGE_AXES = 4
"""Number of dimensions of a batch of images."""
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
        """Return the encoder's last activation, `(B, ...)`, of images `(B, C, H, W)`, which are read `as_saved`.

        Raises:
            BadInput: When samples are not finite, or are no images but are to be resized.
        """
        if self.resize is not None and images.ndim != IMAGE_AXES:
            message = f"samples of shape {tuple(images.shape[1:])} cannot be resized"
            raise BadInput(message, path=("resize",), remedy="Leave `resize` out: it is for images.")
        network = self.network.to(images.device)
        found: list[Tensor] = []
        for chunk in as_saved(images).split(ENCODER_BATCH):
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

    def class_logits(self, images: Tensor, classes: int) -> Tensor:
        """Return the encoder's last activation as logits of classes, `(B, classes)`, float32 and on the CPU.

        Args:
            images: `(B, C, H, W)` in [-1, 1].
            classes: Number of classes.

        Raises:
            BadInput: When the encoder's last activation is not `(B, classes)`, or is not finite.
        """
        activation = self.activations(images)
        shape = tuple(activation.shape[1:])
        if shape != (classes,):
            message = f"the encoder's last activation of one example is {shape}, not logits of {classes} classes"
            raise BadInput(message, path=("encoder",), remedy="Use a classifier, with its logits as the last layer.")
        return _finite(activation).float().cpu()


def as_saved(samples: Tensor) -> Tensor:
    """Return images `(B, C, H, W)` as they are in a file of 8 bits: cut to [-1, 1], and at the nearest of 256 levels.

    Other samples, `(B, D)`, are unchanged. The result is in float32.

    Raises:
        BadInput: When they are not finite.
    """
    values = as_float(samples).detach().float()
    if not bool(values.isfinite().all()):
        raise BadInput("samples are not finite", remedy="Look at the run: has its training diverged?")
    if values.ndim != IMAGE_AXES:
        return values
    return as_float(((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))


def resized_to(size: tuple[int, int], images: Tensor) -> Tensor:
    """Return images `(B, C, *size)` by bicubic interpolation with antialiasing, kept in [-1, 1]."""
    return interpolate(images, size, mode="bicubic", antialias=True).clamp(-1, 1)


def _finite(features: Tensor) -> Tensor:
    if not bool(features.isfinite().all()):
        raise BadInput("features of the encoder are not finite", remedy="Look at the samples: are they finite?")
    return features
