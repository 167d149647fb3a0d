"""The proof of both presets: about two CPU minutes for each run."""

from pathlib import Path
from statistics import median

import pytest
from ganframe_gaussians import ModeCoverage

from ganframe.evaluate import Evaluation
from ganframe.experiment import Experiment
from ganframe.presets import load_config
from ganframe.trained import Trained, load
from ganframe.training import train


@pytest.mark.slow
@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_every_mode_is_covered(name: str, modes: int, tmp_path: Path):
    """All modes and 80% high quality over 2,500 samples, as the field reports them, with each of three seeds.

    How evenly the modes share the samples is settled by chance: the same seed ends on the grid with a KL of 0.0007 on
    one kind of CPU and of 0.043 on another, whose sums are rounded otherwise. So the KL is the median, taken over
    100,000 samples: over 2,500, chance alone gives a perfect sampler 0.0048 on the grid.
    """
    divergences: list[float] = []
    for seed in range(3):
        experiment = load_config(name, f"seed={seed}", "evaluate=null")
        trained = load(train(experiment, out=tmp_path / str(seed)).path, device="cpu")

        def measured(samples: int, trained: Trained = trained, experiment: Experiment = experiment) -> dict[str, float]:
            evaluation = Evaluation((ModeCoverage(samples=samples),), experiment.data, experiment.seed)
            return evaluation.measure(trained.game, trained.device)

        few = measured(2500)
        assert few["mode-coverage/modes"] == modes
        assert few["mode-coverage/high quality"] >= 0.8
        divergences.append(measured(100_000)["mode-coverage/kl"])
    assert median(divergences) <= 0.005
