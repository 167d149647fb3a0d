"""Networks call fused operations: which implementation runs changes neither shapes nor results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

NETWORKS = {
    "patchgan": "PatchGAN(receptive_field=34, channels=4, norm='instance').build(sample=TensorSpec((3, 20, 24)))",
    "resnet": "ResNet(blocks=1, channels=4).build(output=TensorSpec((3, 16, 16)), source=TensorSpec((3, 16, 16)))",
}

SCRIPT = """
import sys, torch
from safetensors.torch import save_file
from ganframe_cyclegan import ResNet
from ganframe_patchgan import PatchGAN
from ganframe.specs import TensorSpec

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


def outcome(network: str, implementation: str, file: Path) -> dict[str, torch.Tensor]:
    """What the network makes, its slope, and the gradient of a penalty on that, in a process of its own."""
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
