"""The settings of data sets that hold a share of their own examples out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from ganframe.config.component_kinds import DatasetConfig
from ganframe.errors import BadInput

OTHER_SPLIT = {"train": "held out, to measure with", "held-out": "to train on"}
"""The reason of the examples that are not in a split, by its name."""


class SplitDatasetConfig(DatasetConfig):
    """A data set of named examples, a share of which is held out by a hash of their names."""

    held_out_share: float = Field(default=0, ge=0, lt=1)
    """Share of the examples that are held out: they are never trained on, and metrics compare samples with them. A hash
    of an example's name without the suffix decides, so that added files leave the others where they are."""
    split: Literal["train", "held-out"] = "train"
    """The examples to train on, or those that `held_out_share` holds out."""

    @model_validator(mode="after")
    def _something_is_held_out(self) -> Self:
        if self.split == "held-out" and self.held_out_share == 0:
            raise ValueError("`split: held-out` needs a `held_out_share` above 0")
        return self

    @override
    def held_out(self) -> DatasetConfig | None:
        if self.held_out_share == 0 or self.split == "held-out":
            return None
        return self.model_copy(update={"split": "held-out"})

    def holds_out(self, name: str) -> bool:
        """Return whether the example of this name is held out; a suffix does not count."""
        return _is_held_out(name, self.held_out_share)

    def in_split(self, names: Sequence[str]) -> list[int]:
        """Return the indices of the examples of these names that are in `split`, in order.

        Args:
            names: The name of each example; a suffix does not count.

        Raises:
            BadInput: When no example is trained on, or none is held out although `held_out_share` is above 0.
        """
        if self.held_out_share == 0:
            return [*range(len(names))]
        held_out = [*map(self.holds_out, names)]
        if len(set(held_out)) < 2:
            part = "holds all of the" if all(held_out) else "holds none of the"
            raise BadInput(
                f"{part} {len(names):,} examples out", path=("held_out_share",), remedy="Choose another share."
            )
        return [index for index, held in enumerate(held_out) if held == (self.split == "held-out")]


def escaped(name: str) -> str:
    """Return the name of a file as text that can be written in JSON; bytes that are not UTF-8 become escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_held_out(name: str, share: float) -> bool:
    """Return whether the hash of a name without its suffix, as a number in [0, 1), is below the share."""
    text = escaped(PurePosixPath(name).with_suffix("").as_posix())
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
