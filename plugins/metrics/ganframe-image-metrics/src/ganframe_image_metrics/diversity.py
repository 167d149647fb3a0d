"""Similarity of random pairs of samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganframe.game import BadInput
from ganframe_image_metrics.ms_ssim import WINDOW, ms_ssim, scales_of, weights_of
from ganframe_image_metrics.stored_images import as_bytes, check_same_shape, digests, distinct, shuffled

if TYPE_CHECKING:
    from ganframe_image_metrics import MSSSIM

PAIRS_AT_ONCE = 64
"""Number of pairs that are compared together."""


class Diversity:
    """Keeps images of both sides and their classes, and compares random pairs of one side and class.

    Args:
        config: The settings.

    References:
        Odena et al. 2017, arXiv:1610.09585, section 4.2.
    """

    def __init__(self, config: MSSSIM) -> None:
        self.config = config
        self.images: dict[str, list[Tensor]] = {config.real: [], config.sample: []}
        self.labels: list[Tensor] = []
        self.device = torch.device("cpu")

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep a batch of images.

        Raises:
            BadInput: When a tensor does not hold images, both differ in shape, or the labels are no classes.
        """
        batch = {name: as_bytes(tensors[name], name, self.config.type) for name in self.images}
        check_same_shape(batch, self.config.type)
        for name, images in batch.items():
            self.images[name].append(images.cpu())
            self.device = images.device
        label = self.config.label
        if label is None:
            self.labels.append(torch.zeros(len(tensors[self.config.sample]), dtype=torch.int64))
        elif tensors[label].ndim != 1 or tensors[label].is_floating_point():
            raise BadInput(f"{label!r} is no class label", path=("label",), remedy="Name a class label, or none.")
        else:
            self.labels.append(tensors[label].cpu())

    def merge(self, other: Diversity) -> None:
        """Add the images of another measurement."""
        for name, kept in self.images.items():
            kept.extend(other.images[name])
        self.labels += other.labels

    def protocol(self) -> dict[str, str]:
        """Return what decides the similarities."""
        height, width = self.images[self.config.sample][0].shape[2:]
        cut = f"{min(height, WINDOW)} x {min(width, WINDOW)}" if min(height, width) < WINDOW else ""
        scales = scales_of(self.images[self.config.sample][0].shape[2:])
        weights = ", ".join(f"{weight:.4f}" for weight in weights_of(scales))
        fewer = "" if scales == 5 else f", renormalised, as the images are too small for {5 - scales} more"
        return {
            "scales": f"{scales} with the weights {weights}{fewer}",
            "pairs": "of random samples" if self.config.label is None else f"of one {self.config.label!r} each",
            "window": f"{WINDOW} x {WINDOW}" if not cut else f"cut to {cut}, the size of the images",
            "images": "8 bits",
            "distinct reals": f"{len(distinct(torch.cat(self.images[self.config.real]))):,}",
            "seed": f"{self.config.seed}",
        }

    def compute(self) -> dict[str, float]:
        """Return the mean similarity of pairs of each side.

        Raises:
            BadInput: When no class has two samples.
        """
        labels = torch.cat(self.labels)
        by_side = {name: self._by_class(name, torch.cat(kept), labels) for name, kept in self.images.items()}
        fake, real = by_side[self.config.sample], by_side[self.config.real]
        if not fake:
            message, remedy = "no class has two samples, which make a pair", "Measure more `samples`."
            raise BadInput(message, path=("samples",), remedy=remedy)
        results = {"fake": sum(fake) / len(fake), "real": sum(real) / len(real)}
        return results if self.config.label is None else results | {"highest": max(fake)}

    def _by_class(self, side: str, images: Tensor, labels: Tensor) -> list[float]:
        """Return the mean similarity of pairs of each class with at least two images.

        A real that is repeated, because there are fewer reals than `samples`, counts once.
        """
        found: list[float] = []
        for label in labels.unique().tolist():
            own = images[labels == label]
            once = distinct(own) if side == self.config.real else own
            own = once if len(once) > 1 else own
            order, half = shuffled(digests(own), self.config.seed), len(own) // 2
            if half:
                pairs = own[order[:half]], own[order[half : 2 * half]]
                parts = zip(*(side.split(PAIRS_AT_ONCE) for side in pairs), strict=True)
                similarities = [ms_ssim(self._unit(first), self._unit(second)) for first, second in parts]
                found.append(float(torch.cat(similarities).mean()))
        return found

    def _unit(self, images: Tensor) -> Tensor:
        """Return images in [0, 1], in float64: variances are differences of nearly equal numbers."""
        return images.to(self.device, torch.float64) / 255
