"""Requests to stop: signals, and what the ranks of a run agree on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from ranks import pretend_ranks

from ganframe.errors import Terminated
from ganframe.training.stop_request import EvaluationAborted, StopRequest


@pytest.fixture(autouse=True)
def harmless() -> Iterator[None]:
    """Let a signal that is not recorded do nothing."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def in_a_thread(call: Callable[[], object]) -> list[object]:
    found: list[object] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as problem:
            found.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found


def test_signals_are_recorded_while_entered_only() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, raised in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)):
        with StopRequest() as request:
            request.stop()
            assert not request.is_asked()
            signal.raise_signal(number)
            assert request.is_asked()
            with pytest.raises(EvaluationAborted):
                request.abort_evaluation()
            assert (request.asked, request.at_once) == (number, False)
            with pytest.raises(raised):
                request.stop()
        assert {number: signal.getsignal(number) for number in handlers} == handlers


@pytest.mark.parametrize(
    ("first", "second", "raised"),
    [(signal.SIGINT, signal.SIGTERM, Terminated), (signal.SIGTERM, signal.SIGINT, KeyboardInterrupt)],
)
def test_a_second_signal_acts_at_once(first: int, second: int, raised: type[BaseException]) -> None:
    with StopRequest() as request:
        signal.raise_signal(first)
        with pytest.raises(raised):
            signal.raise_signal(second)
    assert request.at_once


def test_a_run_in_a_thread_records_nothing() -> None:
    def enter() -> object:
        with StopRequest() as request:
            return request.is_asked()

    assert in_a_thread(enter) == [False]


def test_all_ranks_stop_when_one_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    came = [0]
    sent = pretend_ranks(monkeypatch, 1, 2, lambda _values: torch.tensor(came[0]))
    request = StopRequest()
    request.abort_evaluation()
    assert request.asked is None
    came[0] = int(signal.SIGTERM)
    with pytest.raises(EvaluationAborted):
        request.abort_evaluation()
    with pytest.raises(Terminated):
        request.stop()
    came[0] = 0
    request.asked = signal.SIGINT
    assert request.is_asked()
    assert [int(each) for each in sent] == [0, 0, signal.SIGINT]


def test_one_exchange_tells_all_ranks_who_was_asked_or_has_a_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rank gives `came`: twice the number of a signal, and one more for a wish."""
    came = [0]
    sent = pretend_ranks(monkeypatch, 1, 2, lambda _values: torch.tensor(came[0]))
    request = StopRequest()
    assert not request.is_asked_or(False)
    came[0] = 1
    assert request.is_asked_or(False)
    assert request.asked is None
    came[0] = 2 * int(signal.SIGTERM)
    assert request.is_asked_or(True)
    assert request.asked == signal.SIGTERM
    assert [int(each) for each in sent] == [0, 0, 1]


def test_a_dropped_terminal_acts_as_sigterm_and_twice_is_once() -> None:
    """The kernel and the shell may both send SIGHUP; any other signal after it ends the run at once."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        with StopRequest() as request:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)
            assert (request.asked, request.at_once) == (signal.SIGHUP, False)
            with pytest.raises(Terminated):
                request.stop()
            with pytest.raises(Terminated):
                signal.raise_signal(signal.SIGTERM)
        with StopRequest() as request:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            assert (request.asked, request.at_once) == (signal.SIGTERM, False)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sighup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as request:
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
            assert request.asked is None
    finally:
        signal.signal(signal.SIGHUP, before)
