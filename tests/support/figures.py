"""Figures that the proofs of what is promised measure."""

from __future__ import annotations


class Figures:
    """The figures that the tests of one module measured.

    Args:
        values: The figures so far, by what they say: "runs killed, all of them resumed bit for bit".
    """

    def __init__(self, values: dict[str, float]) -> None:
        self._values = values

    def count(self, what: str, times: int = 1) -> None:
        """Add to a number of cases; to be called once they have passed."""
        self._values[what] = self._values.get(what, 0) + times

    def worst(self, what: str, value: float) -> None:
        """Keep the largest value that was seen."""
        self._values[what] = max(self._values.get(what, value), value)
