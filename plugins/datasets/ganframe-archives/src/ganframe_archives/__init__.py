"""Data sets in one file: images in a zip file, or arrays in an npz file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator
from typing_extensions import override

from ganframe.config import Component, DataSpec, ImageDatasetConfig, TensorSpec, hookimpl, within

if TYPE_CHECKING:
    from ganframe.data import Dataset


class ImageZip(ImageDatasetConfig):
    """The images of a zip file, which are the same examples as those of the folder that it was made from."""

    type: Literal["image-zip"] = "image-zip"
    path: Path
    """The file. If all of its images are in one folder, this folder is not part of their names, unless it is their
    only class."""
    with_labels: bool = False
    """Also give `label`: the number of the image's subfolder, counted from 0 in the order of their names as text. The
    name of the subfolder is that of the class."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        import io
        import zipfile

        from PIL import Image

        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for name, colour in (("a/1.png", "red"), ("a/2.png", "green"), ("b/3.png", "blue")):
                stream = io.BytesIO()
                Image.new("RGB", (20, 24), colour).save(stream, format="png")
                archive.writestr(name, stream.getvalue())
        return {"path": folder / "images.zip", "with_labels": True}

    def spec(self) -> DataSpec:
        """Return the spec of `real`, and of `label` with `with_labels`."""
        from ganframe.data import label_by_subfolder
        from ganframe_archives.zip_files import list_zip

        listing = list_zip(self.path, self.with_labels)
        self.in_split(listing.names)
        spec = {"real": self.image_spec}
        if self.with_labels:
            names, _ = label_by_subfolder(listing.names, listing.place)
            with within("with_labels"):
                spec["label"] = TensorSpec((), classes=len(names), class_names=names)
        return spec

    @override
    def build(self) -> Dataset:
        from ganframe_archives.zip_files import open_zip

        return open_zip(self)


class ArrayFile(ImageDatasetConfig):
    """Images and labels from the arrays of an `.npz` file, which are kept in memory."""

    type: Literal["npz"] = "npz"
    path: Path
    """The file."""
    images: str = "images"
    """Name of the array of the images: uint8 `(N, H, W)` or `(N, H, W, C)`, where C is `channels`."""
    labels: str | None = None
    """Name of the array of labels: whole numbers from 0 on, `(N,)` or `(N, 1)`. Without one, there is no `label`."""
    class_names: str | None = None
    """Name of the array of the names of the classes, as text. Without one, classes have no names."""

    @model_validator(mode="after")
    def _names_are_of_labels(self) -> ArrayFile:
        if self.class_names is not None and self.labels is None:
            raise ValueError("`class_names` are those of `labels`, which is missing: name the array of the labels")
        return self

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        import numpy as np

        images = np.arange(6 * 8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 6, 3)
        names = np.array(["cat", "dog"])
        np.savez(folder / "images.npz", images=images, labels=np.arange(6) % 2, class_names=names)
        return {"path": folder / "images.npz", "labels": "labels", "class_names": "class_names"}

    def spec(self) -> DataSpec:
        """Return the spec of `real`, and of `label` if `labels` is given."""
        from ganframe_archives.npz_files import read_labels

        spec = {"real": self.image_spec}
        if self.labels is not None:
            labels, names = read_labels(self, self.labels)
            classes = int(labels.max()) + 1 if names is None else len(names)
            with within("class_names"):
                spec["label"] = TensorSpec((), classes=classes, class_names=names)
        return spec

    @override
    def build(self) -> Dataset:
        from ganframe_archives.npz_files import open_npz

        return open_npz(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data sets."""
    register(ImageZip)
    register(ArrayFile)
