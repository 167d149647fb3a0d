"""bias_act: the shared checks, and its values against closed forms."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from ganframe_kernels.bias_act import ACTIVATIONS, bias_act
from ganframe_kernels.testing import Case, assert_compiles_ahead, checks

CASES = [
    Case(
        "lrelu",
        partial(bias_act, act="lrelu", clamp=1.5),
        shapes={"x": (2, 3, 5, 2), "b": (3,)},
        large={"x": (32, 128, 256, 256), "b": (128,)},
    ),
    Case(
        "swish",
        partial(bias_act, act="swish", clamp=1.0),
        shapes={"x": (2, 3, 5, 2), "b": (3,)},
        large={"x": (32, 128, 256, 256), "b": (128,)},
    ),
    Case("linear", partial(bias_act, gain=-2), shapes={"x": (3, 7)}, large={"x": (32, 512)}),
]


@pytest.mark.parametrize("check", checks(CASES), ids=lambda check: check.__name__)
def test_check(check):
    check()


def test_compiles_ahead():
    assert_compiles_ahead(__file__)
