"""Data sets from folders of images: one folder, pairs in two folders or side by side, or two unpaired domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from ganframe.config import Component, DataSpec, ImageDatasetConfig, TensorSpec, hookimpl, within

if TYPE_CHECKING:
    from ganframe.data import Dataset


def _with_images(folder: Path) -> Path:
    """Write a few images for the conformance kit, and return their folder."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for name, colour in (("1.png", "red"), ("2.png", "green"), ("3.png", "blue")):
        Image.new("RGB", (20, 24), colour).save(folder / name)
    return folder


class ImageFolder(ImageDatasetConfig):
    """The images of a folder and its subfolders, with labels if each class has a subfolder."""

    type: Literal["image-folder"] = "image-folder"
    renamed: ClassVar[Mapping[str, str]] = {"labels": "with_labels"}
    path: Path
    """The folder, absolute or relative to the working directory."""
    with_labels: bool = False
    """Also give `label`: the number of the image's subfolder, counted from 0 in the order of their names as text. The
    name of the subfolder is that of the class."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"path": _with_images(folder)}

    def spec(self) -> DataSpec:
        """Return the spec of `real`, and of `label` with `with_labels`."""
        from ganframe.data import label_by_subfolder
        from ganframe_folders.files import find_images

        files = find_images(self.path, "path").names()
        self.in_split(files)
        spec = {"real": self.image_spec}
        if self.with_labels:
            names, _ = label_by_subfolder(files, str(self.path))
            with within("with_labels"):
                spec["label"] = TensorSpec((), classes=len(names), class_names=names)
        return spec

    @override
    def build(self) -> Dataset:
        from ganframe_folders.datasets import open_folder

        return open_folder(self)


class PairedFolders(ImageDatasetConfig):
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
        from ganframe_folders.files import find_images, match_pairs

        pairs = match_pairs(find_images(self.source, "source"), find_images(self.target, "target"))
        self.in_split([source for source, _ in pairs])
        return {"source": self.image_spec, "target": self.image_spec}

    @override
    def build(self) -> Dataset:
        from ganframe_folders.datasets import open_pairs

        return open_pairs(self)


class SideBySide(ImageDatasetConfig):
    """Pairs of images side by side in one file, as in pix2pix's data sets; a pair is mirrored together.

    `resolution` is that of one half.
    """

    type: Literal["side-by-side"] = "side-by-side"
    path: Path
    """The folder, absolute or relative to the working directory."""
    source: Literal["left", "right"] = "left"
    """The half that is to be translated; the other one is its translation."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"path": _with_images(folder)}

    def spec(self) -> DataSpec:
        """Return the specs of `source` and `target`."""
        from ganframe_folders.files import find_images

        self.in_split(find_images(self.path, "path").names())
        return {"source": self.image_spec, "target": self.image_spec}

    @override
    def build(self) -> Dataset:
        from ganframe_folders.datasets import open_halves

        return open_halves(self)


class UnpairedFolders(ImageDatasetConfig):
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

        for folder, setting in ((self.a, "a"), (self.b, "b")):
            self.in_split(find_images(folder, setting).names())
        return {"real_a": self.image_spec, "real_b": self.image_spec}

    @override
    def build(self) -> Dataset:
        from ganframe_folders.datasets import open_domains

        return open_domains(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data sets."""
    register(ImageFolder)
    register(PairedFolders)
    register(SideBySide)
    register(UnpairedFolders)
