"""Turn SIGINT, SIGTERM and SIGHUP that come outside of a training run into exceptions that end a command."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator
from typing import NoReturn

from ganframe.distributed.stop_signals import stop_signals
from ganframe.errors import Interrupted, RunFailed, Terminated


class SignalReceived(BaseException):
    """A signal that came outside a training run. It is no `Exception`, so that no plugin catches it by accident."""

    def __init__(self, problem: RunFailed) -> None:
        self.problem = problem


@contextlib.contextmanager
def raise_on_signals() -> Generator[None, None, None]:
    """Raise `SignalReceived` on SIGINT, SIGTERM or SIGHUP inside the `with` block, so that clean-up code still runs.

    Only the main thread can handle signals; in any other thread, this does nothing.
    """

    def raise_received(number: int, _frame: object) -> NoReturn:
        raise SignalReceived(Interrupted("interrupted") if number == signal.SIGINT else Terminated("terminated"))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, raise_received) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
