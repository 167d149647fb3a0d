"""The scalars of a step, from given terms and gradients."""

from __future__ import annotations

import pytest
import torch
from ranks import pretend_rank
from torch import nn

from ganframe.errors import NotFinite
from ganframe.training.step_metrics import StepMetrics


def parameter(slope: float | None) -> nn.Parameter:
    made = nn.Parameter(torch.tensor(0.0))
    made.grad = None if slope is None else torch.tensor(slope)
    return made


def test_terms_are_means_over_rounds_and_gradients_have_one_norm_a_turn() -> None:
    metrics = StepMetrics()
    metrics.add_turn(
        "a",
        [{"x": torch.tensor(1.0), "y": torch.tensor(6.0)}, {"x": torch.tensor(4.0)}],
        {"p": [parameter(2.0), parameter(-3.0)], "q": [parameter(6.0), parameter(None)]},
    )
    metrics.add_turn("b", [{"x": torch.tensor(9.0)}], {"q": [parameter(5.0)]})
    metrics.add_updated([torch.tensor([8.0, 8.0])])
    metrics.add_reported({"z": torch.tensor(7.0)})
    found = metrics.to_floats()
    assert found == {"a/gradient norm": 7.0, "a/x": 2.5, "a/y": 3.0, "b/gradient norm": 5.0, "b/x": 9.0, "z": 7.0}
    assert metrics.updated_is_finite


def test_of_a_turn_taken_twice_the_last_is_read() -> None:
    metrics = StepMetrics()
    for value in (1.0, 2.0):
        metrics.add_turn("a", [{"x": torch.tensor(value)}], {"p": [parameter(10 * value)]})
    assert metrics.to_floats() == {"a/gradient norm": 20.0, "a/x": 2.0}


def test_what_is_taken_is_what_it_was_then() -> None:
    metrics = StepMetrics()
    trained = parameter(3.0)
    assert trained.grad is not None
    metrics.add_turn("a", [{"x": torch.tensor(1.0, requires_grad=True) * 2}], {"p": [trained]})
    trained.grad.zero_()
    assert metrics.to_floats() == {"a/gradient norm": 3.0, "a/x": 2.0}


def test_the_terms_and_players_that_are_not_finite_are_named() -> None:
    metrics = StepMetrics()
    metrics.add_turn("fine", [{"x": torch.tensor(1.0)}], {"p": [parameter(1.0)]})
    bad = torch.tensor(torch.nan)
    metrics.add_turn(
        "spoilt",
        [{"x": torch.tensor(1.0), "y": bad}, {"x": torch.tensor(1.0), "y": bad}],
        {"p": [parameter(1.0)], "q": [parameter(torch.inf), parameter(torch.nan)]},
    )
    message = "turn 'spoilt': not finite: the term 'y'; the gradient of the player 'q'"
    with pytest.raises(NotFinite) as problem:
        metrics.to_floats()
    assert str(problem.value) == message


def test_infinities_of_both_signs_do_not_cancel() -> None:
    metrics = StepMetrics()
    metrics.add_turn("a", [{"x": torch.tensor(torch.inf), "y": torch.tensor(-torch.inf)}], {})
    with pytest.raises(NotFinite, match="turn 'a': not finite: the term 'x'; the term 'y'"):
        metrics.to_floats()


def test_what_was_updated_and_what_hooks_report_may_be_infinite_without_an_error_here() -> None:
    updated, reported = StepMetrics(), StepMetrics()
    for each in (updated, reported):
        each.add_turn("a", [{"x": torch.tensor(1.0)}], {"p": [parameter(2.0)]})
    updated.add_updated([torch.tensor([1.0]), torch.tensor([torch.inf, 0.0])])
    assert updated.to_floats() == {"a/gradient norm": 2.0, "a/x": 1.0}
    assert not updated.updated_is_finite
    reported.add_updated([torch.tensor([1.0])])
    reported.add_reported({"z": torch.tensor(torch.inf)})
    assert reported.to_floats() == {"a/gradient norm": 2.0, "a/x": 1.0, "z": torch.inf}
    assert reported.updated_is_finite


def test_norms_of_sharded_tensors_are_those_of_the_full_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.training.step_metrics.full_tensor", lambda norm: norm * 3)
    metrics = StepMetrics()
    metrics.add_turn("a", [{"x": torch.tensor(4.0)}], {"p": [parameter(2.0)]})
    assert metrics.to_floats() == {"a/gradient norm": 6.0, "a/x": 4.0}
    monkeypatch.setattr("ganframe.training.step_metrics.full_tensor", lambda norm: norm * torch.inf)
    metrics = StepMetrics()
    metrics.add_updated([torch.tensor([1.0])])
    metrics.to_floats()
    assert not metrics.updated_is_finite


def test_the_numbers_of_several_ranks_are_means_over_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_rank(monkeypatch, 0, 2)
    monkeypatch.setattr("ganframe.distributed.collectives.sum_over_ranks", lambda values: values + 10)
    metrics = StepMetrics()
    metrics.add_turn("a", [{"x": torch.tensor(4.0)}], {"p": [parameter(2.0)]})
    metrics.add_reported({"z": torch.tensor(6.0)})
    assert metrics.to_floats() == {"a/gradient norm": 6.0, "a/x": 7.0, "z": 8.0}
    assert StepMetrics().to_floats() == {}
