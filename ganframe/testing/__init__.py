"""The conformance kit: what every component of a kind must do, checked by name.

In the tests of a plugin, one line:

    test_conformance = conformance("my_gan")

From outside: `ganframe plugins check my-gan`.
"""

from ganframe.testing.kit import Check, Result, checks, conformance, run_checks

__all__ = ["Check", "Result", "checks", "conformance", "run_checks"]
