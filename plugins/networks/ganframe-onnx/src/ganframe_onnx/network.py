"""An ONNX file as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganframe.game import BadInput, as_rgb
from ganframe_onnx import Layout, Onnx

AXES: dict[Layout, tuple[int, int, int]] = {"nchw": (1, 2, 3), "nhwc": (3, 1, 2)}
"""The axes of channels, height and width in each layout."""


@dataclass(frozen=True)
class ImageInput:
    """The input of a model, as its file describes it; None stands for any size.

    Attributes:
        name: Its name.
        layout: The order of its axes.
        batch: Number of images in a call.
        channels: Number of channels: 1 or 3.
        size: Height and width, in pixels.
        half: Whether the numbers are float16.
    """

    name: str
    layout: Layout
    batch: int | None
    channels: int
    size: tuple[int, int] | None
    half: bool


class Network(nn.Module):
    """The network in an ONNX file, in eval mode and without parameters of its own.

    Args:
        config: The settings.

    Raises:
        BadInput: When onnxruntime is missing, the file is missing or cannot be read, it has no such input or output, or
            a setting does not fit its input.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: Onnx) -> None:
        super().__init__()
        self.config = config
        self._session = _open(config)
        self._output = _choose("output", config.output, self._session.get_outputs()).name
        self._input = _describe(config, _choose("input", config.input, self._session.get_inputs()))
        self._size = _size(config, self._input)
        for setting in ("mean", "std"):
            numbers = getattr(config, setting)
            if len(numbers) not in (1, self._input.channels):
                message = f"{len(numbers)} numbers are given for {self._input.channels} channels"
                raise BadInput(message, path=(setting,), remedy="Give one number, or one for each channel.")
            self.register_buffer(setting, torch.tensor(numbers)[:, None, None], persistent=False)
        self.eval()

    def forward(self, sample: Tensor) -> tuple[Tensor]:
        """Return the features of images `(B, 1 or 3, H, W)` in [-1, 1], `(B, D)` or `(B, C, H, W)`, always in float32.

        Raises:
            BadInput: When the sample is not such an image, or the output has another number of axes.
        """
        pixels = self._pixels(sample.detach().float()).cpu()
        size = self._input.batch or len(pixels)
        features = torch.cat([self._run(chunk, size) for chunk in pixels.split(size)])
        if features.ndim == 4 and self._input.layout == "nhwc":
            features = features.permute(0, 3, 1, 2)
        return (features.to(sample.device),)

    def _pixels(self, sample: Tensor) -> Tensor:
        """Return images as the network takes them, still `(B, C, H, W)`."""
        if self._input.channels == 3:
            sample = as_rgb(sample, "onnx")
        elif sample.ndim != 4 or sample.shape[1] != 1:
            message = f"the network sees grey images, but one example here is {tuple(sample.shape[1:])}"
            raise BadInput(message, path=("encoder", "file"))
        if self._size is not None and tuple(sample.shape[2:]) != self._size:
            sample = interpolate(sample, self._size, mode="bilinear", antialias=True)
        if self.config.channel_order == "bgr":
            sample = sample.flip(1)
        return ((sample + 1) * (self.config.max_value / 2) - self.mean) / self.std

    def _run(self, pixels: Tensor, size: int) -> Tensor:
        """Return the output for at most `size` images. Fewer are filled up with copies of the last one."""
        filled = torch.cat([pixels, pixels[-1:].expand(size - len(pixels), -1, -1, -1)])
        ordered = filled if self._input.layout == "nchw" else filled.permute(0, 2, 3, 1)
        numbers = ordered.half() if self._input.half else ordered
        (found,) = self._session.run([self._output], {self._input.name: numbers.contiguous().numpy()})
        features = torch.from_numpy(found).float()
        if features.ndim not in (2, 4) or len(features) != size:
            known = ", ".join(each.name for each in self._session.get_outputs())
            shape = tuple(features.shape)
            message = f"the output {self._output!r} is {shape}, not (B, D) or (B, C, H, W), for B = {size}"
            raise BadInput(message, path=("encoder", "output"), remedy=f"Name another output. There are: {known}.")
        return features[: len(pixels)]


def _open(config: Onnx) -> Any:
    try:
        import onnxruntime
    except ImportError:
        remedy = "pip install 'ganframe-onnx[onnxruntime]'"
        raise BadInput("the encoder 'onnx' needs onnxruntime, which is not installed", remedy=remedy) from None
    if not config.file.is_file():
        raise BadInput(f"there is no file {str(config.file)!r}", path=("file",), remedy="It needs an ONNX file.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors: warnings are about the graph, which the user cannot change
    try:
        return onnxruntime.InferenceSession(config.file, options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # onnxruntime's errors have no base class of their own
        reason = (str(problem).splitlines() or [""])[0]
        raise BadInput(f"{str(config.file)!r} cannot be read: {reason}", path=("file",)) from None


def _choose(setting: str, name: str | None, found: Sequence[Any]) -> Any:
    """Return the input or output of a name, or the first one."""
    if name is None:
        return found[0]
    by_name = {each.name: each for each in found}
    if name not in by_name:
        message = f"the file has no {setting} {name!r}"
        raise BadInput(message, path=(setting,), remedy=f"There are: {', '.join(by_name)}.")
    return by_name[name]


def _describe(config: Onnx, described: Any) -> ImageInput:
    """Return the input with its layout: that of the config, or the one whose channels are 1 or 3 in the file."""
    sizes = [size if isinstance(size, int) and size > 0 else None for size in described.shape]
    if len(sizes) != 4 or described.type not in ("tensor(float)", "tensor(float16)"):
        message = f"the input {described.name!r} takes {described.type} of shape {described.shape}, not images"
        raise BadInput(message, path=("input",), remedy="Name an input of four axes of floating point.")
    fitting: list[Layout] = [layout for layout, axes in AXES.items() if sizes[axes[0]] in (1, 3)]
    if config.layout is None and len(fitting) != 1:
        message = f"the shape of the input {described.name!r}, {described.shape}, does not tell the order of its axes"
        raise BadInput(message, path=("layout",), remedy="Set `layout` to nchw or nhwc.")
    layout: Layout = config.layout or fitting[0]
    channels, height, width = (sizes[axis] for axis in AXES[layout])
    if channels not in (None, 1, 3):
        message = f"as {layout}, the input {described.name!r} of shape {described.shape} has {channels} channels"
        raise BadInput(message, path=("layout",), remedy="Images with 1 or 3 channels are possible.")
    fixed = None if height is None or width is None else (height, width)
    return ImageInput(described.name, layout, sizes[0], channels or 3, fixed, described.type == "tensor(float16)")


def _size(config: Onnx, described: ImageInput) -> tuple[int, int] | None:
    """Return the height and width to resize images to; None to leave them."""
    asked = (config.size, config.size) if isinstance(config.size, int) else config.size
    if asked is not None and described.size not in (None, asked):
        message = f"the file takes images of {described.size[0]} x {described.size[1]}, not {asked[0]} x {asked[1]}"
        raise BadInput(message, path=("size",), remedy="Leave `size` out.")
    return asked or described.size
