"""Signals that ask a run to stop. The run first completes its step and saves a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, NoReturn

from ganframe.distributed.collectives import max_over_ranks
from ganframe.distributed.stop_signals import stop_signals
from ganframe.errors import Terminated


class EvaluationAborted(Exception):
    """The error that ends an evaluation when the run was asked to stop."""


class StopRequest:
    """A context that records the first SIGINT, SIGTERM or SIGHUP. A second signal ends the run at once.

    A SIGHUP never counts as the second signal: when a terminal is closed, both the kernel and the shell may send one.
    Only the main thread can handle signals; in any other thread nothing is recorded.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        """The number of the signal that this or another process of the run has received; None if there was none."""
        self.at_once = False
        """Whether this process has received a second signal."""
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        """Install the signal handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in stop_signals():
                self._handlers[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the signal handlers."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is None:
            self.asked = number
        elif number != signal.SIGHUP:
            self.at_once = True
            _end(number)

    def is_asked(self) -> bool:
        """Return whether any process of the run was asked to stop; all processes must call this at the same point."""
        agreed = max_over_ranks(self.asked or 0)
        self.asked = self.asked or agreed or None
        return agreed > 0

    def is_asked_or(self, wish: bool) -> bool:
        """Return whether any process was asked to stop or passes True; all must call this at the same point."""
        # Signal numbers start at 1, so one exchange answers both questions.
        agreed = max_over_ranks(2 * (self.asked or 0) + wish)
        self.asked = self.asked or agreed // 2 or None
        return agreed > 0

    def abort_evaluation(self) -> None:
        """End an evaluation if the run was asked to stop; all processes must call this at the same point.

        Raises:
            EvaluationAborted: When the run was asked to stop.
        """
        if self.is_asked():
            raise EvaluationAborted

    def stop(self) -> None:
        """End the run if it was asked to stop.

        Raises:
            KeyboardInterrupt: After SIGINT.
            Terminated: After SIGTERM or SIGHUP.
        """
        if self.asked is not None:
            _end(self.asked)


def _end(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated("terminated; the run can go on with --resume")
