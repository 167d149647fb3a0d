"""Images in the form that encoders of colour images take."""

from __future__ import annotations

from torch import Tensor

from ganframe.errors import BadInput


def as_rgb(sample: Tensor, encoder: str) -> Tensor:
    """Return images with three channels; a single channel is repeated.

    Args:
        sample: Images `(B, 1 or 3, H, W)`.
        encoder: The type of the encoder, for the message.

    Raises:
        BadInput: When the sample has other channels or is not an image.
    """
    if sample.ndim != 4 or sample.shape[1] not in (1, 3):
        message = f"{encoder!r} sees images with 1 or 3 channels, but one example here is {tuple(sample.shape[1:])}"
        raise BadInput(message, path=("encoder",), remedy="Name tensors of images, or use another encoder.")
    return sample if sample.shape[1] == 3 else sample.expand(-1, 3, -1, -1)
