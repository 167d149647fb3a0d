"""The settings that all data sets of images share, wherever the images are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from ganframe.config.component_kinds import DatasetConfig
from ganframe.config.tensor_specs import TensorSpec
from ganframe.errors import BadInput


class ImageDatasetConfig(DatasetConfig):
    """A data set of images of any size, which are read, cut and resized alike."""

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 64
    """Side of square images in pixels, or height and width: `[48, 64]`."""
    channels: PositiveInt = 3
    """Channels of the images: 1 for grey, 3 for RGB, 4 for RGB with transparency. Arrays, such as `.npy` files,
    may have any number of channels, which has to be this one."""
    crop: Literal["centre", "none"] = "centre"
    """How an image whose proportions differ from those of `resolution` is made to fit: `centre` cuts out the largest
    centred part with the right proportions, `none` squeezes the whole image."""
    flip: bool = False
    """Mirror each example left to right with probability 1/2."""
    max_unreadable: float = Field(default=0.01, ge=0, le=1)
    """Share of the files that may be unreadable. In place of each, the next readable file in order is used."""
    held_out_share: float = Field(default=0, ge=0, lt=1)
    """Share of the examples that are held out: they are never trained on, and metrics compare samples with them. A hash
    of an example's name without the suffix decides, so that added files leave the others where they are."""
    split: Literal["train", "held-out"] = "train"
    """The examples to train on, or those that `held_out_share` holds out."""

    @model_validator(mode="after")
    def _something_is_held_out(self) -> Self:
        if self.split == "held-out" and self.held_out_share == 0:
            raise ValueError("`split: held-out` needs a `held_out_share` above 0")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return self.resolution if isinstance(self.resolution, tuple) else (self.resolution, self.resolution)

    @property
    def image_spec(self) -> TensorSpec:
        """The spec of one image."""
        return TensorSpec((self.channels, *self.size))

    @override
    def held_out(self) -> DatasetConfig | None:
        if self.held_out_share == 0 or self.split == "held-out":
            return None
        return self.model_copy(update={"split": "held-out"})

    def in_split(self, names: Sequence[str]) -> list[int]:
        """Return the indices of the examples of these names that are in `split`, in order.

        Args:
            names: The name of each example; a suffix does not count.

        Raises:
            BadInput: When no example is trained on, or none is held out although `held_out_share` is above 0.
        """
        if self.held_out_share == 0:
            return [*range(len(names))]
        held_out = [_is_held_out(name, self.held_out_share) for name in names]
        if len(set(held_out)) < 2:
            part = "holds all of the" if all(held_out) else "holds none of the"
            raise BadInput(
                f"{part} {len(names):,} examples out", path=("held_out_share",), remedy="Choose another share."
            )
        return [index for index, held in enumerate(held_out) if held == (self.split == "held-out")]


def _is_held_out(name: str, share: float) -> bool:
    """Return whether the hash of a name without its suffix, as a number in [0, 1), is below the share."""
    digest = hashlib.sha256(PurePosixPath(name).with_suffix("").as_posix().encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
