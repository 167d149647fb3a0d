"""The rows of a saved data set as examples."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any

from ganframe.config import within
from ganframe.data import BadInput, ImageData, Picture, check_largest_label, open_images, open_picture
from ganframe_huggingface import HuggingFace
from ganframe_huggingface.library import import_datasets

SAVED = ("dataset_dict.json", "state.json")
"""A file of a folder that `save_to_disk` wrote: of several splits, or of one."""


def open_rows(config: HuggingFace) -> ImageData:
    """Open the images of a saved data set.

    Raises:
        BadInput: When it cannot be read, lacks a split or a column, or too many rows are not images.
    """
    table = open_table(config)
    names = table.names()
    labels = None if config.labels is None else dict(zip(names, table.labels(config.labels)[0], strict=True))
    return open_images(config, table, names, {}, labels)


def open_table(config: HuggingFace) -> Table:
    """Open a saved data set without reading its rows.

    Raises:
        BadInput: When it cannot be read, or lacks the split or the column of images.
    """
    library = import_datasets()
    with within("path"):
        if not config.path.exists():
            remedy = f"The path is relative to {Path.cwd()}." if not config.path.is_absolute() else ""
            raise BadInput("there is no such file or folder", place=str(config.path), remedy=remedy)
    saved = any((config.path / name).is_file() for name in SAVED)
    files = [] if saved else _parquet_files(config)
    try:
        if saved:
            rows = library.load_from_disk(str(config.path))
        else:
            rows = library.load_dataset("parquet", data_files=[*map(str, files)], split="train")
    except Exception as problem:  # the library raises errors of many kinds
        reason = str(problem).partition("\n")[0] or type(problem).__name__
        raise BadInput(f"this data set cannot be read: {reason}", place=str(config.path), path=("path",)) from None
    if isinstance(rows, dict):
        rows = _choose(rows, config)
    column = rows.features.get(config.image)
    if not isinstance(column, library.Image):
        images = [name for name, feature in rows.features.items() if isinstance(feature, library.Image)]
        remedy = f"Columns of images: {', '.join(images)}." if images else "Save a column with the feature `Image()`."
        message = f"{config.image!r} is no column of images"
        raise BadInput(message, place=str(config.path), path=("image",), remedy=remedy)
    # The bytes as they are stored: images are decoded as those of files are.
    undecoded = rows.cast_column(config.image, library.Image(decode=False)).with_format(None)
    return Table(undecoded, config.image, f"{config.path}: {config.dataset_split}")


def _choose(splits: dict[str, Any], config: HuggingFace) -> Any:
    if config.dataset_split not in splits:
        message = f"there is no split {config.dataset_split!r}"
        remedy = f"There are: {', '.join(splits)}."
        raise BadInput(message, place=str(config.path), path=("dataset_split",), remedy=remedy)
    return splits[config.dataset_split]


def _parquet_files(config: HuggingFace) -> Sequence[Path]:
    """Return the Parquet files of the split, in order."""
    if config.path.is_file():
        return [config.path]
    every = sorted(config.path.rglob("*.parquet"))
    files = [file for file in every if file.name.startswith(config.dataset_split)]
    if not every:
        remedy = f"It has to hold {' or '.join(SAVED)}, which `save_to_disk` writes, or .parquet files."
        raise BadInput("this folder holds no data set", place=str(config.path), path=("path",), remedy=remedy)
    if not files:
        message = f"there are no Parquet files whose names begin with {config.dataset_split!r}"
        remedy = f"There are: {', '.join(file.name for file in every[:3])}."
        raise BadInput(message, place=str(config.path), path=("dataset_split",), remedy=remedy)
    return files


class Table:
    """The images of a data set, under the numbers of their rows.

    Args:
        rows: The data set, with images as they are stored.
        image: Name of the column of images.
        place: The data set and its split, for messages.
    """

    def __init__(self, rows: Any, image: str, place: str) -> None:
        self.rows, self.image, self.place = rows, image, place

    def names(self) -> list[str]:
        """Return the numbers of all rows."""
        return [*map(str, range(len(self.rows)))]

    def labels(self, column: str) -> tuple[list[int], tuple[str, ...] | None]:
        """Return the label of each row, and the names of the classes if there are any.

        Raises:
            BadInput: When there is no such column, or a label is not a whole number from 0 on.
        """
        with within("labels"):
            if column not in self.rows.features:
                remedy = f"There are: {', '.join(self.rows.features)}."
                raise BadInput(f"there is no column {column!r}", place=self.place, remedy=remedy)
            values: list[Any] = [*self.rows[column]]
            wrong = [value for value in values if not isinstance(value, int) or value < 0]
            if wrong or not values:
                message = f"{column!r} is no column of labels, which are whole numbers from 0 on"
                remedy = f"Make names class labels first: `dataset.class_encode_column({column!r})`."
                raise BadInput(message, place=self.place, remedy=remedy)
            largest = max(range(len(values)), key=values.__getitem__)
            check_largest_label(values[largest], f"row {largest}", len(values), self.place)
        names = getattr(self.rows.features[column], "names", None)
        return values, None if names is None else tuple(names)

    def open(self, name: str) -> AbstractContextManager[Picture]:
        """Open the image of a row."""
        return open_picture(partial(self._open_row, int(name)), f"{self.place}, row {name}")

    def _open_row(self, row: int) -> IO[bytes]:
        stored: dict[str, Any] | None = self.rows[row][self.image]
        if stored is None:
            raise ValueError("the row has no image")
        if stored["bytes"] is not None:
            return io.BytesIO(stored["bytes"])
        file = Path(stored["path"])
        if not file.is_file():
            raise ValueError(f"{file} is no file")
        return file.open("rb")
