"""Settings for the weights of players: which come from another run or a file, and which do not train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, PositiveInt, model_validator

from ganframe.config.settings import RunLength, Settings


class WeightSource(Settings):
    """The source of weights for a player, or for a part of one: either another run or a file."""

    run: Path | None = None
    """The folder of a run, whose latest checkpoint is read."""
    player: str | None = None
    """Name of a player of that run, or of a part of one: `generator.trunk`. If left out, the name of the player or part
    that gets the weights."""
    averages: bool = True
    """Read the averaged weights (EMA) if the run has them. If false, always read the trained weights themselves."""
    file: Path | None = None
    """A file of weights in the safetensors format."""
    prefix: str | None = None
    """Prefix of names in the file, such as `generator.trunk`. Only tensors with this prefix are read, and it is cut
    from their names. If left out, the whole file is read."""

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.run is None) == (self.file is None):
            raise ValueError("weights come from one `run` or one `file`")
        if self.file is None and self.prefix is not None:
            raise ValueError("`prefix` is for a file; the part of a run is its `player`")
        if self.run is None and (self.player is not None or not self.averages):
            raise ValueError("`player` and `averages` are for a run; the part of a file is its `prefix`")
        return self

    def describe(self) -> str:
        """Return the source in a few words: `runs/first (generator.trunk)`."""
        part = self.player if self.file is None else self.prefix
        return f"{self.run or self.file} ({part})" if part else str(self.run or self.file)


class Freeze(Settings):
    """A player, or a part of one, whose weights do not train."""

    part: str
    """The name of a player, or of a player and a module of its network: `discriminator.blocks.0`."""
    until_images: PositiveInt | None = None
    """Number of real examples seen when the part begins to train. If left out, it never trains."""

    def idle(self, length: RunLength) -> Mapping[str, str]:
        """Return the setting `until_images`, with the reason, if the part never begins to train."""
        if self.until_images is None or self.until_images < length.images:
            return {}
        return {"until_images": f"lies beyond the end of the run, {length.images:,}, so the part never trains"}


def _from_name(value: object) -> object:
    return {"part": value} if isinstance(value, str) else value


FreezeOrName = Annotated[Freeze, BeforeValidator(_from_name, json_schema_input_type=str | Freeze)]
"""A part that does not train, as a `Freeze` or as a name alone, for a part that never trains."""
