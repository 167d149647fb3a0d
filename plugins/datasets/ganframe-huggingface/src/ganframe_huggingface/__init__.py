"""Images from a data set of Hugging Face `datasets` that is stored on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator
from typing_extensions import override

from ganframe.config import Component, DatasetConfig, DataSpec, ImageDatasetConfig, TensorSpec, hookimpl, within

if TYPE_CHECKING:
    from ganframe.data import Dataset


class HuggingFace(ImageDatasetConfig):
    """The images of a data set on disk: saved by `save_to_disk`, or Parquet files. Nothing is downloaded.

    It needs the package `datasets`: `pip install "ganframe-huggingface[datasets]"`.
    """

    type: Literal["huggingface"] = "huggingface"
    path: Path
    """The folder that `save_to_disk` wrote, a Parquet file, or a folder of them, with subfolders."""
    dataset_split: str = "train"
    """The split to train on, where a saved data set has several. Of several Parquet files, those whose names begin with
    it: `train-00000-of-00002.parquet`."""
    held_out_split: str | None = None
    """The split that is held out, such as `test`; otherwise `held_out_share` holds a share of `dataset_split` out."""
    image: str = "image"
    """Name of the column of images."""
    labels: str | None = None
    """Name of the column of labels, of class labels with their names or of whole numbers. Without one, there is no
    `label`."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        from PIL import Image

        from ganframe_huggingface.library import import_datasets

        library = import_datasets()
        features = {"image": library.Image(), "label": library.ClassLabel(names=["cat", "dog"])}
        images = [Image.new("RGB", (20, 24), colour) for colour in ("red", "green", "blue")]
        columns = {"image": images, "label": [0, 1, 0]}
        saved = library.Dataset.from_dict(columns, features=library.Features(features))
        saved.save_to_disk(str(folder / "saved"))
        return {"path": folder / "saved", "labels": "label"}

    @model_validator(mode="after")
    def _one_way_to_hold_out(self) -> HuggingFace:
        if self.held_out_split is not None and self.held_out_share:
            raise ValueError("`held_out_split` and `held_out_share` are two ways to hold examples out: choose one")
        if self.held_out_split == self.dataset_split:
            raise ValueError(f"the split {self.dataset_split!r} cannot be trained on and held out")
        return self

    @override
    def held_out(self) -> DatasetConfig | None:
        if self.held_out_split is None:
            return super().held_out()
        return self.model_copy(update={"dataset_split": self.held_out_split, "held_out_split": None})

    def spec(self) -> DataSpec:
        """Return the spec of `real`, and of `label` if `labels` is given."""
        from ganframe_huggingface.dataset import open_table

        table = open_table(self)
        self.in_split(table.names())
        spec = {"real": self.image_spec}
        if self.labels is not None:
            numbers, names = table.labels(self.labels)
            with within("labels"):
                classes = max(numbers) + 1 if names is None else len(names)
                spec["label"] = TensorSpec((), classes=classes, class_names=names)
        return spec

    @override
    def build(self) -> Dataset:
        from ganframe_huggingface.dataset import open_rows

        return open_rows(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data set."""
    register(HuggingFace)
