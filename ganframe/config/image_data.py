"""The settings that all data sets of images share, wherever the images are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from ganframe.config.held_out_share import SplitDatasetConfig
from ganframe.config.tensor_specs import TensorSpec


class ImageDatasetConfig(SplitDatasetConfig):
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

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return self.resolution if isinstance(self.resolution, tuple) else (self.resolution, self.resolution)

    @property
    def image_spec(self) -> TensorSpec:
        """The spec of one image."""
        return TensorSpec((self.channels, *self.size))
