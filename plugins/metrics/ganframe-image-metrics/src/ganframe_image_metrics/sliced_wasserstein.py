"""Sliced Wasserstein distance of patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ganframe.game import BadInput, Randomness
from ganframe_image_metrics.pyramid import laplacian_pyramid
from ganframe_image_metrics.stored_images import as_bytes, check_same_shape, digests, distinct, occurrences

if TYPE_CHECKING:
    from ganframe_image_metrics import SlicedWasserstein

PATCH = 7
"""The side of a patch, in pixels."""
COARSEST = 16
"""The side of the coarsest level that is measured, in pixels."""
SCALE = 1000
"""The factor of published distances."""
IMAGES_AT_ONCE = 256
"""Number of images whose pyramids are in memory together."""
DIRECTIONS_AT_ONCE = 16
"""Number of directions along which all patches are projected together."""


class PatchDistance:
    """Keeps images of both sides, and compares patches of them level by level.

    Args:
        config: The settings.

    References:
        Karras et al. 2018, arXiv:1710.10196, section 5, and the authors' code for the normalisation.
    """

    def __init__(self, config: SlicedWasserstein) -> None:
        self.config = config
        self.images: dict[str, list[Tensor]] = {name: [] for name in config.tensors()}
        self.device = torch.device("cpu")

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep a batch of images.

        Raises:
            BadInput: When a tensor does not hold images, both differ in shape, or they are smaller than a patch.
        """
        batch = {name: as_bytes(tensors[name], name, self.config.type) for name in self.images}
        check_same_shape(batch, self.config.type)
        for name, images in batch.items():
            if min(images.shape[2:]) < PATCH:
                height, width = images.shape[2:]
                raise BadInput(f"images of {height} x {width} have no patch of {PATCH} x {PATCH}, which this measures")
            self.images[name].append(images.cpu())
            self.device = images.device

    def merge(self, other: PatchDistance) -> None:
        """Add the images of another measurement."""
        for name, kept in self.images.items():
            kept.extend(other.images[name])

    def protocol(self) -> dict[str, str]:
        """Return what decides the distances."""
        levels = levels_of(self.images[self.config.real][0].shape[2:])
        return {
            "patches": f"{self.config.patches} of {PATCH} x {PATCH} from each image at each level",
            "projections": f"{self.config.projections}",
            "levels": f"{levels}, the coarsest from {COARSEST} pixels on",
            "images": "8 bits",
            "distinct reals": f"{len(distinct(torch.cat(self.images[self.config.real]))):,}",
            "seed": f"{self.config.seed}",
        }

    def compute(self) -> dict[str, float]:
        """Return the distance at each level, and their mean."""
        real, fake = (torch.cat(self.images[name]) for name in self.config.tensors())
        levels = levels_of(real.shape[2:])
        distances: dict[str, float] = {}
        for level in range(levels):
            sides = [self._patches(images, level, levels) for images in (real, fake)]
            name = "x".join(str(-(-side // 2**level)) for side in real.shape[2:])
            distances[name] = SCALE * self._distance(*map(normalised, sides), level=level)
        return {"mean": sum(distances.values()) / levels, **distances}

    def _patches(self, images: Tensor, level: int, levels: int) -> Tensor:
        """Return patches of one level of the images, `(N, C, 7 * 7)`."""
        parts: list[Tensor] = []
        found = digests(images)
        keys = list(zip(found, occurrences(found), strict=True))
        for first, part in enumerate(images.split(IMAGES_AT_ONCE)):
            own = keys[first * IMAGES_AT_ONCE :][: len(part)]
            pixels = laplacian_pyramid(part.to(self.device).float(), min(level + 2, levels))[level]
            places = self._places(own, level, pixels.shape[2:]).to(pixels.device)
            offsets = torch.arange(PATCH, device=pixels.device)
            rows = places[..., 0, None, None] + offsets[:, None]
            columns = places[..., 1, None, None] + offsets
            example = torch.arange(len(part), device=pixels.device)[:, None, None, None]
            taken = pixels.permute(0, 2, 3, 1)[example, rows, columns]  # (B, patches, 7, 7, C)
            parts.append(taken.flatten(0, 1).flatten(1, 2).transpose(1, 2))
        return torch.cat(parts)

    def _places(self, keys: Sequence[tuple[str, int]], level: int, sides: Sequence[int]) -> Tensor:
        """Return the first row and column of each patch of some images, `(B, patches, 2)`.

        Args:
            keys: The digest of each image, and how often it came before: a repeated image has other patches.
            level: The level of the pyramid.
            sides: The height and width of the images at this level.
        """
        highest = torch.tensor([side - PATCH + 1 for side in sides])
        places: list[Tensor] = []
        for digest, occurrence in keys:
            generator = Randomness(self.config.seed).at(digest, occurrence, level).generator("places of patches")
            drawn = torch.rand((self.config.patches, 2), generator=generator, dtype=torch.float64)
            places.append((drawn * highest).long())
        return torch.stack(places)

    def _distance(self, real: Tensor, fake: Tensor, level: int) -> float:
        """Return the mean 1-Wasserstein distance of patches `(N, D)` along random directions."""
        generator = Randomness(self.config.seed).at(level).generator("directions")
        directions = torch.randn((self.config.projections, real.shape[1]), generator=generator).to(real.device)
        directions = torch.nn.functional.normalize(directions, dim=1)
        total = 0.0
        for part in directions.split(DIRECTIONS_AT_ONCE):
            sides = [_sorted(part @ patches.T) for patches in (real, fake)]
            total += float((sides[0] - sides[1]).abs().mean(dim=1, dtype=torch.float64).sum())
        return total / self.config.projections


def _sorted(projections: Tensor) -> Tensor:
    """Return projections `(directions, N)` sorted along each direction."""
    if projections.device.type != "cpu":
        return projections.sort(dim=1).values
    # NumPy sorts floats in a tenth of the time that PyTorch takes on a CPU.
    return torch.from_numpy(np.sort(projections.numpy(), axis=1))


def levels_of(sides: Sequence[int]) -> int:
    """Return the number of levels that are measured: halved as long as the smaller side keeps 16 pixels; at least 1."""
    levels = 1
    while min(sides) // 2**levels >= COARSEST:
        levels += 1
    return levels


def normalised(patches: Tensor) -> Tensor:
    """Return patches `(N, C, D)` as `(N, C * D)`, each channel with mean 0 and standard deviation 1 over all of them.

    A channel that is constant is 0.
    """
    centred = patches - patches.mean(dim=(0, 2), keepdim=True, dtype=torch.float64).float()
    deviation = centred.square().mean(dim=(0, 2), keepdim=True, dtype=torch.float64).sqrt().float()
    return (centred / torch.where(deviation > 0, deviation, 1)).flatten(1)
