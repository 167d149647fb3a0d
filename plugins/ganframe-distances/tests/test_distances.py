from typing import Any

import pytest
import torch
from ganframe_distances import L1, Cycle, Identity
from torch import Tensor

from ganframe.config import RegularizerConfig
from ganframe.errors import BadInput
from ganframe.objective import RegularizerTerm
from ganframe.testing.stubs import StubGame


def value(config: RegularizerConfig, **tensors: Any) -> float:
    return config.build().forward({name: torch.as_tensor(each) for name, each in tensors.items()}).item()


def images(level: float) -> Tensor:
    return torch.full((2, 3, 4, 4), level)


def test_l1_is_the_mean_absolute_difference():
    assert value(L1(), fake=[[1.0, -2.0], [0.5, 0.0]], target=[[0.0, 2.0], [0.5, 1.0]]) == (1 + 4 + 0 + 1) / 4


def test_cycle_adds_both_domains():
    shifts = {"reconstructed_a": 0.5, "real_a": 0.25, "reconstructed_b": -0.5, "real_b": 0.5}
    assert value(Cycle(), **{name: images(level) for name, level in shifts.items()}) == 0.25 + 1


def test_identity_adds_both_domains():
    shifts = {"identity_a": 0.5, "real_a": 0.25, "identity_b": -0.5, "real_b": 0.5}
    assert value(Identity(), **{name: images(level) for name, level in shifts.items()}) == 0.25 + 1


def test_a_tensor_that_several_pairs_name_is_read_once():
    assert Cycle(pairs=(("x", "z"), ("y", "z"))).tensors() == ("x", "z", "y")


def test_defaults_are_those_of_the_papers():
    assert (L1().weight, Cycle().weight, Identity().weight) == (1, 10, 5)
    assert L1().tensors() == ("fake", "target")
    assert Cycle().tensors() == ("reconstructed_a", "real_a", "reconstructed_b", "real_b")
    assert Identity().tensors() == ("identity_a", "real_a", "identity_b", "real_b")


def test_the_gradient_has_the_same_size_everywhere():
    prediction = torch.tensor([3.0, -0.1, 0.2], requires_grad=True)
    L1().build().forward({"fake": prediction, "target": torch.zeros(3)}).backward()
    torch.testing.assert_close(prediction.grad, torch.tensor([1.0, -1.0, 1.0]) / 3)


def test_tensors_of_other_shapes_are_not_broadcast():
    with pytest.raises(BadInput, match="cannot be compared"):
        value(L1(), fake=images(0.0), target=torch.zeros(2, 1, 4, 4))


def test_a_name_that_the_game_lacks_is_refused_with_those_it_has():
    class Small(StubGame):
        names = ("real", "fake")

    with pytest.raises(BadInput, match=r"reconstructed_a.*\n.*real, fake"):
        RegularizerTerm("cycle", ("regularizers", 0), Cycle()).check(Small())


def shifted(a: float, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """What G(x) = x + a and G'(y) = y - a make of both domains."""
    return {
        "real_a": x,
        "real_b": y,
        "reconstructed_a": (x + a) - a,
        "reconstructed_b": (y - a) + a,
        "identity_b": y + a,
        "identity_a": x - a,
    }


def test_only_identity_removes_a_shift_of_both_generators():
    """Cycle consistency cannot see the shift; the identity loss is 2 |a| and descends to a = 0."""
    x, y = (torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    shift = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([shift], lr=0.01)
    tensors = shifted(shift, x, y)
    assert Cycle().build().forward(tensors).item() == pytest.approx(0, abs=1e-15)
    assert Identity().build().forward(tensors).item() == pytest.approx(1.6)
    for _ in range(60):
        optimizer.zero_grad()
        Identity().build().forward(shifted(shift, x, y)).backward()
        optimizer.step()
    assert abs(shift.item()) <= 0.02 + 1e-9
