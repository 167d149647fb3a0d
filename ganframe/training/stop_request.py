"""Signals that ask a run to stop: it ends its step and saves before it goes."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, NoReturn

from ganframe.distributed.collectives import max_over_ranks
from ganframe.errors import Terminated


class EvaluationAborted(Exception):
    """An evaluation was ended because the run was asked to stop."""


class StopRequest:
    """While entered, the first SIGINT or SIGTERM is noted; a second one acts at once.

    Outside of the main thread, which alone may listen to signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        """The signal that came to this process, or of which another one told it."""
        self.at_once = False
        """Whether a second one came."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        """Begin to listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is not None:
            self.at_once = True
            _end(number)
        self.asked = number

    def is_asked(self) -> bool:
        """Whether any process of the run was asked to stop; each of them has to call this at the same time."""
        agreed = max_over_ranks(self.asked or 0)
        self.asked = self.asked or agreed or None
        return agreed > 0

    def abort_evaluation(self) -> None:
        """End an evaluation that is under way when the run was asked to stop; see `is_asked`.

        Raises:
            EvaluationAborted: When it was asked.
        """
        if self.is_asked():
            raise EvaluationAborted

    def stop(self) -> None:
        """End the run if that was asked for.

        Raises:
            KeyboardInterrupt: After SIGINT.
            Terminated: After SIGTERM.
        """
        if self.asked is not None:
            _end(self.asked)


def _end(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated("terminated; the run can go on with --resume")
