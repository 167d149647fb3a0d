"""Event files, written synchronously: TensorBoard's own writer has a thread, which ends silently on a full disk."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.summary.writer.record_writer import RecordWriter

from ganframe import writing


class EventFile:
    """A file of events that TensorBoard can read while it is written.

    Args:
        folder: The folder of the file. It is created if missing, but its parents are not.
        purge_step: From this step on, readers ignore the events of older files.

    Raises:
        RunFailed: When the file system refuses the file.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        # Files of a folder are read in the order of their names, which therefore contain the time.
        self.path = folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        with writing(self.path):
            folder.mkdir(exist_ok=True)
            self._file = self.path.open("xb", buffering=0)
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(session_log=SessionLog(status=SessionLog.START), step=purge_step))

    def add(self, summary: Summary, step: int) -> None:
        """Write the summary of a step.

        Raises:
            RunFailed: When the file system refuses it.
        """
        self._write(Event(summary=summary, step=step))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with writing(self.path):
            self._records.write(event.SerializeToString())
