"""Data sets from folders of images: one folder, matched pairs, or two unpaired domains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt

from ganframe.config import Component, DatasetConfig, DataSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from ganframe.data import Dataset


class _Images(DatasetConfig):
    resolution: PositiveInt = 64
    """Side of the square images that are given, in pixels."""
    channels: Literal[1, 3] = 3
    """Channels of the images that are given: 1 for grey, 3 for RGB."""
    crop: Literal["centre", "none"] = "centre"
    """How an oblong image becomes square: `centre` cuts the largest centred square, `none` squeezes the whole image."""
    flip: bool = False
    """Mirror each example left to right with probability 1/2."""
    max_unreadable: float = Field(default=0.01, ge=0, le=1)
    """Share of the files that may be unreadable; for such a one, the next in order that can be read is given."""

    @property
    def image(self) -> TensorSpec:
        """One image as it is given."""
        return TensorSpec((self.channels, self.resolution, self.resolution))


def _written(folder: Path) -> Path:
    """The folder, with a few images for the conformance kit."""
    from PIL import Image  # noqa: PLC0415  only the kit writes images

    folder.mkdir(exist_ok=True)
    for name, colour in (("1.png", "red"), ("2.png", "green"), ("3.png", "blue")):
        Image.new("RGB", (20, 24), colour).save(folder / name)
    return folder


class ImageFolder(_Images):
    """The images of a folder and its subfolders, with labels where each class has a subfolder."""

    type: Literal["image-folder"] = "image-folder"
    path: Path
    """The folder, absolute or relative to where the command is run."""
    labels: bool = False
    """Give `label` too: the number of the subfolder that the image is in, counted from 0 by name."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """See base class."""
        return {"path": _written(folder)}

    def spec(self) -> DataSpec:
        """Name `real`, and `label` with `labels`."""
        from ganframe_folders.files import find_classes, find_images  # noqa: PLC0415  only a run reads folders

        files = find_images(self.path, "path")
        spec = {"real": self.image}
        if self.labels:
            spec["label"] = TensorSpec((), classes=len(find_classes(self.path, files)))
        return spec

    def build(self) -> Dataset:
        """See base class."""
        from ganframe_folders.datasets import open_folder  # noqa: PLC0415  configs stay free of torch

        return open_folder(self)


class PairedFolders(_Images):
    """Pairs of images from two folders, matched by file name without the suffix; a pair is mirrored as one."""

    type: Literal["paired-folders"] = "paired-folders"
    source: Path
    """Folder of the images to translate."""
    target: Path
    """Folder of what they become. The pair of `source/x/1.png` is `target/x/1.png` or `target/x/1.jpg`."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """See base class."""
        return {"source": _written(folder / "source"), "target": _written(folder / "target")}

    def spec(self) -> DataSpec:
        """Names `source` and `target`."""
        from ganframe_folders.files import find_pairs  # noqa: PLC0415  only a run reads folders

        find_pairs(self.source, self.target)
        return {"source": self.image, "target": self.image}

    def build(self) -> Dataset:
        """See base class."""
        from ganframe_folders.datasets import open_pairs  # noqa: PLC0415  configs stay free of torch

        return open_pairs(self)


class UnpairedFolders(_Images):
    """Images of two domains that do not belong together: each of A comes with one of B that is drawn at random."""

    type: Literal["unpaired-folders"] = "unpaired-folders"
    a: Path
    """Folder of domain A; an epoch shows each of its images once."""
    b: Path
    """Folder of domain B."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """See base class."""
        return {"a": _written(folder / "a"), "b": _written(folder / "b")}

    def spec(self) -> DataSpec:
        """Names `real_a` and `real_b`."""
        from ganframe_folders.files import find_images  # noqa: PLC0415  only a run reads folders

        find_images(self.a, "a")
        find_images(self.b, "b")
        return {"real_a": self.image, "real_b": self.image}

    def build(self) -> Dataset:
        """See base class."""
        from ganframe_folders.datasets import open_domains  # noqa: PLC0415  configs stay free of torch

        return open_domains(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data sets."""
    register(ImageFolder)
    register(PairedFolders)
    register(UnpairedFolders)
