"""A small convolutional classifier, trained once for each data set in a process."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from ganframe.config import DatasetConfig, TensorSpec
from ganframe.data import BatchLoader, Randomness, images_as_floats
from ganframe_label_agreement import LabelAgreement

BATCH = 64
"""Number of examples in a training step."""
PEAK_RATE = 8e-3
"""Highest learning rate of the one-cycle schedule (Smith and Topin 2019, arXiv:1708.07120)."""
SHIFT = 2
"""Largest shift of training images in each direction, in pixels."""
INNERMOST = 4
"""Side of the innermost feature map, in pixels."""

_TRAINED: dict[tuple[str, ...], tuple[nn.Module, float | None]] = {}


def trained(config: LabelAgreement, data: DatasetConfig, device: torch.device) -> tuple[nn.Module, float | None]:
    """Return the classifier for a data set, and its accuracy on held-out examples; train it on the first call.

    Args:
        config: Names of the tensors, training steps and seed.
        data: The training data.
        device: The device to train on.

    Returns:
        The network in eval mode, and its accuracy in [0, 1]; the accuracy is None if the data has no held-out examples.
    """
    key = (data.type_name(), data.model_dump_json(), config.model_dump_json(), str(device))
    if key not in _TRAINED:
        network = _train(config, data, device)
        held_out = data.held_out()
        _TRAINED[key] = network, None if held_out is None else _accuracy(config, network, held_out, device)
    return _TRAINED[key]


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Return the class `(B,)` of each image `(B, C, H, W)`."""
    with torch.no_grad():
        return network(images.float()).argmax(dim=1)


def _train(config: LabelAgreement, data: DatasetConfig, device: torch.device) -> nn.Module:
    randomness = Randomness(config.seed).at("label-agreement")
    spec = data.spec()
    batches = BatchLoader(data.build(), BATCH, randomness, device).starting_at(0)
    # Metrics are updated without gradients, and must leave the global random state alone.
    with torch.enable_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        randomness.seed_torch("classifier")
        network = _network(spec[config.real], spec[config.label].classes or 0).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=config.steps + 1)
        for number, batch in enumerate(itertools.islice(batches, config.steps)):
            images = _shifted(batch[config.real], randomness.at(number))
            cross_entropy(network(images), batch[config.label], label_smoothing=0.1).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return network.eval().requires_grad_(False)


def _accuracy(config: LabelAgreement, network: nn.Module, data: DatasetConfig, device: torch.device) -> float:
    dataset = data.build()
    right = 0
    for start in range(0, len(dataset), 200):
        indices = range(start, min(start + 200, len(dataset)))
        batch = images_as_floats(dataset.fetch(indices, Randomness(config.seed).at("held-out", start)))
        right += int((predict(network, batch[config.real].to(device)).cpu() == batch[config.label]).sum())
    return right / len(dataset)


def _network(image: TensorSpec, classes: int) -> nn.Module:
    channels, *sides = image.shape
    layers: list[nn.Module] = []
    before, after = channels, 16
    while not layers or max(sides) > INNERMOST:
        convolution = nn.Conv2d(before, after, 5, stride=2, padding=2, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        sides = [-(-side // 2) for side in sides]
        before, after = after, min(2 * after, 128)
    head = nn.Linear(before * INNERMOST**2, classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(INNERMOST), nn.Flatten(), nn.Dropout(0.1), head)


def _shifted(images: Tensor, randomness: Randomness) -> Tensor:
    """Shift the images of a batch together by a few pixels."""
    height, width = images.shape[2:]
    down, right = (int(draw * (2 * SHIFT + 1)) for draw in randomness.uniform("shift", (2,)).tolist())
    padded = pad(images, (SHIFT,) * 4, mode="replicate")
    return padded[:, :, down : down + height, right : right + width]
