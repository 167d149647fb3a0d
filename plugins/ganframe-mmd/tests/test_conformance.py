"""The conformance kit over everything that the package registers."""

from functools import partial

from ganframe.testing import kit

SYMMETRIC = "the MMD compares sets: it knows no direction in which reals lie, and has slope 0 where the sets are equal"

conformance = partial(
    kit.conformance,
    expected_failures={
        "loss mmd-critic: the discriminator pulls reals and fakes apart": SYMMETRIC,
        "loss mmd-critic: the generator raises fake logits": SYMMETRIC,
    },
)
test_conformance = conformance("ganframe_mmd")
