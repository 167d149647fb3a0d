"""Pictures and files of each kind of tensor, pixel by pixel and sample by sample."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ganframe import BadInput, Experiment, hookimpl, load, train
from ganframe.config import DatasetConfig, DataSpec, TensorSpec
from ganframe.data import TensorData
from ganframe.evaluation.pictures import GAP, can_draw, draw, grid, label_columns
from ganframe.evaluation.sample_files import save_samples
from ganframe.evaluation.sound import RANGE_DB, sample_rates, spectrogram, wav_file
from ganframe.plugins.discovery import installed

RATE = 4000
"""Samples a second."""


def levels(*values: float, channels: int = 1, height: int = 4, width: int = 6) -> Tensor:
    """Images of one level each."""
    return torch.tensor(values)[:, None, None, None].expand(-1, channels, height, width)


def cells(pixels: Tensor, height: int, width: int) -> list[list[list[int]]]:
    """The colour of each cell of a grid, whose pixels all have it."""
    rows, columns = pixels.shape[0] // (height + GAP), pixels.shape[1] // (width + GAP)
    assert pixels.shape == (rows * (height + GAP), columns * (width + GAP), 3)
    tiles = pixels.reshape(rows, height + GAP, columns, width + GAP, 3)
    assert (tiles[:, height:] == 255).all()
    assert (tiles[:, :, :, width:] == 255).all()
    inside = tiles[:, :height, :, :width]
    assert (inside == inside[:, :1, :, :1]).all()
    return inside[:, 0, :, 0].tolist()


BLACK, GREY, WHITE = [0, 0, 0], [128, 128, 128], [255, 255, 255]


def test_oblong_images_keep_their_sides_and_fill_about_a_square() -> None:
    images = levels(*[-1.0, 0.0, 1.0] * 4, height=4, width=16)
    # Cells of 18 x 6 pixels with their gaps: 2 columns of 6 rows are 36 x 36.
    assert cells(grid({"fake": images}), 4, 16) == [[BLACK, GREY], [WHITE, BLACK], [GREY, WHITE]] * 2
    upright = levels(*[-1.0, 1.0] * 4, height=16, width=4)
    assert len(cells(grid({"fake": upright}), 16, 4)) == 2


def test_two_channels_are_two_grey_images_side_by_side() -> None:
    images = torch.cat([levels(-1.0, 0.0), levels(1.0, 1.0)], dim=1)
    assert cells(grid({"fake": images}, columns=2), 4, 6) == [[BLACK, WHITE], [GREY, WHITE]]


def test_of_many_channels_the_first_three_are_red_green_and_blue() -> None:
    images = torch.cat([levels(1.0), levels(-1.0), levels(0.0), levels(1.0), levels(1.0)], dim=1)
    assert cells(grid({"fake": images}), 4, 6) == [[[255, 0, 128]]]


def test_the_fourth_of_four_channels_is_the_opacity_over_white() -> None:
    blue = [levels(-1.0, -1.0, -1.0), levels(-1.0, -1.0, -1.0), levels(1.0, 1.0, 1.0)]
    images = torch.cat([*blue, levels(-1.0, 0.0, 1.0)], dim=1)
    assert cells(grid({"fake": images}, columns=3), 4, 6) == [[WHITE, [128, 128, 255], [0, 0, 255]]]


def test_a_small_image_beside_a_large_one_is_enlarged() -> None:
    small, large = levels(-1.0, 0.0, height=2, width=3), levels(1.0, 1.0, channels=3)
    assert cells(grid({"source": small, "fake": large}), 4, 6) == [[BLACK, WHITE], [GREY, WHITE]]


@pytest.mark.parametrize(
    ("classes", "count", "columns"),
    [
        (8, 100, 8),
        (10, 100, 10),
        (3, 100, 9),
        (2, 100, 10),
        (10, 16, 10),
        (20, 100, 20),
        (21, 100, None),
        (10, 9, None),
        (1, 9, None),
    ],
)
def test_each_column_of_a_labelled_grid_has_one_class(classes: int, count: int, columns: int | None) -> None:
    assert label_columns(classes, count) == columns


def size(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def test_a_wide_picture_is_not_enlarged_beyond_a_screen(tmp_path: Path) -> None:
    draw({"fake": levels(*[0.0] * 100, height=8, width=30)}, tmp_path / "wide.png", columns=100)
    assert size(tmp_path / "wide.png") == (100 * 32, 10)
    draw({"fake": levels(0.0, height=8, width=30)}, tmp_path / "one.png")
    assert size(tmp_path / "one.png") == (32 * 32, 10 * 32)


@pytest.mark.parametrize(
    ("shapes", "drawn"),
    [
        (((3, 5, 7), (1, 2, 2)), True),
        (((9, 5, 7),), True),
        (((2,), (2,)), True),
        (((1, 50), (3, 20)), True),
        (((3, 5, 7), (2,)), False),
        (((1, 50), (1, 5, 5)), False),
        (((3,),), False),
        (((),), False),
        (((0, 5, 5),), False),
        ((), False),
    ],
)
def test_pictures_are_of_tensors_of_one_kind(shapes: tuple[tuple[int, ...], ...], drawn: bool) -> None:
    assert can_draw({str(number): torch.zeros(2, *shape) for number, shape in enumerate(shapes)}) == drawn


# Sounds.


def tone(frequency: float, samples: int = 2048, level: float = 0.5) -> Tensor:
    return level * torch.sin(2 * math.pi * frequency * torch.arange(samples) / RATE)


def test_a_spectrogram_is_brightest_at_the_frequency_of_a_tone() -> None:
    levels = spectrogram(torch.stack([tone(1000.0), tone(1000.0)]))
    assert levels.shape == (257, 17)  # half of 512 and one; 2048 / 128 and one
    assert levels.max() == 0
    # 1000 Hz are a quarter of the rate: the frequency 128 of 0 to 256.
    assert levels.mean(1).argmax() == 128
    # A window of Hann has nothing beyond its neighbours where the tone fits it a whole number of times.
    inner = levels[:, 2:-2]
    assert inner[128].min() > -0.1
    assert inner[:126].max() == inner[131:].max() == -RANGE_DB


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 600])
def test_a_short_or_silent_sound_has_a_spectrogram_too(samples: int) -> None:
    for sound in (torch.zeros(1, samples), torch.ones(2, samples)):
        assert spectrogram(sound).isfinite().all()


def test_a_sound_file_has_16_bits_and_a_pause_between_sounds() -> None:
    sounds = torch.tensor([[[0.0, 1.0], [-1.0, 0.5]], [[2.0, -2.0], [math.nan, 0.25]]])
    with wave.open(io.BytesIO(wav_file(sounds, 8))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8)
        frames = np.frombuffer(file.readframes(99), dtype="<i2").reshape(-1, 2)
    pause = [[0, 0]] * 2  # a quarter of a second
    assert frames.tolist() == [[0, -32767], [32767, 16384], *pause, [32767, 0], [-32767, 8192]]


def test_the_rate_of_a_sound_that_a_game_makes_is_that_of_the_data() -> None:
    data = {
        "real": TensorSpec((1, 100), sample_rate=8000),
        "slow": TensorSpec((2, 50), sample_rate=4000),
        "notes": TensorSpec((1, 30)),
        "image": TensorSpec((1, 100, 100)),
    }
    shapes = {"real": (1, 100), "fake": (1, 100), "long": (1, 400), "both": (2, 9), "notes": (1, 30), "made": (1, 30)}
    tensors = {name: torch.zeros(4, *shape) for name, shape in shapes.items()}
    tensors |= {"image": torch.zeros(4, 1, 100, 100), "many": torch.zeros(4, 7, 9)}
    assert sample_rates(data, tensors) == {"real": 8000, "fake": 8000, "long": 8000, "both": 4000}


def plotted(monkeypatch: pytest.MonkeyPatch, tensors: Mapping[str, Tensor], path: Path, **how: Any) -> list[Any]:
    """The lines and images of a plot, panel by panel."""
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    saved = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: figures.append(figure) or saved(figure, *a, **k))
    draw(tensors, path, **how)
    assert size(path) == tuple(round(100 * side) for side in figures[0].get_size_inches())
    return [
        [line.get_ydata() for line in axes.lines] + [image.get_array() for image in axes.images]
        for axes in figures[0].axes
    ]


def test_a_sound_has_its_waveform_and_its_spectrogram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = torch.stack([tone(500.0), tone(1000.0)])[:, None]
    panels = plotted(monkeypatch, {"fake": sounds}, tmp_path / "sound.png", sample_rates={"fake": RATE})
    assert len(panels) == 4
    for example in range(2):
        (waveform,), (spectrum,) = panels[2 * example : 2 * example + 2]
        assert waveform == pytest.approx(sounds[example, 0].tolist())
        np.testing.assert_allclose(np.asarray(spectrum), spectrogram(sounds[example]).numpy(), atol=1e-4)


def test_a_series_has_a_curve_for_each_of_its_first_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = torch.arange(9 * 10 * 5.0).reshape(9, 10, 5)
    panels = plotted(monkeypatch, {"fake": series}, tmp_path / "series.png")
    assert len(panels) == 6  # of nine
    for example, curves in enumerate(panels):
        assert np.array(curves).tolist() == series[example, :8].tolist()
    both = plotted(monkeypatch, {"real": series[:2], "fake": series[2:4]}, tmp_path / "both.png")
    assert [list(curves[0]) for curves in both] == series[[0, 2, 1, 3], 0].tolist()


def test_numbers_have_a_histogram_of_densities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn: list[tuple[str, Any]] = []
    hist = Axes.hist
    monkeypatch.setattr(Axes, "hist", lambda axes, x, **k: drawn.append((k["label"], hist(axes, x, **k))))
    draw({"real": torch.arange(100.0)[:, None], "fake": torch.zeros(9, 1)}, tmp_path / "numbers.png")
    (real, (heights, edges, _)), (fake, _) = drawn
    assert (real, fake) == ("real", "fake")
    assert heights.tolist() == pytest.approx([2 / 100 / (99 / 50)] * 50)  # two numbers in each of 50 bars
    assert (edges[0], edges[-1]) == (0, 99)
    assert size(tmp_path / "numbers.png") == (500, 400)


def test_samples_are_files_by_their_kind(tmp_path: Path) -> None:
    save_samples(levels(-1.0, 1.0, height=2, width=3)[:, None], tmp_path / "images", labels=[1, 0])
    assert np.asarray(Image.open(tmp_path / "images" / "1" / "000000.png")).tolist() == [[0] * 3] * 2
    assert np.asarray(Image.open(tmp_path / "images" / "0" / "000001.png")).tolist() == [[255] * 3] * 2
    save_samples([tone(500.0)[None, None]], tmp_path / "sounds", sample_rate=RATE)
    with wave.open(str(tmp_path / "sounds" / "000000.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (RATE, 2048)
    save_samples([levels(-1.0, 1.0).expand(-1, 2, -1, -1)], tmp_path / "two")
    assert np.load(tmp_path / "two" / "000001.npy").tolist() == [[[255, 255]] * 6] * 4
    save_samples([levels(-1.0, 1.0).expand(-1, 4, -1, -1)], tmp_path / "four")
    assert Image.open(tmp_path / "four" / "000001.png").getpixel((0, 0)) == (255, 255, 255, 255)
    others = (torch.rand(1, 3), torch.rand(1, 2, 9), torch.rand(1))
    for number, samples in enumerate(others):
        save_samples([samples], tmp_path / str(number))
        with np.load(tmp_path / str(number) / "000000.npz") as arrays:
            assert arrays["sample"].tolist() == samples[0].tolist()


# Runs.


class Tones(DatasetConfig):
    """Tones of two pitches."""

    type: Literal["tones"] = "tones"

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((1, 64), sample_rate=RATE), "label": TensorSpec((), 2, ("low", "high"))}

    def build(self) -> TensorData:
        real = torch.stack([tone(300.0 + 300 * (index % 2), 64) for index in range(8)])[:, None]
        return TensorData({"real": real, "label": torch.arange(8) % 2})


class Walks(DatasetConfig):
    """Random numbers of some shape."""

    type: Literal["walks"] = "walks"
    shape: tuple[int, ...]

    def spec(self) -> DataSpec:
        return {"real": TensorSpec(self.shape)}

    def build(self) -> TensorData:
        return TensorData({"real": torch.rand(8, *self.shape)})


@pytest.fixture(scope="module", autouse=True)
def world() -> Iterator[None]:
    registry = installed().registry.copy()
    for cls in (Tones, Walks):
        registry.add(cls, "ganframe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed(), "registry", registry)
        patch.setattr("os.fsync", lambda _file: None)
        yield


def trained(out: Path, data: DatasetConfig, network: str = "mlp", hooks: Any = (), **settings: Any) -> Path:
    """The folder of a run of two steps."""
    small: dict[str, Any] = {"channels": 2} if network == "dcgan" else {"hidden": [4]}
    game = {
        "type": "adversarial",
        "generator": {"type": network, "latent": 3, **small},
        "discriminator": {"type": network, **small},
        **settings,
    }
    experiment = Experiment(
        game=game,
        losses=["non-saturating"],
        data=data,
        train={"total_images": 8, "batch_size": 4, "device": "cpu"},
        snapshot={"count": 5, "every_images": 4},
    )
    return train(experiment, out=out, hooks=hooks).path


class Heard:
    def __init__(self) -> None:
        self.seen: list[tuple[int, Path, list[str]]] = []

    @hookimpl
    def on_snapshot(self, step: int, tensors: Mapping[str, Tensor], picture: Path) -> None:
        self.seen.append((step, picture, list(tensors)))


def test_a_run_of_sounds_draws_writes_and_is_sampled(tmp_path: Path, cli: Any) -> None:
    hook = Heard()
    run = trained(tmp_path / "run", Tones(), condition="label", hooks=[hook])
    pictures = run / "pictures"
    assert hook.seen == [(step, pictures / f"00000000{step}.png", ["fake"]) for step in (1, 2)]
    assert sorted(path.name for path in pictures.iterdir()) == [
        f"00000000{step}.{suffix}" for step in (1, 2) for suffix in ("png", "wav")
    ]
    with wave.open(str(pictures / "000000002.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (RATE, 4 * 64 + 3 * RATE // 4)
    assert load(run, device="cpu").sample(2, labels=["high", "low"]).shape == (2, 1, 64)
    outcome = cli("sample", run, "--count", 3, "--out", tmp_path / "each")
    assert outcome.code == 0
    assert outcome.err == "classes: 0 is low, 1 is high\n"
    files = sorted(path.relative_to(tmp_path / "each").as_posix() for path in (tmp_path / "each").rglob("*.wav"))
    assert files == ["high/000001.wav", "low/000000.wav", "low/000002.wav"]
    assert cli("sample", run, "--count", 2).out == f"{run / 'samples-seed0.png'}\n"
    assert cli("interpolate", run, "--rows", 2, "--steps", 3).code == 0
    assert cli("report", run).code == 0


@pytest.mark.parametrize(("shape", "network"), [((2, 20), "mlp"), ((2, 12, 5), "mlp"), ((5, 8, 16), "dcgan")])
def test_runs_of_series_and_of_images_of_any_size_draw_them(
    tmp_path: Path, shape: tuple[int, ...], network: str
) -> None:
    run = trained(tmp_path / "run", Walks(shape=shape), network)
    assert (run / "samples.png").is_file()
    assert not list(run.rglob("*.wav"))
    assert load(run, device="cpu").sample(3).shape == (3, *shape)


def test_where_there_is_no_picture_a_run_says_so_once_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cli: Any
) -> None:
    run = trained(tmp_path / "run", Walks(shape=(7,)))
    told = capsys.readouterr().err
    assert told.count("no pictures are drawn: there are none of these tensors together: fake (7,)") == 1
    assert load(run, device="cpu").step == 2
    outcome = cli("sample", run, "--count", 2)
    assert outcome.out == f"{run / 'samples-seed0.npz'}\n"
    with np.load(run / "samples-seed0.npz") as arrays:
        assert arrays["samples"].shape == (2, 7)
        assert list(arrays) == ["samples"]
    outcome = cli("sample", run, "--out", tmp_path / "new.png")
    assert (outcome.code, outcome.out) == (2, "")
    assert "there is no picture of samples of shape (7,)" in outcome.err


def test_an_image_that_a_network_cannot_make_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'dcgan' needs one image") as problem:
        trained(tmp_path / "run", Walks(shape=(3, 32, 7)), "dcgan")
    assert problem.value.path == ("game", "generator")
