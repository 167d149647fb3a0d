"""Networks and terms call fused operations: which implementation runs changes neither shapes nor results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ganframe.runs.checkpoint_files import list_checkpoints, load

NETWORKS = {
    "patchgan": "PatchGAN(receptive_field=34, channels=4, norm='instance').build(sample=TensorSpec((3, 20, 24)))",
    "resnet": "ResNet(blocks=1, channels=4).build(output=TensorSpec((3, 16, 16)), source=TensorSpec((3, 16, 16)))",
}

SCRIPT = """
import sys, torch
from safetensors.torch import save_file
from ganframe_cyclegan import ResNet
from ganframe_patchgan import PatchGAN
from ganframe.config.tensor_specs import TensorSpec

torch.manual_seed(0)
network = {network}
sample = torch.rand(2, 3, *((20, 24) if "PatchGAN" in {network!r} else (16, 16))) * 2 - 1
sample.requires_grad_()
made = network(sample)
made = getattr(made, "logits", made)
(slope,) = torch.autograd.grad(made.square().mean(), sample, create_graph=True)
slope.square().sum().backward()
found = {{"made": made, "slope": slope}} | {{name: each.grad for name, each in network.named_parameters()}}
save_file({{name: each.detach().contiguous() for name, each in found.items() if each is not None}}, sys.argv[1])
"""


CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, latent: 2, hidden: [8], output: linear}
  discriminator: {type: minibatch-stddev, of: {type: mlp, hidden: [16]}}
losses: [wasserstein]
regularizers:
  - {type: r1, weight: 0.1}
  - {type: zero-centred-gradient-penalty, weight: 0.1}
  - {type: dragan, weight: 0.1}
  - {type: wgan-gp, weight: 0.1}
  - {type: path-length, weight: 0.1}
  - {type: minibatch-diversity, weight: 0.1, limit: null}
optimizers: {discriminator: {type: sgd, lr: 0.01}, generator: {type: sgd, lr: 0.01}}
data: {type: ring, samples: 200}
train: {images: 24, batch_size: 8, device: cpu}
"""
"""Every term and transform that calls an operation."""

OPERATIONS = ("gradient_norm", "minibatch_stddev", "pairwise_diversity")

TRAINING = """
import sys
from ganframe import load_config, train
train(load_config(sys.argv[1]), out=sys.argv[2])
print(*(name for name in sys.modules if name.startswith("ganframe_kernels.") and name.endswith(".kernels")))
"""


def trained(config: Path, implementation: str, folder: Path) -> tuple[dict[str, torch.Tensor], set[str]]:
    """The weights of all players after three steps, and the operations whose kernels ran."""
    environment = {**os.environ, "GANFRAME_KERNELS": implementation, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAINING, str(config), str(folder)]
    found = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    _, sections = load(list_checkpoints(folder / "checkpoints")[0])
    weights = {f"{room} {name}": each for room in sections if "player" in room for name, each in sections[room].items()}
    return weights, {name.split(".")[1] for name in found.stdout.splitlines()[-1].split()}


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
def test_the_implementation_makes_no_difference_to_a_training(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    reference, none = trained(config, "reference", tmp_path / "reference")
    kernels, called = trained(config, "triton", tmp_path / "kernels")
    assert none == set()
    assert called == set(OPERATIONS)
    assert len(reference) > 8
    assert reference.keys() == kernels.keys()
    for key, each in reference.items():
        torch.testing.assert_close(kernels[key], each, rtol=1e-4, atol=1e-6, msg=key)


def outcome(network: str, implementation: str, file: Path) -> dict[str, torch.Tensor]:
    """The output of the network, its slope, and the gradient of a penalty on that, in a process of its own."""
    environment = {**os.environ, "GANFRAME_KERNELS": implementation, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    script = SCRIPT.format(network=network)
    subprocess.run([sys.executable, "-c", script, str(file)], check=True, env=environment)
    return load_file(file)


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_implementation_makes_no_difference(name: str, tmp_path: Path) -> None:
    reference, kernels = (
        outcome(NETWORKS[name], implementation, tmp_path / f"{implementation}.safetensors")
        for implementation in ("reference", "triton")
    )
    assert reference.keys() == kernels.keys()
    assert any(not torch.equal(reference[key], kernels[key]) for key in reference), "the same code ran twice"
    for key, each in reference.items():
        scale = float(each.abs().max())
        torch.testing.assert_close(kernels[key], each, rtol=1e-3, atol=1e-4 * max(scale, 1e-3), msg=key)
