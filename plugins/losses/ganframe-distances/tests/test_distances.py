from typing import Any

import pytest
import torch
from ganframe_distances import L1, L2, SSIM, Cycle, Identity, LatentReconstruction
from pydantic import ValidationError
from torch import Tensor

from ganframe.config import BadInput, RegularizerConfig
from ganframe.game.regularizer_term import RegularizerTerm
from ganframe.testing.fakes import FakeGame


def value(config: RegularizerConfig, **tensors: Any) -> float:
    return config.build().forward({name: torch.as_tensor(values) for name, values in tensors.items()}).item()


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
    class Small(FakeGame):
        names = ("real", "fake")

    with pytest.raises(BadInput, match=r"reconstructed_a.*\n.*real, fake"):
        RegularizerTerm("cycle", ("regularizers", 0), Cycle()).check(Small())


def shifted(a: float, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return the tensors of both domains for G(x) = x + a and G'(y) = y - a."""
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


@pytest.mark.parametrize("offset", [-0.35, 1.7])
def test_the_identity_loss_of_another_shift_is_twice_its_size(offset: float):
    x, y = torch.zeros(3, 2), torch.ones(3, 2)
    tensors = shifted(offset, x, y)
    assert Cycle().build().forward(tensors).item() == pytest.approx(0, abs=1e-6)
    assert Identity().build().forward(tensors).item() == pytest.approx(2 * abs(offset))


def test_l2_is_the_mean_squared_difference():
    assert value(L2(), fake=[[1.0, -2.0], [0.5, 0.0]], target=[[0.0, 2.0], [0.5, 1.0]]) == (1 + 16 + 0 + 1) / 4
    assert value(L2(), fake=images(-0.5), target=images(0.75)) == pytest.approx(1.25**2)


def test_the_gradient_of_l2_is_twice_the_difference():
    prediction = torch.tensor([3.0, -0.1, 0.2], requires_grad=True)
    L2().build().forward({"fake": prediction, "target": torch.zeros(3)}).backward()
    torch.testing.assert_close(prediction.grad, 2 * torch.tensor([3.0, -0.1, 0.2]) / 3)


def test_of_two_values_l1_is_best_anywhere_between_and_l2_at_their_mean():
    """For targets 0 and 1 under one prediction: why L2 blurs and L1 need not."""
    target = torch.tensor([0.0, 1.0])
    for guess, l1, l2 in ((0.5, 0.5, 0.25), (0.2, 0.5, (0.04 + 0.64) / 2)):
        fake = torch.full((2,), guess)
        assert value(L1(), fake=fake, target=target) == pytest.approx(l1)
        assert value(L2(), fake=fake, target=target) == pytest.approx(l2)


@pytest.mark.parametrize(("norm", "expected"), [("l1", (0.5 + 2 + 0) / 3), ("l2", (0.25 + 4 + 0) / 3)])
def test_latent_reconstruction_by_hand(norm: str, expected: float):
    tensors = {"latent": [[1.0, -1.0, 0.3]], "reconstructed_latent": [[0.5, 1.0, 0.3]]}
    assert value(LatentReconstruction(norm=norm), **tensors) == pytest.approx(expected)


def test_latent_reconstruction_teaches_generator_and_encoder():
    """G(z) = g z and E(x) = e x reconstruct z where e g = 1; the gradient of (e g - 1)^2 z^2 reaches both."""
    latent = torch.tensor([[2.0], [1.0]])
    g, e = (torch.tensor(factor, requires_grad=True) for factor in (3.0, 0.5))
    term = LatentReconstruction(norm="l2").build()
    term.forward({"latent": latent, "reconstructed_latent": e * (g * latent)}).backward()
    mean_square = 2.5
    assert g.grad.item() == pytest.approx(2 * (1.5 - 1) * 0.5 * mean_square)
    assert e.grad.item() == pytest.approx(2 * (1.5 - 1) * 3 * mean_square)


def test_latents_of_other_names_are_read():
    config = LatentReconstruction(latent="code", reconstruction="found")
    assert set(config.tensors()) == {"code", "found"}
    assert value(config, code=[1.0], found=[4.0]) == 3


@pytest.mark.parametrize("config", [L1(), L2(), LatentReconstruction(latent="fake", reconstruction="target")])
def test_gradients_agree_with_finite_differences(config: RegularizerConfig):
    torch.manual_seed(0)
    a, b = (torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: config.build().forward({"fake": a, "target": b}), (a, b))


@pytest.mark.parametrize("config", [L1(), L2(), SSIM()])
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_large_values_stay_finite(config: RegularizerConfig, dtype: torch.dtype, size: float):
    torch.manual_seed(0)
    prediction = (torch.randn(2, 3, 12, 12).sign() * size).to(dtype).requires_grad_()
    found = config.build().forward({"fake": prediction, "target": torch.rand(2, 3, 12, 12).to(dtype)})
    found.backward()
    assert bool(found.isfinite())
    assert bool(prediction.grad.isfinite().all())


def test_invalid_settings_are_refused():
    for settings in ({"window": 10}, {"window": 0}, {"sigma": 0}, {"data_range": 0}, {"k1": 0}, {"k2": -1}):
        with pytest.raises(ValidationError):
            SSIM(**settings)
    with pytest.raises(ValidationError):
        LatentReconstruction(norm="l3")
