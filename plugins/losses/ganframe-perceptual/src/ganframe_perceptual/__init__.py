"""The perceptual distance between an encoder's activations, with VGG and random convolutions as encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from ganframe.config import BadInput, Component, EncoderConfig, RegularizerConfig, hookimpl, within
from ganframe_perceptual.layers import convolutions, position

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Regularizer


class Perceptual(RegularizerConfig):
    """Distance of an encoder's activations for two tensors of images, a weighted sum over its layers."""

    paper = "Johnson et al. 2016, arXiv:1603.08155, eq. 2"
    type: Literal["perceptual"] = "perceptual"
    zero_when = "tensors are equal"
    encoder: EncoderConfig
    """The frozen network whose activations are compared."""
    prediction: str = "fake"
    """Name of the generated tensor."""
    target: str = "target"
    """Name of the tensor that it should look like."""
    distance: Literal["squared", "absolute"] = "squared"
    """The mean squared or the mean absolute difference of two activations."""
    layer_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """A factor for each activation of the encoder, input side first; all 1 when left out."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"encoder": {"type": "random-convolutions"}}

    @override
    def tensors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.prediction, self.target)))

    def build(self) -> Regularizer:
        """Make the regularizer.

        Raises:
            BadInput: When the encoder cannot be built or gives no gradients.
        """
        from ganframe_perceptual.distance import ActivationDistance

        with within("encoder"):
            if not self.encoder.differentiable:
                message = f"no loss can use the encoder {self.encoder.type_name()!r}: gradients do not flow through it"
                raise BadInput(message, remedy="Use it in metrics, or name another encoder here.")
            return ActivationDistance(self, self.encoder.build())


class VGG(EncoderConfig):
    """The convolutions of VGG16 or VGG19, with weights from a safetensors file."""

    paper = "Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, D and E"
    type: Literal["vgg"] = "vgg"
    file: Path
    """The weights, named as torchvision names them: `features.0.weight` and so on; others are ignored."""
    depth: Literal[16, 19] = 16
    """Layers with weights in the whole network: configuration D or E."""
    layers: tuple[str, ...] = Field(default=("relu1_2", "relu2_2", "relu3_3", "relu4_3"), min_length=1)
    """The activations to return: `reluB_K` is the K-th of block B. Nothing after the last one is computed."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return settings with a file of random weights for the first two layers."""
        from ganframe_perceptual.vgg import write_random

        return {"file": write_random(folder / "vgg.safetensors", 16, count=2), "layers": ("relu1_2",)}

    @model_validator(mode="after")
    def _known_layers(self) -> VGG:
        for name in self.layers:
            if position(self.depth, name) is None:
                known = ", ".join(convolution.name for convolution in convolutions(self.depth))
                raise ValueError(f"VGG{self.depth} has no layer {name!r}; it has: {known}")
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("a layer is named twice")
        return self

    def build(self) -> nn.Module:
        """Make the network.

        Raises:
            BadInput: When the file is missing, cannot be read, or lacks weights of the right shape.
        """
        from ganframe_perceptual.vgg import load

        return load(self.file, self.depth, self.layers)


class RandomConvolutions(EncoderConfig):
    """Convolutions with frozen random weights: they need no file, and a seed fixes them."""

    paper = "Ustyuzhaninov et al. 2016, arXiv:1606.00021; He et al. 2016, arXiv:1606.04801"
    type: Literal["random-convolutions"] = "random-convolutions"
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(16, 32, 64), min_length=1)
    """Channels of each layer; the sides of the image are halved between two layers."""
    seed: int = 0
    """Seed of the weights."""

    @override
    def build(self) -> nn.Module:
        from ganframe_perceptual.random_convolutions import Network

        return Network(self.channels, self.seed)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the regularizer and both encoders."""
    for cls in (Perceptual, VGG, RandomConvolutions):
        register(cls)
