"""Emoji in colour and as line drawings that come with the package: 1,434 to train on, 160 held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from ganframe.config import Component, DatasetConfig, DataSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from ganframe.data import Dataset

IMAGE = TensorSpec((3, 32, 32))


class FluentEmoji(DatasetConfig):
    """Emoji 32 x 32 in colour and as black and white line drawings, as pairs or as two domains.

    Line drawings have three equal channels, so that one network can take either domain.
    """

    paper = "Microsoft Fluent Emoji, https://github.com/microsoft/fluentui-emoji"
    type: Literal["fluent-emoji"] = "fluent-emoji"
    paired: bool = True
    """Give pairs: `source` (line drawing) and `target` (the same emoji in colour). When false, give two domains:
    `real_a` (line drawings of every second emoji) and `real_b` (the rest in colour, drawn at random). No emoji is in
    both domains."""
    split: Literal["train", "held-out"] = "train"
    """The 1,434 emoji to train on, or the 160 held out."""

    def spec(self) -> DataSpec:
        """Return the specs of `source` and `target`, or of `real_a` and `real_b`; each 3 x 32 x 32."""
        return dict.fromkeys(("source", "target") if self.paired else ("real_a", "real_b"), IMAGE)

    @override
    def build(self) -> Dataset:
        from ganframe_fluent_emoji.dataset import load

        return load(self)

    @override
    def held_out(self) -> DatasetConfig | None:
        return FluentEmoji(paired=self.paired, split="held-out") if self.split == "train" else None


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data set."""
    register(FluentEmoji)
