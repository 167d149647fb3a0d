"""The conformance kit: named checks that every component of a kind must pass.

One line in the tests of a plugin runs them:

    test_conformance = conformance("my_gan")

On the command line, `ganframe plugins check my-gan` runs them.
"""

from ganframe.testing.kit import Check, Result, checks, conformance, run_checks

__all__ = ["Check", "Result", "checks", "conformance", "run_checks"]
