"""Batches, loader workers and the list of unreadable files: orders, draws, limits and messages worked out by hand."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import pickle
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import dataloader
from torch.utils.data._utils import signal_handling

from ganframe import BadInput, RunFailed
from ganframe.data.batch_dataset import BatchDataset
from ganframe.data.loader import BatchLoader
from ganframe.data.npz_files import read_arrays
from ganframe.data.sampler import EpochShuffleSampler
from ganframe.data.tensor_data import TensorData, as_float
from ganframe.data.unreadable_files import (
    Quarantine,
    UnreadableFile,
    UnreadableLimit,
    collect_unreadable,
    report_unreadable,
)
from ganframe.data.workers import _keep_sigchld_handler, fetch
from ganframe.distributed.shard import Shard
from ganframe.randomness import Randomness

# A worker on fewer cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

CPU = torch.device("cpu")
WHOLE_BATCH = Shard(0, 1)
PLACE = Randomness(3, ("data",))


def key(seed: int, purpose: str, *counters: str | int) -> int:
    digest = hashlib.blake2b(repr((seed, purpose, counters)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def shuffled(length: int, epoch: int, seed: int = 3) -> list[int]:
    generator = torch.Generator().manual_seed(key(seed, "order", "data", epoch))
    return torch.randperm(length, generator=generator).tolist()


class Recorded:
    """Examples that are their own indices; keeps what it was asked for."""

    def __init__(self, length: int, before: Callable[[Sequence[int]], object] = list) -> None:
        self.length, self.before = length, before
        self.asked: list[tuple[list[int], Randomness]] = []

    def __len__(self) -> int:
        return self.length

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        self.asked.append((list(indices), randomness))
        self.before(indices)
        return {"x": torch.tensor(indices)}


def source(data: Any, size: int = 2) -> BatchDataset:
    return BatchDataset(data, EpochShuffleSampler(len(data), size, PLACE, WHOLE_BATCH), PLACE)


# The order.


def test_batches_are_cuts_of_shuffled_epochs_that_follow_each_other() -> None:
    stream = [*shuffled(5, 0), *shuffled(5, 1), *shuffled(5, 2)]
    assert len({tuple(stream[start : start + 5]) for start in (0, 5, 10)}) == 3
    order = EpochShuffleSampler(5, 2, PLACE, WHOLE_BATCH)
    assert [order.batch(number) for number in range(7)] == [stream[2 * n : 2 * n + 2] for n in range(7)]


def test_a_batch_does_not_depend_on_those_asked_for_before() -> None:
    stream = [each for epoch in range(4) for each in shuffled(5, epoch)]
    order = EpochShuffleSampler(5, 2, PLACE, WHOLE_BATCH)
    for number in (8, 0, 2, 7, 2):
        assert order.batch(number) == stream[2 * number : 2 * number + 2]


def test_a_batch_larger_than_the_data_takes_several_epochs() -> None:
    stream = [each for epoch in range(6) for each in shuffled(3, epoch)]
    order = EpochShuffleSampler(3, 7, PLACE, WHOLE_BATCH)
    assert [order.batch(0), order.batch(1)] == [stream[:7], stream[7:14]]


def test_ranks_take_the_parts_of_a_batch_in_their_order() -> None:
    stream = [each for epoch in range(4) for each in shuffled(5, epoch)]
    for rank in range(3):
        order = EpochShuffleSampler(5, 2, PLACE, Shard(rank, 3))
        assert [order.batch(number) for number in (0, 2)] == [
            stream[2 * rank : 2 * rank + 2],
            stream[12 + 2 * rank : 14 + 2 * rank],
        ]


def test_an_epoch_is_shuffled_by_the_seed() -> None:
    assert (
        EpochShuffleSampler(9, 9, Randomness(4, ("data",)), WHOLE_BATCH).batch(0)
        == shuffled(9, 0, seed=4)
        != shuffled(9, 0)
    )


# The batches.


def test_batches_begin_at_the_number_asked_for_each_with_draws_of_its_own() -> None:
    data = Recorded(5)
    batches = BatchLoader(data, 2, PLACE, CPU).starting_at(3)
    stream = [each for epoch in range(3) for each in shuffled(5, epoch)]
    assert [batch["x"].tolist() for batch in islice(batches, 3)] == [stream[6:8], stream[8:10], stream[10:12]]
    assert [draws for _, draws in data.asked] == [Randomness(3, ("data", "batch", n), WHOLE_BATCH) for n in (3, 4, 5)]
    batches.close()


def test_a_rank_draws_its_own_rows_of_what_one_process_would_draw() -> None:
    data = Recorded(8)
    next(BatchLoader(data, 2, PLACE, CPU, shard=Shard(1, 2)).starting_at(0))
    ((indices, draws),) = data.asked
    assert indices == shuffled(8, 0)[2:4]
    assert draws == Randomness(3, ("data", "batch", 0), Shard(1, 2))


def test_batches_go_to_the_device() -> None:
    batch = next(BatchLoader(Recorded(4), 2, PLACE, torch.device("meta")).starting_at(0))
    assert batch["x"].device.type == "meta"


def test_no_examples_are_refused_at_the_data() -> None:
    with pytest.raises(BadInput) as problem:
        BatchLoader(Recorded(0), 2, PLACE, CPU)
    assert problem.value.path == ("data",)


def test_the_list_of_files_is_taken_up_at_the_first_batch_and_told_of_each() -> None:
    class Listed:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def restore(self, batch: int) -> None:
            self.told.append(("restore", batch))

        def add(self, batch: int, unreadable: Sequence[UnreadableFile]) -> None:
            self.told.append((batch, [each.file for each in unreadable]))

    listed: Any = Listed()
    tolerance = UnreadableLimit(5, 1.0)
    data = Recorded(5, lambda indices: [report_unreadable(f"{each}.png", "cut", tolerance) for each in indices])
    list(islice(BatchLoader(data, 2, PLACE, CPU, quarantine=listed).starting_at(2), 2))
    stream = [*shuffled(5, 0), *shuffled(5, 1)]
    assert listed.told == [
        ("restore", 2),
        (2, [f"{each}.png" for each in stream[4:6]]),
        (3, [f"{each}.png" for each in stream[6:8]]),
    ]


def test_what_was_refused_is_listed_before_the_batch_fails(tmp_path: Path) -> None:
    def fail(indices: Sequence[int]) -> None:
        report_unreadable("a.png", "cut", UnreadableLimit(5, 1.0))
        raise ValueError("nothing left")

    batches = BatchLoader(Recorded(5, fail), 2, PLACE, CPU, quarantine=Quarantine(tmp_path / "list.jsonl"))
    with pytest.raises(RunFailed, match="nothing left"):
        next(batches.starting_at(0))
    assert json.loads((tmp_path / "list.jsonl").read_text())["file"] == "a.png"


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True)])
def test_workers_and_pinned_memory_are_asked_for(device: str, pinned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fetched(_source: object, *arguments: object, **options: object) -> Any:
        asked.append((arguments, options))
        yield from ()

    monkeypatch.setattr("ganframe.data.loader.fetch", fetched)
    assert list(BatchLoader(Recorded(5), 2, PLACE, torch.device(device), workers=3).starting_at(4)) == []
    assert asked == [((4, 3), {"pin_memory": pinned})]


@pytest.mark.parametrize("pinned", [False, True])
def test_workers_pin_memory_if_asked(pinned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def loader(_source: object, **options: Any) -> Any:
        return repeat((options["num_workers"], options["pin_memory"]))

    monkeypatch.setattr("ganframe.data.workers.DataLoader", loader)
    assert next(fetch(source(Recorded(5)), 0, 2, pin_memory=pinned)) == (2, pinned)


# Tensors in memory and arrays in files.


def test_examples_in_memory_come_in_the_order_asked_for_images_as_bytes_other_pixels_as_floats() -> None:
    pixels = torch.tensor([[0], [51], [255]], dtype=torch.uint8)
    images = torch.arange(12, dtype=torch.uint8).reshape(3, 1, 2, 2)
    data = TensorData(
        {"image": images, "real": pixels, "label": torch.tensor([5, 6, 7]), "point": torch.tensor([0.5, 51.0, 255.0])}
    )
    assert len(data) == 3
    batch = data.fetch([2, 1, 2, 0], PLACE)
    assert torch.equal(batch["image"], torch.stack([images[2], images[1], images[2], images[0]]))
    torch.testing.assert_close(batch["real"], torch.tensor([[1.0], [-0.6], [1.0], [-1.0]]))
    assert batch["label"].tolist() == [7, 6, 7, 5]
    assert batch["point"].tolist() == [255.0, 51.0, 255.0, 0.5]
    assert pixels.flatten().tolist() == [0, 51, 255]


class AllBytes(TensorData):
    """Images with every value of a byte, and other tensors."""

    def __init__(self) -> None:
        images = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
        super().__init__({"real": images, "label": torch.tensor([3, 2, 1, 0])})

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        return super().fetch(indices, randomness) | {"mask": torch.ones(len(indices), 5, dtype=torch.uint8)}


@pytest.mark.parametrize("workers", [0, 1])
def test_images_travel_as_bytes_and_become_the_floats_that_numpy_computes(workers: int) -> None:
    data = AllBytes()
    travelled = next(fetch(source(data, 4), 0, workers, pin_memory=False)).batch
    assert travelled["real"].dtype == torch.uint8
    batch = next(BatchLoader(data, 4, PLACE, CPU, workers).starting_at(0))
    order = shuffled(4, 0)
    expected = np.arange(256, dtype=np.float32).reshape(4, 1, 8, 8)[order] / np.float32(127.5) - np.float32(1)
    assert batch["real"].numpy().tobytes() == expected.tobytes()
    assert batch["label"].tolist() == [3 - index for index in order]
    assert batch["mask"].dtype == torch.uint8


def test_images_become_floats_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[tuple[str, int]] = []

    def convert(values: Tensor) -> Tensor:
        if values.dtype == torch.uint8:
            converted.append((values.device.type, values.dim()))
        return as_float(values)

    monkeypatch.setattr("ganframe.data.tensor_data.as_float", convert)
    batch = next(BatchLoader(AllBytes(), 2, PLACE, torch.device("meta")).starting_at(0))
    assert converted == [("meta", 4)]
    assert batch["real"].dtype == torch.float32


def test_only_bytes_are_pixels() -> None:
    for kind in (torch.int64, torch.float32, torch.int8):
        values = torch.tensor([0, 100], dtype=kind)
        assert as_float(values) is values


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    np.savez(tmp_path / "some.npz", one=np.arange(4, dtype=np.float32), two=np.ones((2, 2)))
    return tmp_path / "some.npz"


def test_arrays_come_in_the_order_of_their_names(arrays: Path) -> None:
    two, one = read_arrays(arrays, "two", "one")
    assert (one.tolist(), two.tolist()) == ([0, 1, 2, 3], [[1, 1], [1, 1]])


def test_arrays_may_take_the_largest_size_and_no_byte_more(arrays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each has a header of 128 bytes.
    size = (128 + 4 * 4) + (128 + 4 * 8)
    monkeypatch.setattr("ganframe.data.npz_files.LARGEST_ARRAYS", size)
    assert len(read_arrays(arrays, "one")) == 1
    monkeypatch.setattr("ganframe.data.npz_files.LARGEST_ARRAYS", size - 1)
    with pytest.raises(BadInput, match=f"they take {size} bytes") as problem:
        read_arrays(arrays, "one")
    assert problem.value.place == str(arrays)


def test_arrays_count_by_their_size_once_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "zeros.npz"
    np.savez_compressed(file, x=np.zeros(10_000, np.uint8))
    assert file.stat().st_size < 1000
    monkeypatch.setattr("ganframe.data.npz_files.LARGEST_ARRAYS", 1000)
    with pytest.raises(BadInput, match="they take 10,128 bytes"):
        read_arrays(file, "x")
    monkeypatch.setattr("ganframe.data.npz_files.LARGEST_ARRAYS", 10_128)
    assert len(read_arrays(file, "x")[0]) == 10_000


def test_arrays_that_are_missing_or_are_no_numbers_are_refused(arrays: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="three"):
        read_arrays(arrays, "three")
    with pytest.raises(BadInput, match="cannot be read"):
        read_arrays(tmp_path / "none.npz", "one")
    (tmp_path / "text.npz").write_text("nothing")
    with pytest.raises(BadInput, match="cannot be read"):
        read_arrays(tmp_path / "text.npz", "one")
    np.savez_compressed(tmp_path / "damaged.npz", one=np.arange(10_000))
    content = bytearray((tmp_path / "damaged.npz").read_bytes())
    content[400:600] = bytes(200)
    (tmp_path / "damaged.npz").write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read"):
        read_arrays(tmp_path / "damaged.npz", "one")
    np.savez(tmp_path / "objects.npz", one=np.array([{}], dtype=object))
    with pytest.raises(BadInput, match="cannot be read"):
        read_arrays(tmp_path / "objects.npz", "one")


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def in_npz(file: Path, content: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("one.npy", content)
    return file


def changed(file: Path, *, flags: int | None = None, method: int | None = None) -> Path:
    """Write other flags or another compression into the headers of the one member of a zip file."""
    content = bytearray(file.read_bytes())
    for start, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.index(start) + at
        if flags is not None:
            content[place : place + 2] = flags.to_bytes(2, "little")
        if method is not None:
            content[place + 2 : place + 4] = method.to_bytes(2, "little")
    file.write_bytes(content)
    return file


def test_members_of_an_npz_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    numbers = npy(np.arange(1000))
    cases = {
        "'one' is no array of numpy": in_npz(tmp_path / "text.npz", b"no array"),
        "encrypted": changed(in_npz(tmp_path / "encrypted.npz", numbers), flags=1),
        "compression method": changed(in_npz(tmp_path / "method.npz", numbers), method=99),
        r"'one' says that it is int64 \(9000,\)": in_npz(
            tmp_path / "header.npz", numbers.replace(b"(1000,)", b"(9000,)")
        ),
        "format 3": in_npz(tmp_path / "format.npz", numbers[:6] + b"\3" + numbers[7:]),
    }
    damaged = in_npz(tmp_path / "damaged.npz", numbers, zipfile.ZIP_LZMA)
    content = bytearray(damaged.read_bytes())
    content[60:200] = b"\xff" * 140
    damaged.write_bytes(content)
    for message, file in {**cases, "cannot be read": damaged}.items():
        with pytest.raises(BadInput, match=message):
            read_arrays(file, "one")


def test_an_npy_before_a_zip_is_read_as_the_zip_that_it_ends_with(tmp_path: Path) -> None:
    whole = in_npz(tmp_path / "whole.npz", npy(np.arange(3))).read_bytes()
    (tmp_path / "both.npz").write_bytes(npy(np.zeros(4)) + whole)
    assert read_arrays(tmp_path / "both.npz", "one")[0].tolist() == [0, 1, 2]


# Failures of a data set.


def test_what_a_data_set_refuses_is_a_problem_of_the_data_with_what_was_met_before() -> None:
    def fail(indices: Sequence[int]) -> None:
        report_unreadable("a.png", "cut", UnreadableLimit(5, 1.0))
        raise BadInput("gone", path=("path",), place="here")

    batch, unreadable, failure = source(Recorded(5, fail))[0]
    assert batch == {}
    assert [each.file for each in unreadable] == ["a.png"]
    assert isinstance(failure, BadInput)
    assert (failure.message, failure.path, failure.place) == ("gone", ("data", "path"), "here")


def test_a_failure_says_which_batch_which_examples_and_where() -> None:
    def fail(indices: Sequence[int]) -> None:
        report_unreadable("a.png", "cut", UnreadableLimit(5, 1.0))
        raise KeyError

    batch, unreadable, failure = source(Recorded(5, fail))[1]
    first, second = shuffled(5, 0)[2:4]
    assert batch == {}
    assert [each.file for each in unreadable] == ["a.png"]
    assert isinstance(failure, RunFailed)
    line = fail.__code__.co_firstlineno + 2
    assert str(failure) == (
        f"the data set failed at batch 1 of {Recorded.__module__}.Recorded, the examples {first}, {second}: "
        f"KeyError ({__file__}:{line})"
    )
    assert "Traceback" in failure.__notes__[0]


def test_the_words_of_a_failure_follow_its_kind() -> None:
    def fail(indices: Sequence[int]) -> None:
        raise ValueError("no such colour")

    failure = source(Recorded(5, fail))[1].failure
    assert "ValueError: no such colour (" in str(failure)


def test_a_message_names_sixteen_examples_and_counts_the_rest() -> None:
    order = shuffled(20, 0)
    names = ", ".join(map(str, order[:16]))
    assert source(Recorded(20), 16).describe_batch(0).endswith(f"the examples {names}")
    assert source(Recorded(20), 19).describe_batch(0).endswith(f"the examples {names} and 3 more")


def test_a_batch_that_is_whole_has_no_failure() -> None:
    batch, unreadable, failure = source(Recorded(5))[2]
    assert batch["x"].tolist() == [shuffled(5, 0)[4], shuffled(5, 1)[0]]
    assert (unreadable, failure) == ([], None)


# Loader workers.


class OfWorker:
    """Says of the process that fetches what signals find there."""

    def __len__(self) -> int:
        return 5

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return {"x": torch.tensor(indices), "process": torch.tensor([os.getpid(), os.getsid(0), int(deaf)])}


def test_workers_give_the_same_numbers_and_leave_signals_to_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # PyTorch sets its handler for the first workers of a process only.
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    stream = [each for epoch in range(4) for each in shuffled(5, epoch)]
    handler = signal.getsignal(signal.SIGCHLD)
    fetched = fetch(source(OfWorker()), 2, 1, pin_memory=False)
    first, second = next(fetched), next(fetched)
    assert signal.getsignal(signal.SIGCHLD) is handler
    fetched.close()
    assert [each.batch["x"].tolist() for each in (first, second)] == [stream[4:6], stream[6:8]]
    process, session, deaf = first.batch["process"].tolist()
    assert process == session != os.getpid()
    assert deaf == 1
    assert first.batch["x"].is_shared()


def test_without_workers_the_run_fetches_for_itself() -> None:
    fetched = next(fetch(source(OfWorker()), 0, 0, pin_memory=False))
    assert fetched.batch["process"][0] == os.getpid()
    assert not fetched.batch["x"].is_shared()


class Dying(OfWorker):
    """Ends the worker in its third batch."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.end, self.left = end, 2

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        self.left -= 1
        if self.left < 0:
            self.end()
        return super().fetch(indices, randomness)


def leave() -> None:
    os._exit(3)


def be_terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def be_out_of_shared_memory() -> None:
    os.kill(os.getpid(), signal.SIGBUS)


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (leave, "ended with code 3"),
        (be_terminated, "was killed by SIGTERM"),
        (be_killed, "was killed by SIGKILL, as happens when memory runs out"),
        (be_out_of_shared_memory, "was killed by SIGBUS, as happens when the shared memory (/dev/shm) is full"),
    ],
)
def test_a_dead_worker_ends_the_run_with_the_batch_that_was_awaited(
    end: Callable[[], object], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PyTorch looks every five seconds whether its workers live.
    waiting = dataloader._MultiProcessingDataLoaderIter._try_get_data
    monkeypatch.setattr(waiting, "__defaults__", (0.05,))
    first, second = shuffled(5, 0)[2:4]
    fetched = fetch(source(Dying(end)), 1, 1, pin_memory=False)
    got = 0
    with pytest.raises(RunFailed) as problem:
        for _ in fetched:
            got += 1
    # What it had sent may be lost with it.
    assert got <= 2
    number = 1 + got
    message = str(problem.value)
    assert message.startswith("a loader worker died (process ")
    assert f" {how}) while the run waited for batch {number} of {Dying.__module__}.Dying, the examples " in message
    if got == 0:
        assert f"the examples {first}, {second}; " in message


def test_only_workers_of_this_run_are_looked_at_when_one_has_died(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = dataloader._MultiProcessingDataLoaderIter._try_get_data
    monkeypatch.setattr(waiting, "__defaults__", (0.05,))
    other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    other.start()
    fetched = fetch(source(Dying(leave)), 1, 1, pin_memory=False)
    next(fetched)
    other.kill()
    other.join()
    with pytest.raises(RunFailed, match=r"a loader worker died \(process \d+ ended with code 3\)"):
        list(fetched)


def test_a_thread_keeps_its_hands_off_signals() -> None:
    problems: list[Exception] = []

    def load() -> None:
        try:
            with _keep_sigchld_handler():
                pass
        except ValueError as problem:
            problems.append(problem)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert problems == []


# The list of files that cannot be read.


@pytest.mark.parametrize(
    ("files", "share", "most"), [(100, 0.07, 7), (100, 0.29, 29), (3, 0.5, 1), (10, 0.19, 1), (5, 0, 0), (5, 1, 5)]
)
def test_a_share_allows_so_many_files(files: int, share: float, most: int) -> None:
    assert UnreadableLimit(files, share).max_files == most


def test_too_many_files_are_counted_beside_what_is_allowed() -> None:
    problem = UnreadableLimit(2000, 0.5).error(1234, "a.png", place="folder")
    assert problem.message == "1,234 of 2,000 files cannot be read, and `max_unreadable: 0.5` allows 1,000: a.png"
    assert problem.place == "folder"
    assert problem.remedy


def test_refusals_go_to_whoever_collects_them() -> None:
    tolerance = UnreadableLimit(5, 1.0)
    report_unreadable("nobody.png", "cut", tolerance)
    with collect_unreadable() as outer:
        with collect_unreadable() as inner:
            report_unreadable(Path("inner.png"), "cut", tolerance)
        report_unreadable("outer.png", "empty", tolerance)
    report_unreadable("late.png", "cut", tolerance)
    assert inner == [UnreadableFile("inner.png", "cut", tolerance)]
    assert outer == [UnreadableFile("outer.png", "empty", tolerance)]


def test_a_failure_ends_a_collection() -> None:
    tolerance = UnreadableLimit(5, 1.0)
    with collect_unreadable() as outer:
        with pytest.raises(ValueError, match="inside"), collect_unreadable():
            raise ValueError("inside")
        report_unreadable("outer.png", "cut", tolerance)
    assert [each.file for each in outer] == ["outer.png"]


def lines(path: Path) -> list[tuple[str, str, int]]:
    read = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["file"], line["reason"], line["batch"]) for line in read]


def test_a_file_is_listed_once_up_to_what_is_allowed(tmp_path: Path) -> None:
    path, tolerance = tmp_path / "list.jsonl", UnreadableLimit(4, 0.5)
    listed = Quarantine(path)
    listed.restore(0)
    listed.add(0, [])
    assert not path.exists()
    listed.add(3, [UnreadableFile("a", "cut", tolerance), UnreadableFile("a", "again", tolerance)])
    listed.add(4, [UnreadableFile("a", "again", tolerance), UnreadableFile("b", "empty", tolerance)])
    assert lines(path) == [("a", "cut", 3), ("b", "empty", 4)]
    with pytest.raises(BadInput, match=r"3 of 4 files cannot be read.*allows 2: c .late.; .*list.jsonl") as problem:
        listed.add(5, [UnreadableFile("c", "late", tolerance)])
    assert problem.value.path == ("data",)
    assert lines(path)[2] == ("c", "late", 5)


def test_a_list_goes_on_from_a_batch_as_it_was_before_it(tmp_path: Path) -> None:
    path, tolerance = tmp_path / "list.jsonl", UnreadableLimit(4, 0.5)
    first = Quarantine(path)
    first.restore(0)
    first.add(3, [UnreadableFile("a", "cut", tolerance)])
    first.add(4, [UnreadableFile("b", "empty", tolerance)])
    again = Quarantine(path)
    again.restore(4)
    assert lines(path) == [("a", "cut", 3)]
    again.add(5, [UnreadableFile("a", "cut", tolerance), UnreadableFile("b", "empty", tolerance)])
    assert lines(path) == [("a", "cut", 3), ("b", "empty", 5)]
    with pytest.raises(BadInput, match="3 of 4"):
        again.add(6, [UnreadableFile("c", "late", tolerance)])


def test_a_list_can_be_taken_up_again_by_the_same_run(tmp_path: Path) -> None:
    tolerance = UnreadableLimit(4, 0.5)
    listed = Quarantine(tmp_path / "list.jsonl")
    listed.add(3, [UnreadableFile("a", "cut", tolerance), UnreadableFile("b", "empty", tolerance)])
    listed.restore(0)
    assert lines(tmp_path / "list.jsonl") == []
    listed.add(1, [UnreadableFile("b", "empty", tolerance), UnreadableFile("c", "late", tolerance)])
    assert lines(tmp_path / "list.jsonl") == [("b", "empty", 1), ("c", "late", 1)]


def test_full_shared_memory_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, whose /dev/shm has 64 MiB."""

    def full(_tensor: Tensor) -> Tensor:
        raise RuntimeError("unable to write to file </torch_1_2_3>: No space left on device (28)\nmore")

    monkeypatch.setattr("ganframe.data.batch_dataset.get_worker_info", object)
    monkeypatch.setattr(Tensor, "share_memory_", full)
    data = TensorData({"real": torch.zeros(8, 2**18)})
    source = BatchDataset(data, EpochShuffleSampler(8, 4, PLACE, WHOLE_BATCH), PLACE)
    failure = pickle.loads(pickle.dumps(source[0])).failure
    assert isinstance(failure, RunFailed)
    first, second = str(failure).splitlines()
    assert first.startswith("there is no room in shared memory (/dev/shm) for a batch of 4 MiB from a loader worker")
    assert "No space left on device" in first
    assert "--shm-size" in second
    assert "train.workers" in second
