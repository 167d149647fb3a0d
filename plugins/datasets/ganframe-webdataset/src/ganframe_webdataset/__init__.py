"""Images from the tar shards of a WebDataset, read in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator
from typing_extensions import override

from ganframe.config import Component, DataSpec, ImageDatasetConfig, TensorSpec, hookimpl, within

if TYPE_CHECKING:
    from ganframe.data import Dataset


class WebDataset(ImageDatasetConfig):
    """The images of tar files in the format of WebDataset: members with one key are one example.

    Shards are indexed when the data is opened, and examples are read in the order of the run, which is shuffled.
    """

    type: Literal["webdataset"] = "webdataset"
    path: Path
    """A tar file, a folder of `.tar` files, or several files with braces: `photos-{000..012}.tar`."""
    image: str | None = None
    """Extension of the images, such as `jpg`. When left out, any extension of an image; an example may have one."""
    labels: str | None = None
    """Extension of the members with labels, such as `cls` or `json`. Without one, there is no `label`. A member has a
    whole number from 0 on, or the name of a class: classes with names are counted from 0 in their order as text."""
    label_key: str = "label"
    """Key of the label, where the members with labels are JSON objects."""

    @field_validator("image", "labels")
    @classmethod
    def _without_its_dot(cls, extension: str | None) -> str | None:
        return None if extension is None else extension.lower().removeprefix(".")

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        import io
        import tarfile

        from PIL import Image

        with tarfile.open(folder / "shard-0.tar", "w") as shard:
            for number, colour in enumerate(("red", "green", "blue")):
                stream = io.BytesIO()
                Image.new("RGB", (20, 24), colour).save(stream, format="png")
                for extension, content in (("png", stream.getvalue()), ("cls", str(number % 2).encode())):
                    member = tarfile.TarInfo(f"{number:04d}.{extension}")
                    member.size = len(content)
                    shard.addfile(member, io.BytesIO(content))
        return {"path": folder / "shard-0.tar", "labels": "cls"}

    def spec(self) -> DataSpec:
        """Return the spec of `real`, and of `label` if `labels` is given."""
        from ganframe_webdataset.dataset import list_examples, read_labels

        listing = list_examples(self)
        self.in_split([*listing.images])
        spec = {"real": self.image_spec}
        if self.labels is not None:
            numbers, names = read_labels(self, listing)
            with within("labels"):
                classes = max(numbers.values()) + 1 if names is None else len(names)
                spec["label"] = TensorSpec((), classes=classes, class_names=names)
        return spec

    @override
    def build(self) -> Dataset:
        from ganframe_webdataset.dataset import open_shards

        return open_shards(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data set."""
    register(WebDataset)
