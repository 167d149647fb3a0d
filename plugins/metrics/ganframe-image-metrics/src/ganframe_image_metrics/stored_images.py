"""Images that a metric keeps, and random choices that follow from their content.

The order of a measurement's batches, and who measured which of them, must not change its results. So whatever is drawn
for an image is drawn from a seed and the content of the image.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ganframe.game import BadInput, Randomness


def as_bytes(images: Tensor, name: str, metric: str) -> Tensor:
    """Return images as uint8 on their device, as image files hold them.

    Args:
        images: Images `(B, C, H, W)` in [-1, 1]; what is outside is clipped.
        name: The name of the tensor, for the message.
        metric: The type of the metric, for the message.

    Raises:
        BadInput: When the tensor does not hold images.
    """
    if images.ndim != 4:
        message = f"{metric!r} measures images, but one example of {name!r} is {tuple(images.shape[1:])}"
        raise BadInput(message, remedy="Name a tensor of images.")
    return ((images.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def check_same_shape(images: Mapping[str, Tensor], metric: str) -> None:
    """Check that the images of both sides have one shape.

    Args:
        images: Images `(B, C, H, W)` by the name of their tensor.
        metric: The type of the metric, for the message.

    Raises:
        BadInput: When the shapes differ.
    """
    shapes = {name: " x ".join(map(str, each.shape[1:])) for name, each in images.items()}
    if len(set(shapes.values())) > 1:
        given = ", ".join(f"{name!r} is {shape}" for name, shape in shapes.items())
        raise BadInput(f"{metric!r} compares images of one shape, but {given}", remedy="Name tensors of one shape.")


def digests(images: Tensor) -> list[str]:
    """Return a digest of the content of each image `(B, ...)`."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images.cpu().contiguous().numpy()]


def distinct(images: Tensor) -> Tensor:
    """Return images `(B, ...)` without those that repeat an earlier one."""
    first = {digest: row for row, digest in reversed(list(enumerate(digests(images))))}
    return images[sorted(first.values())]


def occurrences(found: Iterable[str]) -> list[int]:
    """Return how often the digest of each image came before."""
    seen = Counter[str]()
    numbers: list[int] = []
    for digest in found:
        numbers.append(seen[digest])
        seen[digest] += 1
    return numbers


def shuffled(found: Sequence[str], seed: int) -> list[int]:
    """Return a random order of images that depends on their content and a seed alone.

    Args:
        found: The digest of each image. Images of the same content have different places in the order.
        seed: The seed of the order.
    """
    numbered = zip(found, occurrences(found), strict=True)
    keys = [Randomness(seed).at(digest, number).key("order of images") for digest, number in numbered]
    return sorted(range(len(keys)), key=keys.__getitem__)
