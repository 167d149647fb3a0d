"""Data sets from folders of images: one folder, matched pairs, or two unpaired domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import Component, DatasetConfig, DataSpec, TensorSpec, hookimpl, within

if TYPE_CHECKING:
    from ganframe.data import Dataset


class _Images(DatasetConfig):
    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 64
    """Side of square images in pixels, or height and width: `[48, 64]`."""
    channels: Literal[1, 3] = 3
    """Channels of the images: 1 for grey, 3 for RGB."""
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
    def image(self) -> TensorSpec:
        """The spec of one image."""
        return TensorSpec((self.channels, *self.size))


def _with_images(folder: Path) -> Path:
    """Write a few images for the conformance kit, and return their folder."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for name, colour in (("1.png", "red"), ("2.png", "green"), ("3.png", "blue")):
        Image.new("RGB", (20, 24), colour).save(folder / name)
    return folder


class ImageFolder(_Images):
    """The images of a folder and its subfolders, with labels if each class has a subfolder."""

    type: Literal["image-folder"] = "image-folder"
    renamed: ClassVar[Mapping[str, str]] = {"labels": "with_labels"}
    path: Path
    """The folder, absolute or relative to the working directory."""
    with_labels: bool = False
    """Also give `label`: the number of the image's subfolder, counted from 0 in order of names. The subfolder's name is
    the name of the class."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"path": _with_images(folder)}

    def spec(self) -> DataSpec:
        """Return the spec of `real`, and of `label` with `with_labels`."""
        from ganframe_folders.files import find_classes, find_images

        files = find_images(self.path, "path")
        spec = {"real": self.image}
        if self.with_labels:
            names = tuple(find_classes(self.path, files))
            with within("with_labels"):
                spec["label"] = TensorSpec((), classes=len(names), class_names=names)
        return spec

    @override
    def build(self) -> Dataset:
        from ganframe_folders.datasets import open_folder

        return open_folder(self)


class PairedFolders(_Images):
    """Pairs of images from two folders, matched by file name without the suffix; a pair is mirrored together."""

    type: Literal["paired-folders"] = "paired-folders"
    source: Path
    """Folder of the images to translate."""
    target: Path
    """Folder of their translations. The partner of `source/x/1.png` is `target/x/1.png` or `target/x/1.jpg`."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"source": _with_images(folder / "source"), "target": _with_images(folder / "target")}

    def spec(self) -> DataSpec:
        """Return the specs of `source` and `target`."""
        from ganframe_folders.files import find_pairs

        find_pairs(self.source, self.target)
        return {"source": self.image, "target": self.image}

    @override
    def build(self) -> Dataset:
        from ganframe_folders.datasets import open_pairs

        return open_pairs(self)


class UnpairedFolders(_Images):
    """Unpaired images of two domains: each image of A comes with an image of B that is drawn at random."""

    type: Literal["unpaired-folders"] = "unpaired-folders"
    a: Path
    """Folder of domain A; an epoch shows each of its images once."""
    b: Path
    """Folder of domain B."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"a": _with_images(folder / "a"), "b": _with_images(folder / "b")}

    def spec(self) -> DataSpec:
        """Return the specs of `real_a` and `real_b`."""
        from ganframe_folders.files import find_images

        find_images(self.a, "a")
        find_images(self.b, "b")
        return {"real_a": self.image, "real_b": self.image}

    @override
    def build(self) -> Dataset:
        from ganframe_folders.datasets import open_domains

        return open_domains(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data sets."""
    register(ImageFolder)
    register(PairedFolders)
    register(UnpairedFolders)
