"""Packing: decoding every image of a data set once, into a folder that is read by a memory map."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from ganframe.config.held_out_share import escaped
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.data.batch_dataset import BatchDataset
from ganframe.data.dataset import Dataset
from ganframe.data.identity import file_names
from ganframe.data.packed_folder import (
    BLOCK_BYTES,
    FORMAT,
    INDEX,
    MAX_SOURCES_BYTES,
    SOURCES,
    PackedIndex,
    PackedSources,
    PackedTensor,
    array_file,
)
from ganframe.data.sampler import Sampler
from ganframe.data.summary import left_out_names
from ganframe.data.unreadable_files import UnreadableFile, collect_unreadable
from ganframe.data.workers import fetch
from ganframe.distributed.shard import WHOLE_BATCH
from ganframe.errors import BadInput, writing
from ganframe.files import create_new, remove, write_synced
from ganframe.randomness import Randomness

CHUNK = 64
"""The number of examples that are fetched at once."""

TRIAL_EXAMPLES, TRIAL_DRAWS = 8, 16
"""The number of examples and of draws by which a data set that draws at random is found out."""

UNREADABLE = "files that cannot be read"
"""The reason of examples that are left out because a file of theirs is broken."""


def pack(
    dataset: Dataset,
    specs: DataSpec,
    out: Path,
    *,
    data: str,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PackedIndex:
    """Write the examples of a data set into a new folder, in their order.

    Examples of which a file cannot be read are left out, up to the number that the data set allows. The folder is
    written under another name and renamed, so that it is whole or not there.

    Args:
        dataset: The data set. Its images have to be uint8, and must not depend on random draws.
        specs: The specs of its tensors.
        out: The folder, at which there is nothing yet.
        data: The type of the data set, for the index.
        workers: Number of processes that decode; 0 decodes in this process.
        progress: Is told the number of examples that are done, and that of all.

    Returns:
        The index of the folder.

    Raises:
        BadInput: When the data set has other tensors than uint8 images and class labels, draws at random, or has too
            many files that cannot be read.
        RunFailed: When the folder cannot be written.
    """
    _check_specs(specs)
    _check_not_random(dataset)
    draft = out.with_name(f".{out.name}.draft")
    with writing(out), _removed_on_failure(draft):
        remove(draft)
        draft.mkdir()
        unreadable = _Unreadable()
        kept, tensors = list[int](), dict[str, PackedTensor]()
        with ExitStack() as stack:
            writers = {name: stack.enter_context(_ArrayWriter(draft, name, spec)) for name, spec in specs.items()}
            for indices, batch in _read(dataset, workers, unreadable):
                for name, writer in writers.items():
                    writer.write(_checked(name, specs[name], batch, len(indices)))
                kept += indices
                progress(len(kept) + unreadable.examples, len(dataset))
            if not kept:
                raise BadInput("there are no examples to pack", path=("data",))
            tensors = {name: writer.finish() for name, writer in writers.items()}
        sources = _sources(dataset, kept, unreadable).to_json()
        if len(sources) > MAX_SOURCES_BYTES:
            raise BadInput(f"the names of the files take {len(sources):,} bytes, more than {MAX_SOURCES_BYTES:,}")
        index = PackedIndex(FORMAT, len(kept), data, tensors, hashlib.sha256(sources).hexdigest())
        write_synced(draft / SOURCES, sources)
        write_synced(draft / INDEX, index.to_json())
        draft.rename(out)
    return index


def _check_specs(specs: DataSpec) -> None:
    for name, spec in specs.items():
        if spec.kind not in ("image", "label") or not name.isidentifier():
            message = f"{name!r} is {spec}; only images and class labels can be packed"
            raise BadInput(message, path=("data",), remedy="Train on the data set as it is.")


class _NotedRandomness(Randomness):
    """Randomness that notes whether it was asked for a draw."""

    def __init__(self, seed: int, counters: tuple[str | int, ...] = (), purposes: list[str] | None = None) -> None:
        super().__init__(seed, counters)
        self.__dict__["purposes"] = [] if purposes is None else purposes

    @property
    def was_asked(self) -> bool:
        """Whether it, or a source made from it by `at`, was asked for a draw."""
        return bool(self.__dict__["purposes"])

    @override
    def at(self, *counters: str | int) -> Randomness:
        return _NotedRandomness(self.seed, (*self.counters, *counters), self.__dict__["purposes"])

    @override
    def key(self, purpose: str) -> int:
        self.__dict__["purposes"].append(purpose)
        return super().key(purpose)


def _check_not_random(dataset: Dataset) -> None:
    """Refuse a data set that asks for random draws, or differs from one seed to another: one draw would be packed."""
    step = max(1, len(dataset) // TRIAL_EXAMPLES)
    trial = range(0, len(dataset), step)[:TRIAL_EXAMPLES]
    draws = [_NotedRandomness(seed) for seed in range(TRIAL_DRAWS)]
    once, *others = (dataset.fetch(trial, each) for each in draws)
    asked = any(each.was_asked for each in draws)
    if asked or not all(torch.equal(once[name], again[name]) for again in others for name in once):
        remedy = (
            "Leave `flip` out (--set data.flip=false): packed data can be mirrored as they are read. "
            "Pairs that are drawn at random cannot be packed."
        )
        raise BadInput("these data are mirrored or paired at random", path=("data",), remedy=remedy)


@contextmanager
def _removed_on_failure(draft: Path) -> Generator[None, None, None]:
    try:
        yield
    except BaseException:
        remove(draft)
        raise


class _Unreadable:
    """The files that could not be read, and the number of examples that are left out for them."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.examples = 0

    def add(self, found: Sequence[UnreadableFile]) -> None:
        """Leave an example out.

        Raises:
            BadInput: When more files are unreadable than the data set allows.
        """
        self.examples += 1
        for each in found:
            self.files.setdefault(each.file, each.reason)
            if len(self.files) > each.limit.max_files:
                raise each.limit.error(len(self.files), self.names()[-1]).within("data")

    def names(self) -> list[str]:
        """Return the name of each file, with what is wrong with it."""
        return [f"{file} ({reason})" for file, reason in self.files.items()]


class _InOrder(Sampler):
    """The examples in their order, in chunks; workers that read ahead of the end get the last chunk again."""

    def __init__(self, length: int) -> None:
        super().__init__(CHUNK, WHOLE_BATCH)
        self.length, self.chunks = length, -(-length // CHUNK)

    @override
    def batch(self, number: int) -> list[int]:
        first = min(number, self.chunks - 1) * CHUNK
        return list(range(first, min(first + CHUNK, self.length)))


def _read(dataset: Dataset, workers: int, unreadable: _Unreadable) -> Iterator[tuple[list[int], Mapping[str, Tensor]]]:
    """Yield the indices and tensors of the examples in their order, without those that cannot be read."""
    order = _InOrder(len(dataset))
    fetched = fetch(BatchDataset(dataset, order, Randomness(0)), 0, workers, pin_memory=False)
    with closing(fetched):
        for number, (batch, found, failure) in enumerate(islice(fetched, order.chunks)):
            if failure is not None:
                raise failure
            if not found:
                yield order.batch(number), batch
                continue
            for index in order.batch(number):  # which of them are whole, and which are stand-ins?
                with collect_unreadable() as broken:
                    single = dataset.fetch([index], Randomness(0))
                if broken:
                    unreadable.add(broken)
                else:
                    yield [index], single


def _checked(name: str, spec: TensorSpec, batch: Mapping[str, Tensor], rows: int) -> np.ndarray:
    """Return the values of a tensor of a batch.

    Raises:
        BadInput: When the tensor is missing, or is not what can be packed.
    """
    values = batch.get(name)
    expected = torch.int64 if spec.kind == "label" else torch.uint8
    if values is None or values.dtype != expected or tuple(values.shape) != (rows, *spec.shape):
        found = "not given" if values is None else f"{values.dtype} of shape {tuple(values.shape)}"
        remedy = "Images have to be uint8 `(B, C, H, W)`, and class labels int64 `(B,)`."
        raise BadInput(f"{name!r} is {found}, and cannot be packed", path=("data",), remedy=remedy)
    if spec.classes is not None and not 0 <= int(values.min()) <= int(values.max()) < spec.classes:
        raise BadInput(f"{name!r} leaves 0 to {spec.classes - 1}", path=("data",))
    return np.ascontiguousarray(values.numpy())


class _ArrayWriter:
    """Writes the file of a tensor, and hashes each block of rows."""

    def __init__(self, folder: Path, name: str, spec: TensorSpec) -> None:
        dtype = "int64" if spec.kind == "label" else "uint8"
        row = PackedTensor(dtype, spec.shape, spec.classes, spec.class_names, 1, ())
        self.block_rows = max(1, BLOCK_BYTES // row.row_bytes)
        self.tensor, self.path = row, array_file(folder, name, row)
        self.hashes: list[str] = []
        self._hash, self._rows = hashlib.sha256(), 0
        self._file: BinaryIO = create_new(self.path)

    def __enter__(self) -> _ArrayWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, rows: np.ndarray) -> None:
        """Append rows."""
        rows = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
        self._file.write(rows.data)
        while len(rows):
            part, rows = np.split(rows, [self.block_rows - self._rows])
            self._hash.update(part.data)
            self._rows += len(part)
            if self._rows == self.block_rows:
                self._end_block()

    def _end_block(self) -> None:
        self.hashes.append(self._hash.hexdigest())
        self._hash, self._rows = hashlib.sha256(), 0

    def finish(self) -> PackedTensor:
        """Flush the file to the disk, and return the tensor with its hashes."""
        if self._rows:
            self._end_block()
        self._file.flush()
        os.fsync(self._file.fileno())
        row = self.tensor
        return PackedTensor(row.dtype, row.shape, row.classes, row.class_names, self.block_rows, tuple(self.hashes))


def _sources(dataset: Dataset, kept: Sequence[int], unreadable: _Unreadable) -> PackedSources:
    """Return the names of the files of the examples that were packed, and of what was left out."""
    names = file_names(dataset)
    per_example = None if names is None else len(names) // len(dataset)
    files = None
    if names is not None and per_example and len(names) == per_example * len(dataset):
        files = [[escaped(name) for name in names[per_example * row :][:per_example]] for row in kept]
    broken = unreadable.names()
    left_out = {UNREADABLE: broken}
    for reason, each in left_out_names(dataset).items():
        # A file that is broken was named before it was read.
        left_out[reason] = [name for name in each if name not in unreadable.files and name not in set(broken)]
    return PackedSources(files, {reason: [*map(escaped, each)] for reason, each in left_out.items() if each})
