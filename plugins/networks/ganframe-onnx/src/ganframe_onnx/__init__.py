"""Any ONNX file as an encoder of images, through onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import Component, EncoderConfig, hookimpl

if TYPE_CHECKING:
    from torch import nn

Layout = Literal["nchw", "nhwc"]
"""The order of the axes of images: batch, channels, height and width, or batch, height, width and channels."""
Deviation = Annotated[float, Field(gt=0)]


class Onnx(EncoderConfig):
    """Any network in an ONNX file that takes images and gives features; for metrics only.

    onnxruntime computes it on the CPU, without gradients, so no loss can use it.
    """

    type: Literal["onnx"] = "onnx"
    differentiable: ClassVar[bool] = False
    file: Path
    """The ONNX file."""
    input: str | None = None
    """Name of the input that takes the images; the first one when left out."""
    output: str | None = None
    """Name of the output with the features, `(B, D)` or a map for each channel; the first one when left out."""
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Side of the images in pixels, or height and width, to which they are resized. When left out, it is that of the
    file; if the file takes any size, images are not resized."""
    layout: Layout | None = None
    """Order of the axes of the input. When left out, it is read from the shape that the file gives."""
    max_value: Literal[1, 255] = 1
    """The value of a white pixel before `mean` and `std`; a black one is 0."""
    mean: tuple[float, ...] = Field(default=(0.5,), min_length=1)
    """Mean, subtracted from the values: one number, or one for each channel. ImageNet: `[0.485, 0.456, 0.406]`."""
    std: tuple[Deviation, ...] = Field(default=(0.5,), min_length=1)
    """Standard deviation, by which values are divided after that: one number, or one for each channel. ImageNet:
    `[0.229, 0.224, 0.225]`. The defaults of `mean` and `std` give values in [-1, 1]."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels that the network was trained with; `mean` and `std` are in the same order."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        from ganframe_onnx.example_model import write_example

        return {"file": write_example(folder / "example.onnx")}

    def build(self) -> nn.Module:
        """Make the network.

        Raises:
            BadInput: When onnxruntime is missing, the file is missing or cannot be read, it has no such input or
                output, or a setting does not fit its input.
        """
        from ganframe_onnx.network import Network

        return Network(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the encoder."""
    register(Onnx)
