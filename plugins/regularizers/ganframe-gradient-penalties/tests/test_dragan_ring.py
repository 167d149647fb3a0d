"""The proof of the preset: half a CPU minute."""

from pathlib import Path

import pytest

from ganframe import load_config, train


@pytest.mark.slow
def test_every_mode_is_covered(tmp_path: Path):
    folder = train(load_config("dragan-ring"), out=tmp_path / "run")
    last = folder.metrics.read_text().splitlines()[-1]
    assert '"mode-coverage/modes": 8.0' in last
