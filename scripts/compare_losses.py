"""Trains every loss on 25 Gaussians, with the same networks and budget, and writes the page that compares them.

    python scripts/compare_losses.py [--runs DIR] [--only LOSS ...] [--page-only]

Runs that are there already are not taken again. The page, its table and its pictures come from the runs alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure

from ganframe import load, load_config, train
from ganframe.errors import NotFinite
from ganframe.plugins.discovery import installed
from ganframe.runs.logs import read_log

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "losses-compared.md"
RESULTS = ROOT / "docs" / "explanation" / "losses-compared.json"

BATCH = 256
SAMPLES = 2500


@dataclass(frozen=True)
class Regime:
    """The terms beside the loss, and the length of the run.

    Attributes:
        title: What it is called.
        override: What is changed of the preset `grid`.
        steps: Steps of each run.
        words: What the page says of it.
    """

    title: str
    override: str
    steps: int
    words: str

    @property
    def slug(self) -> str:
        """The title as a part of file names."""
        return self.title.lower().replace(" ", "-")


REGIMES = (
    Regime(
        "With R1 and R2",
        "",
        15_000,
        "The budget of the preset, with both of its penalties, whose weights fall from 0.1 to 0.001.",
    ),
    Regime(
        "Alone",
        "regularizers=[]",
        5000,
        "A third of that budget, without any penalty: each loss with a discriminator that nothing holds back.",
    ),
)

LATENTS = "game.generator.latent=16"
"""Harder than the preset's 2: what tells the losses apart is how they cope with it."""

NETWORKS = {"energy": ("game.discriminator={type: autoencoder, hidden: [128, 128], code: 16}",)}
"""Losses that need a discriminator of another kind than the preset's."""

ELSEWHERE = {"classification"}
"""Losses that do not fit the plain game."""

INTRODUCTION = """\
# Losses compared

Every adversarial loss of this repository on the grid of 25 Gaussians (standard deviation 0.05, two apart), with the
networks, optimizers and schedules of the preset `grid`, but for latents of 16 numbers instead of 2, which are harder to
train: MLPs of three layers of 128, Adam at 1e-3 falling to 0, batches of {batch}. Nothing was tuned for any loss, and
each number is one run with one seed, from which another seed's may differ much: a table of how losses behave when
nobody helps them, not a ranking. The discriminator of `energy` is an autoencoder.

*Modes* is how many of the 25 have a sample of high quality; *quality* is the share of {samples:,} samples within three
standard deviations of a mode (98.9% for a perfect sampler); *KL* is that of the modes' shares from uniform, in nats (a
perfect sampler has about 0.005 at this number of samples).

The page is written by `python scripts/compare_losses.py`.
"""


def losses() -> list[str]:
    """The types of the losses that fit the plain game."""
    found = [name for kind, name in installed().registry.classes if kind == "loss"]
    return sorted(name for name in found if name not in ELSEWHERE)


def run(loss: str, regime: Regime, folder: Path) -> dict[str, float] | None:
    """Train once, or take what is there.

    Returns:
        The metrics of the averaged generator; None where the run ended in numbers that are not finite.
    """
    out = folder / f"{loss}-{regime.slug}"
    failed = out.with_suffix(".failed")
    if failed.exists():
        return None
    if not (out / "metrics.jsonl").exists():
        images = regime.steps * BATCH
        overrides = (
            regime.override,
            LATENTS,
            f"losses=[{loss}]",
            f"train.total_images={images}",
            *NETWORKS.get(loss, ()),
        )
        averaged = (f"train.ema.half_life_images={images // 22}", "evaluate.every_images=null")
        try:
            train(load_config("grid", *filter(None, (*overrides, *averaged))), out=out)
        except NotFinite as problem:
            failed.write_text(f"{problem}\n", encoding="utf-8")
            return None
    last = read_log(out / "metrics.jsonl")[-1]
    return {name.split("/")[1]: value for name, value in last.items() if "/" in name}


def draw(regime: Regime, names: Sequence[str], folder: Path, picture: Path) -> None:
    """The samples of every loss, side by side."""
    columns = 5
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2 * columns, 2.2 * rows), layout="constrained")
    for index, loss in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set(xlim=(-6, 6), ylim=(-6, 6), aspect="equal", xticks=[], yticks=[])
        axes.set_title(loss, fontsize=9)
        out = folder / f"{loss}-{regime.slug}"
        if out.exists() and not out.with_suffix(".failed").exists():
            points = load(out).sample(SAMPLES, batch_size=SAMPLES).cpu()
            axes.scatter(*points.T, s=0.5, color="#4051b5", linewidths=0)
    figure.savefig(picture, dpi=80, metadata={"Software": None})


def page(results: Mapping[str, Mapping[str, Mapping[str, float] | None]]) -> str:
    """The page, from the metrics by regime and loss."""
    parts = [INTRODUCTION.format(batch=BATCH, samples=SAMPLES)]
    for regime in REGIMES:
        rows = [f"| `{loss}` | {' | '.join(_cells(found))} |" for loss, found in results[regime.title].items()]
        head = "| Loss | Modes | Quality | KL |\n| --- | ---: | ---: | ---: |\n"
        parts.append(f"## {regime.title}\n\n{regime.words} {regime.steps:,} steps.\n\n{head}" + "\n".join(rows) + "\n")
        parts.append(f"![Samples of every loss: {regime.title}]({_picture(regime).name})\n")
    return "\n".join(parts)


def _picture(regime: Regime) -> Path:
    return PAGE.parent / f"losses-{regime.slug}.png"


def _cells(metrics: Mapping[str, float] | None) -> tuple[str, str, str]:
    if metrics is None:
        return "not finite", "", ""
    return f"{metrics['modes']:.0f}", f"{metrics['high quality']:.1%}", f"{metrics['kl']:.3f}"


def main() -> None:
    """Train what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/compare-losses"))
    parser.add_argument("--only", nargs="*", help="train these losses and write no page")
    parser.add_argument("--page-only", action="store_true", help="write the page from the results that are there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.page_only:
        PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    names = arguments.only or losses()
    results = {regime.title: {loss: run(loss, regime, arguments.runs) for loss in names} for regime in REGIMES}
    if arguments.only:
        print(json.dumps(results, indent=1))
        return
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for regime in REGIMES:
        draw(regime, names, arguments.runs, _picture(regime))
    PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
