"""The Inception-v3 with which the Frechet inception distance is measured, as an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from ganframe.config import Component, EncoderConfig, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

Layer = Literal["pool", "logits_unbiased", "logits"]
"""An activation that the encoder can return, from the input side."""


class Inception(EncoderConfig):
    """The Inception-v3 of the Frechet inception distance (FID), with weights from a safetensors file.

    Images are resized to 299 x 299 by the rule of TensorFlow 1. An activation is `(B, 2048)` for `pool`, and
    `(B, 1008)` for the logits.
    """

    paper = "Szegedy et al. 2016, arXiv:1512.00567; as used by Heusel et al. 2017, arXiv:1706.08500"
    type: Literal["inception"] = "inception"
    file: Path
    """The weights of TensorFlow's graph of 2015-12-05, named as pytorch-fid and torch-fidelity name them."""
    layers: tuple[Layer, ...] = Field(default=("pool",), min_length=1)
    """The activations to return, from the input side: `pool` for the FID; `logits_unbiased`, without the bias, for the
    inception score as its authors compute it; `logits`."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        from ganframe_inception.network import write_random

        return {"file": write_random(folder / "inception.safetensors")}

    @field_validator("layers")
    @classmethod
    def _no_layer_twice(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        if len(set(layers)) < len(layers):
            raise ValueError("a layer is named twice")
        return layers

    @override
    def example_specs(self) -> Sequence[TensorSpec]:
        return (TensorSpec((1, 28, 28)),)

    @override
    def build(self) -> nn.Module:
        from ganframe_inception.network import load

        return load(self.file, self.layers)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the encoder."""
    register(Inception)
