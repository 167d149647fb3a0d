"""DINOv2 and CLIP from local folders as encoders, through the package transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from ganframe.config import Component, EncoderConfig, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Dinov2(EncoderConfig):
    """DINOv2 from a local folder; its activation is the normalised output of the class token, `(B, D)`.

    Nothing is downloaded, no code of the folder runs, and weights are read from safetensors alone.
    """

    paper = "Oquab et al. 2024, arXiv:2304.07193"
    type: Literal["dinov2"] = "dinov2"
    path: Path
    """The folder, with `config.json`, `preprocessor_config.json` and the weights as safetensors."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        from ganframe_transformers.tiny_models import write_dinov2

        return {"path": write_dinov2(folder / "dinov2")}

    @override
    def build(self) -> nn.Module:
        from ganframe_transformers.network import load

        return load("dinov2", self.path)


class Clip(EncoderConfig):
    """The image half of CLIP from a local folder; its activation is the projected image embedding, `(B, D)`.

    Embeddings are not normalised. Nothing is downloaded, no code of the folder runs, and weights are read from
    safetensors alone.
    """

    paper = "Radford et al. 2021, arXiv:2103.00020, section 2"
    type: Literal["clip"] = "clip"
    path: Path
    """The folder, with `config.json`, `preprocessor_config.json` and the weights as safetensors."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        from ganframe_transformers.tiny_models import write_clip

        return {"path": write_clip(folder / "clip")}

    @override
    def build(self) -> nn.Module:
        from ganframe_transformers.network import load

        return load("clip", self.path)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both encoders."""
    register(Dinov2)
    register(Clip)
