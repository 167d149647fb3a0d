"""The hooks of a run: who is refused, and what becomes of a hook that fails."""

from __future__ import annotations

import pluggy
import pytest

from ganframe import BadInput, RunFailed, hookimpl
from ganframe.training.plugin_hooks import RunHooks


class Fails:
    def __init__(self, problem: Exception) -> None:
        self.problem = problem

    @hookimpl
    def on_step_end(self, step: int) -> None:
        raise self.problem


class Hears:
    def __init__(self) -> None:
        self.heard = list[object]()

    @hookimpl
    def on_step_end(self, scalars: object, step: int) -> None:
        self.heard.append((step, scalars))


def test_a_hook_is_given_what_it_names() -> None:
    hears = Hears()
    RunHooks(hears).call("on_step_end", run="run", step=3, scalars="scalars")
    assert hears.heard == [(3, "scalars")]


@pytest.mark.parametrize("problem", [BadInput("no such colour"), RunFailed("the disk is full")])
def test_a_hook_may_end_the_run_for_a_reason_of_its_own(problem: Exception) -> None:
    hears = Hears()
    with pytest.raises(type(problem)) as raised:
        RunHooks(hears, Fails(problem)).call("on_step_end", run=None, step=1, scalars={})
    assert raised.value is problem
    assert hears.heard == []


def test_any_other_failure_names_the_object_and_the_hook() -> None:
    problem = ValueError("no such colour")
    with pytest.raises(RunFailed) as raised:
        RunHooks(Hears(), Fails(problem), Hears()).call("on_step_end", run=None, step=1, scalars={})
    assert str(raised.value).startswith("plugin 'Fails' failed in on_step_end: ")
    assert "no such colour" in str(raised.value)
    assert raised.value.__cause__ is problem


class Misspelt:
    @hookimpl
    def on_stop_end(self) -> None:
        """Be a hook that there is not."""


class WrapsAsBefore:
    @pluggy.HookimplMarker("ganframe")(hookwrapper=True)
    def on_step_end(self):
        yield


class Wraps:
    @pluggy.HookimplMarker("ganframe")(wrapper=True)
    def on_step_end(self):
        return (yield)


@pytest.mark.parametrize(
    ("listener", "message"),
    [
        (Misspelt(), "Misspelt: unknown hook 'on_stop_end'"),
        (WrapsAsBefore(), "plugin 'WrapsAsBefore' wraps the hook on_step_end, which runs do not support"),
        (Wraps(), "plugin 'Wraps' wraps the hook on_step_end, which runs do not support"),
    ],
)
def test_a_hook_that_there_is_not_or_that_wraps_is_refused(listener: object, message: str) -> None:
    with pytest.raises(BadInput) as problem:
        RunHooks(Hears(), listener)
    assert problem.value.message == message
