"""The conformance kit: named checks of what every component of a kind must do.

One line in the tests of a plugin:

    test_conformance = conformance("my_gan")

On the command line: `ganframe plugins check my-gan`.
"""

from ganframe.testing.kit import Check, Result, checks, conformance, run_checks

__all__ = ["Check", "Result", "checks", "conformance", "run_checks"]
