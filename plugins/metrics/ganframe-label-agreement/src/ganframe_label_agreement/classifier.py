"""The classifier: an encoder, or a small network that is trained once for each data set in a process."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, pad

from ganframe.config import BadInput, DatasetConfig, TensorSpec, within
from ganframe.data import BatchLoader, Dataset, Randomness, as_float
from ganframe_label_agreement import LabelAgreement
from ganframe_label_agreement.held_out import MAX_EXAMPLES, split

BATCH = 64
"""Number of examples in a training step."""
CHUNK = 200
"""Number of examples in a forward pass without gradients."""
PEAK_RATE = 8e-3
"""Highest learning rate of the one-cycle schedule (Smith and Topin 2019, arXiv:1708.07120)."""
SHIFT = 2
"""Largest shift of training images in each direction, in pixels."""
NOISE = 1.0
"""Largest standard deviation of noise on training images, in standard deviations of the data."""
INNERMOST = 4
"""Side of the innermost feature map, in pixels."""


@dataclass(frozen=True)
class Classifier:
    """A classifier with the examples that it is judged by.

    Attributes:
        network: Gives class logits `(B, classes)`; frozen and in eval mode.
        images: Held-out images `(N, C, H, W)` in [-1, 1], at most 2,000.
        labels: Their classes `(N,)`.
        description: What the classifier is, in words.
        origin: Where the held-out images come from, in words.
    """

    network: nn.Module
    images: Tensor
    labels: Tensor
    description: str
    origin: str

    def predict(self, images: Tensor) -> Tensor:
        """Return the class `(B,)` of each image `(B, C, H, W)`."""
        with torch.no_grad():
            logits = [self.network(chunk.float()) for chunk in images.split(CHUNK)]
        return torch.cat(logits).argmax(dim=1)

    def accuracy(self, images: Tensor) -> float:
        """Return the accuracy, in [0, 1], on variants of the held-out images."""
        return float((self.predict(images) == self.labels).double().mean())


class Logits(nn.Module):
    """The last activation of an encoder.

    Args:
        encoder: The encoder.
        classes: Number of classes that the data has.
    """

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder, self.classes = encoder, classes

    def forward(self, images: Tensor) -> Tensor:
        """Return class logits `(B, classes)`.

        Raises:
            BadInput: When the encoder gives anything else.
        """
        logits: Tensor = self.encoder(images)[-1]
        if logits.shape[1:] != (self.classes,):
            message = f"its last activation is {tuple(logits.shape[1:])} for an image, not {self.classes} class logits"
            remedy = "Name the layer with the logits last, or use an encoder of the same classes."
            raise BadInput(message, path=("classifier",), remedy=remedy)
        return logits


_MADE: dict[tuple[str, ...], Classifier] = {}


def classifier(config: LabelAgreement, data: DatasetConfig, device: torch.device) -> Classifier:
    """Return the classifier for a data set; build or train it on the first call.

    Args:
        config: Names of the tensors, and the classifier or its training.
        data: The training data.
        device: The device to compute on.

    Raises:
        BadInput: When the encoder cannot be built.
    """
    key = (data.type_name(), data.model_dump_json(), config.model_dump_json(), str(device))
    if key not in _MADE:
        _MADE[key] = _make(config, data, device)
    return _MADE[key]


def _make(config: LabelAgreement, data: DatasetConfig, device: torch.device) -> Classifier:
    examples = split(data, config.seed)
    spec = data.spec()
    classes = spec[config.label].classes or 0
    if config.classifier is None:
        network = _train(config, spec[config.real], classes, examples.training, device)
        count = len(examples.training)
        description = f"trained on {count:,} examples of the data, {config.steps:,} steps, seed {config.seed}"
    else:
        with within("classifier"):
            network = Logits(config.classifier.build(), classes).to(device)
        description = config.classifier.type_name()
    randomness = Randomness(config.seed).at("held-out")
    batch = examples.held_out.fetch(range(min(len(examples.held_out), MAX_EXAMPLES)), randomness)
    images, labels = as_float(batch[config.real]).to(device), batch[config.label].to(device)
    return Classifier(network, images, labels, description, f"{len(images):,}: {examples.origin}")


def _train(
    config: LabelAgreement, image: TensorSpec, classes: int, dataset: Dataset, device: torch.device
) -> nn.Module:
    randomness = Randomness(config.seed).at("label-agreement")
    batches = BatchLoader(dataset, BATCH, randomness, device).starting_at(0)
    first = dataset.fetch(range(min(len(dataset), MAX_EXAMPLES)), randomness)[config.real]
    # Metrics are updated without gradients, and must leave the global random state alone.
    with torch.enable_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        randomness.seed_torch("classifier")
        standardize = Standardize(as_float(first))
        network = nn.Sequential(standardize, *_layers(image, classes)).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=config.steps + 1)
        for number, batch in enumerate(itertools.islice(batches, config.steps)):
            images = distort(standardize(batch[config.real]), randomness.at(number))
            cross_entropy(network[1:](images), batch[config.label], label_smoothing=0.1).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return network.eval().requires_grad_(False)


class Standardize(nn.Module):
    """Subtract the mean of all pixels of the data, and divide by their standard deviation.

    Args:
        images: Examples of the data, `(N, C, H, W)`.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", images.mean())
        self.register_buffer("deviation", images.std().clamp(min=1e-3))

    def forward(self, images: Tensor) -> Tensor:
        """Return images whose pixels have mean 0 and standard deviation 1 over the data."""
        return (images - self.mean) / self.deviation


def _layers(image: TensorSpec, classes: int) -> list[nn.Module]:
    channels, *sides = image.shape
    layers: list[nn.Module] = []
    before, after = channels, 16
    while not layers or max(sides) > INNERMOST:
        convolution = nn.Conv2d(before, after, 5, stride=2, padding=2, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        sides = [-(-side // 2) for side in sides]
        before, after = after, min(2 * after, 128)
    head = nn.Linear(before * INNERMOST**2, classes)
    return [*layers, nn.AdaptiveAvgPool2d(INNERMOST), nn.Flatten(), nn.Dropout(0.1), head]


def distort(images: Tensor, randomness: Randomness) -> Tensor:
    """Change standardized training images in the ways in which samples differ from real images.

    The batch is shifted by a few pixels; half of the images are blurred, and each gets noise of another strength.
    Without this, fine and weak patterns, such as the checkerboards of transposed convolutions, mislead a classifier
    that is perfect on real images.

    Args:
        images: `(B, C, H, W)`.
        randomness: The source of the draws.
    """
    height, width = images.shape[2:]
    down, right = (int(draw * (2 * SHIFT + 1)) for draw in randomness.uniform("shift", (2,)).tolist())
    padded = pad(images, (SHIFT,) * 4, mode="replicate")
    shifted = padded[:, :, down : down + height, right : right + width]
    draws = randomness.uniform("distortion", (3, len(images))).to(images.device, images.dtype)
    chosen, blur, noise = draws[:, :, None, None, None]
    blur = blur * (chosen < 0.5)
    blurred = avg_pool2d(pad(shifted, (1,) * 4, mode="replicate"), 3, stride=1)
    mixed = shifted + blur * (blurred - shifted)
    drawn = randomness.normal("noise", tuple(images.shape), images.device)
    return mixed + NOISE * noise**2 * drawn
