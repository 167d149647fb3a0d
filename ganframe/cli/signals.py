"""SIGINT and SIGTERM outside of a run: they end a command as exceptions do."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator
from typing import NoReturn

from ganframe.errors import Interrupted, RunFailed, Terminated


class Signalled(BaseException):
    """A signal that came while no run was under way; no plugin's `except Exception` can hold it up."""

    def __init__(self, problem: RunFailed) -> None:
        self.problem = problem


@contextlib.contextmanager
def signals_raise() -> Generator[None, None, None]:
    """Let SIGINT and SIGTERM end what is inside as an exception, so that it is cleaned up and reported."""

    def end(number: int, _frame: object) -> NoReturn:
        raise Signalled(Interrupted("interrupted") if number == signal.SIGINT else Terminated("terminated"))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
