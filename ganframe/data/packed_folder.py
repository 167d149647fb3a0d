"""Packed data: a folder with the decoded images of a data set, which are read by a memory map.

The folder has, for each tensor, a file with the values of all examples one after the other (`real.uint8`),
`sources.json` with the names of the files that they come from, and `index.json` with the specs and the SHA-256 of each
block of rows.
The index is itself hashed, and its hash stands for everything in the folder.

Opening checks the index and the sizes of the files, which takes milliseconds; `find_damage` checks all the rest.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.errors import BadInput
from ganframe.files import open_regular, parse_json, read_bytes

FORMAT = 1
"""The version of the layout of a folder."""

INDEX, SOURCES = "index.json", "sources.json"

MAX_INDEX_BYTES = 64 * 2**20
"""The largest size of an index, in bytes: enough for 10 TB of images."""

MAX_SOURCES_BYTES = 512 * 2**20
"""The largest size of the names of files, in bytes."""

BLOCK_BYTES = 2**24
"""The size of a block of rows that has a hash of its own, in bytes; a block has one row at least."""

IMAGE_AXES = 3
"""The number of axes of an image: `(C, H, W)`."""

Dtype = Literal["uint8", "int64"]
Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class PackedTensor:
    """A tensor of packed data.

    Attributes:
        dtype: `uint8` for images, `int64` for class labels; little-endian.
        shape: The shape of one example.
        classes: Number of classes of a class label; None for images.
        class_names: The name of each class; None if classes have no names.
        block_rows: The number of examples in a block; the last block may have fewer.
        sha256: The hash of each block.
    """

    dtype: Dtype
    shape: tuple[Positive, ...]
    classes: Positive | None
    class_names: tuple[str, ...] | None
    block_rows: Positive
    sha256: tuple[str, ...]

    @property
    def row_bytes(self) -> int:
        """The size of one example in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def spec(self) -> TensorSpec:
        """The spec of one example."""
        return TensorSpec(self.shape, self.classes, self.class_names)


@dataclass(frozen=True)
class PackedIndex:
    """The index of packed data.

    Attributes:
        format: The version of the layout of the folder.
        examples: The number of examples.
        data: The type of the data set that was packed.
        tensors: The tensors, by name.
        sources: The SHA-256 of `sources.json`.
    """

    format: int
    examples: Positive
    data: str
    tensors: dict[str, PackedTensor]
    sources: str

    @property
    def sha256(self) -> str:
        """The SHA-256 of the index, and with the hashes in it of all that was packed."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> bytes:
        """Return the content of the index file."""
        return json.dumps({"sha256": self.sha256, "index": asdict(self)}, indent=1).encode()


@dataclass(frozen=True)
class PackedSources:
    """The origin of packed data.

    Attributes:
        files: The names of the files of each example; None where the data set named none.
        left_out: Names of what was left out, by the reason.
    """

    files: list[list[str]] | None
    left_out: dict[str, list[str]]

    def to_json(self) -> bytes:
        """Return the content of the file of sources."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True)
class _IndexFile:
    sha256: str
    index: PackedIndex


@dataclass(frozen=True)
class _Format:
    format: int


@dataclass(frozen=True)
class _FormatFile:
    index: _Format


_FORMAT_FILE = TypeAdapter(_FormatFile)
_INDEX_FILE, _SOURCES_FILE = TypeAdapter(_IndexFile), TypeAdapter(PackedSources)


class PackedFolder:
    """Packed data that are open for reading. It can be pickled, and maps its files again in the other process.

    Args:
        path: The folder.

    Attributes:
        path: The folder.
        index: Its index.

    Raises:
        BadInput: When it is missing or is no packed data, its index is damaged, or a file has another size than the
            index says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = _read_index(path)
        self._arrays = {name: self._map(name) for name in self.index.tensors}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the memory maps out."""
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the files again."""
        PackedFolder.__init__(self, state["path"])

    @property
    def specs(self) -> DataSpec:
        """The specs of the tensors, by name."""
        return {name: tensor.spec for name, tensor in self.index.tensors.items()}

    def array(self, name: str) -> np.ndarray:
        """Return all examples of a tensor `(N, ...)`: a read-only view of the file."""
        return self._arrays[name]

    def sources(self) -> PackedSources:
        """Return the names of the files that the examples come from.

        Raises:
            BadInput: When the file is missing or damaged.
        """
        path = self.path / SOURCES
        content = read_bytes(path, MAX_SOURCES_BYTES)
        if hashlib.sha256(content).hexdigest() != self.index.sources:
            raise _damaged(path)
        sources = parse_json(content, _SOURCES_FILE, str(path))
        if sources.files is not None and not _name_each_example(sources.files, self.index.examples):
            raise _damaged(path)
        return sources

    def find_damage(self) -> Iterator[tuple[int, str]]:
        """Read everything; yield after each block the number of bytes read, and the damage in the block or nothing."""
        for name, tensor in self.index.tensors.items():
            rows = self.array(name)
            for number, digest in enumerate(tensor.sha256):
                first = number * tensor.block_rows
                block = rows[first : first + tensor.block_rows]
                sound = hashlib.sha256(block.data).hexdigest() == digest
                place = f"{array_file(self.path, name, tensor)}: examples {first:,} to {first + len(block) - 1:,}"
                yield block.nbytes, "" if sound else place

    def _map(self, name: str) -> np.ndarray:
        tensor = self.index.tensors[name]
        path, expected = array_file(self.path, name, tensor), self.index.examples * tensor.row_bytes
        with open_regular(path) as file:
            found = file.seek(0, 2)
            if found != expected:
                message = f"this file has {found:,} bytes, and {expected:,} by the index"
                raise BadInput(message, place=str(path), remedy="Copy it again, or pack the data again.")
            mapped = mmap.mmap(file.fileno(), expected, access=mmap.ACCESS_READ)
        rows = np.frombuffer(mapped, np.dtype(tensor.dtype).newbyteorder("<"))
        if tensor.classes is not None and not 0 <= rows.min() <= rows.max() < tensor.classes:
            raise _damaged(path)
        return rows.reshape(self.index.examples, *tensor.shape)


def array_file(folder: Path, name: str, tensor: PackedTensor) -> Path:
    """Return the path of the file of a tensor."""
    return folder / f"{name}.{tensor.dtype}"


def _read_index(folder: Path) -> PackedIndex:
    if not folder.is_dir():
        remedy = "" if folder.is_absolute() else f"The path is relative to {Path.cwd()}."
        raise BadInput("there is no such folder", place=str(folder), remedy=remedy)
    path = folder / INDEX
    if not path.exists():
        remedy = "Pack the data first: `ganframe data pack FOLDER OUT`."
        raise BadInput("this folder has no packed data (no index.json)", place=str(folder), remedy=remedy)
    content = read_bytes(path, MAX_INDEX_BYTES)
    found = parse_json(content, _FORMAT_FILE, str(path)).index.format  # first: another format has other fields
    if found != FORMAT:
        message = f"these data are in format {found}, and this version reads {FORMAT}"
        raise BadInput(message, place=str(path), remedy="Update ganframe, or pack the data again.")
    read = parse_json(content, _INDEX_FILE, str(path))
    index = read.index
    blocks = [-(-index.examples // each.block_rows) == len(each.sha256) for each in index.tensors.values()]
    names = bool(index.tensors) and all(map(str.isidentifier, index.tensors))
    if read.sha256 != index.sha256 or not all(blocks) or not names or not all(map(_is_packed, index.tensors.values())):
        raise _damaged(path)
    return index


def _is_packed(tensor: PackedTensor) -> bool:
    """Return whether a tensor is one of those that are packed: images in uint8 and class labels in int64."""
    if tensor.classes is None:
        return tensor.dtype == "uint8" and len(tensor.shape) == IMAGE_AXES and tensor.class_names is None
    named = tensor.class_names is None or len({*tensor.class_names}) == len(tensor.class_names) == tensor.classes
    return tensor.dtype == "int64" and tensor.shape == () and named


def _name_each_example(files: Sequence[Sequence[str]], examples: int) -> bool:
    """Return whether each example has as many names as the others, at least one, and none is empty."""
    counts = {len(names) for names in files}
    return (
        len(files) == examples
        and len(counts) == 1
        and 0 not in counts
        and all(PurePosixPath(name).name for names in files for name in names)
    )


def _damaged(path: Path) -> BadInput:
    return BadInput("this file is damaged", place=str(path), remedy="Copy it again, or pack the data again.")
