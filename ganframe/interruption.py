"""Signals that ask a run to stop: it ends its step and saves before it goes."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from ganframe import distributed
from ganframe.errors import Terminated


class Interruption:
    """While entered, the first SIGINT or SIGTERM is noted; a second one acts at once, as if this were not here.

    Outside of the main thread, which alone may listen to signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        """The signal that came."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        """Begin to listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.asked = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def agree(self) -> None:
        """Let a signal that any process of the run was sent count for all."""
        self.asked = distributed.largest(self.asked or 0) or None

    def go(self) -> None:
        """End the run, where that was asked for.

        Raises:
            KeyboardInterrupt: After SIGINT.
            Terminated: After SIGTERM.
        """
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked is not None:
            raise Terminated("terminated; the run can go on with --resume")
