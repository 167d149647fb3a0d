"""The kit plays with a stand-in generator that has no density; here it gets one."""

import pytest
from torch import Tensor

from ganframe.testing import stubs


def log_prob(self: stubs._Generator, sample: Tensor, condition: Tensor | None = None) -> Tensor:
    """Of N(the layer's bias, 1), up to a constant."""
    return -(sample.flatten(1) - self.layer.bias).square().sum(1) / 2


@pytest.fixture(autouse=True)
def density(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stubs._Generator, "log_prob", log_prob, raising=False)
    monkeypatch.setattr(stubs.StubGenerator, "gives", frozenset({"log_prob"}))
