"""Data set of packed images: decoded and resized once by `ganframe data pack`, then read by a memory map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from ganframe.config import Component, DataSpec, SplitDatasetConfig, hookimpl, within

if TYPE_CHECKING:
    from ganframe.data import Dataset


class Packed(SplitDatasetConfig):
    """Images that `ganframe data pack` has decoded and resized, with their labels if there are any."""

    type: Literal["packed"] = "packed"
    path: Path
    """The folder that `ganframe data pack` wrote, absolute or relative to the working directory."""
    flip: bool = False
    """Mirror each example left to right with probability 1/2; all images of an example alike."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        """Pack a few images for the conformance kit, and return the settings that read them."""
        import torch

        from ganframe.config import TensorSpec
        from ganframe.data import TensorData, pack

        images = torch.arange(3 * 3 * 4 * 5, dtype=torch.uint8).reshape(3, 3, 4, 5)
        data = TensorData({"real": images, "label": torch.tensor([0, 1, 0])})
        pack(data, {"real": TensorSpec((3, 4, 5)), "label": TensorSpec((), 2)}, folder / "packed", data="example")
        return {"path": folder / "packed"}

    def spec(self) -> DataSpec:
        """Return the specs of the tensors that were packed."""
        from ganframe.data import PackedFolder

        with within("path"):
            return PackedFolder(self.path).specs

    @override
    def build(self) -> Dataset:
        from ganframe_packed.dataset import open_packed

        return open_packed(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data set."""
    register(Packed)
