"""Train the LeNet of the package on its training digits and write its weights: `python train_lenet.py`.

It takes about a minute on one core. The same version of PyTorch on the same kind of CPU gives the same weights.
"""

from __future__ import annotations

import math

import torch
from ganframe_digits.dataset import load
from ganframe_digits.lenet import FILE, LeNet
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

SEED = 0
EPOCHS = 40
BATCH = 50
PEAK_RATE = 4e-3
"""Highest learning rate of the one-cycle schedule."""
DECAY = 0.995
"""Decay of the average of the weights over steps."""


def distort(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate by up to 12 degrees, scale and shear by up to 12%, and shift by up to 2 pixels, each image on its own."""
    turn, wide, high, shear, right, down = torch.rand(6, len(images), generator=generator) * 2 - 1
    angle = turn * math.radians(12)
    width, height = 1 + 0.12 * wide, 1 + 0.12 * high
    rows = (
        torch.stack([angle.cos() * width, (0.12 * shear - angle.sin()) * height, right * 2 / 14], dim=1),
        torch.stack([angle.sin() * width, angle.cos() * height, down * 2 / 14], dim=1),
    )
    grid = affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    # Zero is what lies outside, so the ground is moved from -1 to 0 meanwhile.
    return grid_sample(images + 1, grid, align_corners=False) - 1


def train() -> nn.Module:
    """Return the trained network: the average of its weights over the last steps."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    tensors = load("train").tensors
    images, labels = tensors["real"].float() / 127.5 - 1, tensors["label"]
    network = LeNet()
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    steps = EPOCHS * len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps + 1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images), generator=generator).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(network(distort(images[rows], generator))["logits"], labels[rows]).backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
    return average.module


if __name__ == "__main__":
    save_file(train().state_dict(), FILE)
