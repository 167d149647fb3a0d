"""The trainer's step against the strongest hand-written loop, interleaved in one process.

Both train the same DCGAN 28 x 28 on the same digits with batch 64, bf16, channels-last, fused Adam and one generator
forward shared by both turns. What is reported is the ratio of the times of adjacent blocks of steps: single times are
noise on a shared machine, the ratio of neighbours is not.

    python tests/benchmarks/trainer_step.py [--device cuda] [--blocks 60] [--compile] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import softplus

from ganframe import load_config
from ganframe.config.experiment import Experiment
from ganframe.data.loader import BatchLoader
from ganframe.distributed.precision import autocast
from ganframe.randomness import Randomness
from ganframe.runs.folder import RunFolder
from ganframe.training.assembly import assemble
from ganframe.training.plugin_hooks import RunHooks
from ganframe.training.run_state import Run
from ganframe.training.step import Trainer

BATCH = 64
STEPS = 10
"""Steps in a block; one block of each loop stands beside one of the other."""


def experiment(device: str, compiled: bool, precision: str) -> Experiment:
    """The unconditional DCGAN preset, with everything but the step turned off."""
    return load_config(
        "dcgan-digits",
        f"train.device={device}",
        f"train.compile={str(compiled).lower()}",
        f"train.precision={precision}",
        "train.channels_last=true",
        f"train.batch_size={BATCH}",
        "train.total_images=1_000_000_000",
        "train.ema=null",
        "loggers=[]",
    )


def trainer_block(settings: Experiment) -> Callable[[], None]:
    """A block of the trainer's steps."""
    assembly = assemble(settings)
    if settings.train.compile:
        for player in assembly.game.players.values():
            player.compile()
    run = Run(
        experiment=settings,
        folder=RunFolder(Path(tempfile.gettempdir())),
        assembly=assembly,
        optimizers=assembly.optimizers(),
        averages=None,
        hooks=RunHooks(),
    )
    trainer = Trainer(run, BatchLoader(settings.data.build(), BATCH, Randomness(0).at("data"), assembly.device))

    def block() -> None:
        for _ in range(STEPS):
            trainer.step()

    return block


def handwritten_block(settings: Experiment) -> Callable[[], None]:
    """A block of the loop that an expert would write for this one experiment."""
    assembly = assemble(settings)
    device = assembly.device
    generator, discriminator = assembly.game.players["generator"], assembly.game.players["discriminator"]
    if settings.train.compile:
        generator.compile()
        discriminator.compile()
    images = settings.data.build().tensors["real"]
    latent_shape = generator.latent_shape
    optimizers = [
        torch.optim.Adam(player.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
        for player in (generator, discriminator)
    ]
    context = autocast(settings.train.precision, device)

    def step() -> None:
        chosen = images[torch.randint(len(images), (BATCH,))].to(device, non_blocking=True)
        real = chosen.float().div_(127.5).sub_(1).to(memory_format=torch.channels_last)
        latent = torch.randn(BATCH, *latent_shape, device=device)
        with context:
            fake = generator(latent)
            of_real, of_fake = discriminator(real).logits, discriminator(fake.detach()).logits
            loss = softplus(-of_real).mean() + softplus(of_fake).mean()
        loss.backward()
        optimizers[1].step()
        optimizers[1].zero_grad()
        for parameter in discriminator.parameters():
            parameter.requires_grad = False
        with context:
            loss = softplus(-discriminator(fake).logits).mean()
        loss.backward()
        optimizers[0].step()
        optimizers[0].zero_grad()
        for parameter in discriminator.parameters():
            parameter.requires_grad = True

    def block() -> None:
        for _ in range(STEPS):
            step()

    return block


def timed(block: Callable[[], None], device: str) -> float:
    """Seconds that a block takes."""
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    block()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def compare(device: str, compiled: bool, precision: str, blocks: int) -> dict[str, float | str | bool]:
    """Ratios of the trainer's time over the hand-written loop's, block by block."""
    settings = experiment(device, compiled, precision)
    ours, theirs = trainer_block(settings), handwritten_block(settings)
    for block in (ours, theirs):
        block()
    ratios: list[float] = []
    times: list[float] = []
    more: list[float] = []
    for index in range(blocks):
        # Who goes first changes, so that whatever drifts favours neither.
        order = (ours, theirs) if index % 2 else (theirs, ours)
        found = {block: timed(block, device) for block in order}
        ratios.append(found[ours] / found[theirs])
        times.append(found[ours])
        more.append((found[ours] - found[theirs]) / STEPS * 1000)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "cpu",
        "precision": precision,
        "compile": compiled,
        "ratio": round(middle, 4),
        "quartiles": f"{low:.3f} to {high:.3f}",
        "milliseconds more": round(statistics.median(more), 2),
        "blocks": blocks,
        "steps per second": round(STEPS / statistics.median(times), 1),
    }


def main() -> None:
    """Print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    variants = [(False, "fp32"), (False, "bf16"), (True, "bf16")]
    results = [compare(arguments.device, *variant, arguments.blocks) for variant in variants]
    print("trainer's time / hand-written loop's time (median and quartiles of adjacent blocks), difference in a step")
    for result in results:
        mode = f"{result['precision']}{', compiled' if result['compile'] else ''}"
        print(
            f"  {mode:16} {result['ratio']:.3f}  ({result['quartiles']})  "
            f"{result['milliseconds more']:+.2f} ms  {result['steps per second']} steps/s"
        )
    fastest = max(results, key=lambda result: result["steps per second"])
    print(f"fastest here: {fastest['precision']}{', compiled' if fastest['compile'] else ''}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"torch": torch.__version__, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
