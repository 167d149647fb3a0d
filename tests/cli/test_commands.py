"""Every command, end to end, on one tiny run."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import safetensors
import torch
from PIL import Image
from rich.console import Console

import ganframe
from ganframe.evaluation.interpolation import slerp
from ganframe.evaluation.pictures import GAP, draw
from ganframe.evaluation.sample_files import save_samples
from ganframe.plugins.discovery import installed
from ganframe.training.assembly import assemble
from ganframe.training.trial_turns import take_trial_turns

CELL = 28 + GAP
"""Pixels from one digit of a grid to the next."""


def cells(picture: Path, rows: int, columns: int, side: int = 28, gap: int = GAP) -> np.ndarray:
    """The images of a grid `(rows, columns, side, side)`, whatever the grid was enlarged by."""
    pixels = np.asarray(Image.open(picture).convert("L"))
    height, width = rows * (side + gap), columns * (side + gap)
    factor = pixels.shape[0] // height
    assert pixels.shape == (height * factor, width * factor)
    small = pixels[::factor, ::factor].reshape(rows, side + gap, columns, side + gap)
    assert (small[:, side:] == 255).all()
    assert (small[:, :, :, side:] == 255).all()
    return small.transpose(0, 2, 1, 3)[:, :, :side, :side]


def as_pixels(samples: torch.Tensor) -> np.ndarray:
    return ((samples[:, 0].double() + 1) / 2 * 255).round().numpy()


def test_train(cli, digits_run, tmp_path):
    out = tmp_path / "a run"
    outcome = cli("train", digits_run / "config.yaml", "--set", "train.images=32", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-3:] == [
        f"run      {out}",
        f"samples  {out / 'samples.png'}",
        f"report   {out / 'report.html'}",
    ]
    assert ganframe.load(out).step == 2
    assert ganframe.load_config(str(out / "config.yaml")).train.total_images == 32
    assert (out / "samples.png").is_file()
    assert (out / "report.html").is_file()


def test_train_finds_a_folder_of_its_own(cli, digits_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert cli("train", "mlp-digits", "--set", "train.images=100", "--set", "snapshot.count=4").code == 0
    first, second = sorted((tmp_path / "runs").iterdir())
    assert first.name.startswith("mlp-digits-")
    assert second.name.startswith("mlp-digits-")


def test_train_resumes_from_the_run_folder_alone(cli, digits_run, tmp_path):
    out = tmp_path / "run"
    cli("train", digits_run / "config.yaml", "--out", out)
    outcome = cli("train", out, "--resume")
    assert outcome.code == 0
    assert ganframe.load(out).step == 4


def test_sample_as_a_grid(cli, digits_run, tmp_path):
    target = tmp_path / "new" / "grid.png"
    outcome = cli("sample", digits_run, "--count", 16, "--seed", 5, "--out", target)
    classes = ", ".join(f"{digit} is {digit}" for digit in range(10))
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{target}\n", f"classes: {classes}\n")
    drawn = cells(target, 2, 10).reshape(20, 28, 28)
    assert (drawn[16:] == 255).all()
    drawn = drawn[:16]
    assert np.abs(drawn - as_pixels(ganframe.load(digits_run).sample(16, seed=5))).max() <= 1


def test_a_path_is_printed_whole_and_as_it_is(cli, digits_run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    target = tmp_path / ("long " * 20) / "[red]:100:[/].png"
    assert cli("sample", digits_run, "--count", 1, "--out", target).out == f"{target}\n"
    assert f"error: {target}: this exists already\n" in cli("sample", digits_run, "--out", target).err


def test_sample_seeds(cli, digits_run, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert cli("sample", digits_run, "--count", 4, "--seed", seed, "--out", tmp_path / f"{name}.png").code == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_sample_as_a_folder_that_can_be_trained_on(cli, digits_run, tmp_path):
    out = tmp_path / "samples"
    assert cli("sample", digits_run, "--count", 5, "--label", 3, "--label", 7, "--out", out).code == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.png")) == [
        "3/000000.png",
        "3/000002.png",
        "3/000004.png",
        "7/000001.png",
        "7/000003.png",
    ]
    expected = as_pixels(ganframe.load(digits_run).sample(5, labels=[3, 7, 3, 7, 3]))
    for path in out.rglob("*.png"):
        assert np.abs(np.asarray(Image.open(path)) - expected[int(path.stem)]).max() <= 1


def test_samples_show_every_class_in_turn_beyond_one_batch(digits_run):
    trained = ganframe.load(digits_run)
    asked = trained.sample(100, labels=[index % 10 for index in range(100)])
    assert torch.equal(trained.sample(100), asked)


def test_sample_without_out_goes_into_the_run(cli, digits_run, tmp_path):
    run = copy_of(digits_run, tmp_path)
    outcome = cli("sample", run)
    assert outcome.out == f"{run / 'samples-seed0.png'}\n"
    assert cells(run / "samples-seed0.png", 10, 10).shape == (10, 10, 28, 28)


def test_the_label_decides_what_is_sampled(digits_run):
    trained = ganframe.load(digits_run)
    latent = torch.ones(1, 8).expand(2, 8)
    three, seven = trained.sample(2, labels=[3, 7], inputs={"latent": latent})
    assert not torch.equal(three, seven)
    generator = trained.players["generator"]
    assert torch.allclose(seven, generator(latent[:1], torch.tensor([7]))[0], atol=1e-6)


def test_samples_are_of_the_averaged_player(digits_run):
    stored = {}
    with safetensors.safe_open(sorted((digits_run / "checkpoints").iterdir())[-1] / "averages.safetensors", "pt") as f:
        for key in f.keys():
            stored[key.lstrip("/").removeprefix("generator.module.")] = f.get_tensor(key)
    for name, parameter in ganframe.load(digits_run).players["generator"].named_parameters():
        assert torch.equal(parameter, stored[name])


def test_a_damaged_checkpoint_is_passed_over(cli, digits_run, tmp_path):
    run = copy_of(digits_run, tmp_path)
    earlier, latest = sorted((run / "checkpoints").iterdir())
    spoil(latest / "averages.safetensors")
    assert ganframe.load(run).step == int(earlier.name)
    spoil(earlier / "player.generator.safetensors")
    outcome = cli("sample", run)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{run / 'checkpoints'}: every checkpoint of this run is damaged" in outcome.err


def spoil(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("count", [3, 9])
def test_inputs_are_as_many_as_the_samples(digits_run, count):
    with pytest.raises(ganframe.BadInput, match=f"5 samples were asked for, but 'latent' has {count}"):
        ganframe.load(digits_run).sample(5, inputs={"latent": torch.zeros(count, 8)})


def test_inputs_have_the_shape_that_the_game_makes(digits_run):
    with pytest.raises(ganframe.BadInput, match=r"'latent' has the shape \(9,\) and not \(8,\)"):
        ganframe.load(digits_run).sample(5, inputs={"latent": torch.zeros(5, 9)})


def test_no_samples_at_all_are_refused(digits_run):
    with pytest.raises(ganframe.BadInput, match="0 samples cannot be drawn"):
        ganframe.load(digits_run).sample(0)


def test_a_run_can_be_sampled_and_exported_without_its_data(cli, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.new("L", (16, 16), 50 * number).save(images / f"{number}.png")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"game: {{type: adversarial, generator: mlp, discriminator: mlp}}\nlosses: [hinge]\n"
        f"data: {{type: image-folder, path: {images}, resolution: 16}}\ntrain: {{images: 8, batch_size: 4}}\n"
    )
    run = tmp_path / "run"
    assert cli("train", config, "--out", run).code == 0
    here = ganframe.load(run).sample(3)
    shutil.rmtree(images)
    assert torch.equal(ganframe.load(run).sample(3), here)
    assert cli("export", run, "--out", tmp_path / "weights.safetensors").code == 0
    outcome = cli("train", config, "--out", run, "--resume")
    assert (outcome.code, "no such folder" in outcome.err) == (2, True)


def test_a_run_that_did_not_note_its_data_can_be_loaded_with_them(digits_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(digits_run, run)
    (run / "data.json").unlink()
    assert torch.equal(ganframe.load(run).sample(3), ganframe.load(digits_run).sample(3))


def test_a_condition_of_the_games_own_making_and_nothing_to_draw(cli, fake_plugin, digits_run, tmp_path):
    fake_plugin(
        "toy",
        """
        from dataclasses import replace
        from typing import Literal

        from ganframe import hookimpl
        from ganframe.config.tensor_specs import TensorSpec
        from ganframe_adversarial import AdversarialGame

        class Coded(AdversarialGame):
            'Judges fakes and reals beside a code.'

            type: Literal["coded"] = "coded"

            def build(self, data):
                import torch

                from ganframe.game import tensor
                from ganframe_adversarial.game import Adversarial

                class Game(Adversarial):
                    pictures = ()

                    def __init__(self, config, data):
                        super().__init__(config, data)
                        (contest,) = self.contests
                        self.contests = (replace(contest, real_condition="code", fake_condition="code"),)

                    def player_specs(self):
                        roles = super().player_specs()
                        judge = replace(roles["discriminator"], condition=TensorSpec((), classes=2))
                        return roles | {"discriminator": judge}

                    @tensor
                    def code(self, round):
                        "A class for each example."
                        return torch.arange(round.size) % 2

                return Game(self, data)

        @hookimpl
        def register_components(register):
            register(Coded)
        """,
    )
    settings = ("game.type=coded", "game.condition=null")
    run = tmp_path / "run"
    outcome = cli(
        "train", digits_run / "config.yaml", "--out", run, *(part for each in settings for part in ("--set", each))
    )
    assert outcome.code == 0, outcome.err
    assert not (run / "samples.png").exists()
    assert ganframe.load(run).sample(4).shape == (4, 1, 28, 28)


def test_on_one_line_with_the_origin_a_walk_goes_straight():
    start, end = torch.tensor([[1.0], [3.0]]), torch.tensor([[-2.0], [1.0]])
    assert torch.allclose(slerp(start, end, 0.25), torch.tensor([[0.25], [2.5]]))


def test_interpolate(cli, digits_run, tmp_path):
    target = tmp_path / "walk.png"
    outcome = cli("interpolate", digits_run, "--rows", 3, "--steps", 5, "--label", 2, "--seed", 4, "--out", target)
    assert (outcome.code, outcome.out) == (0, f"{target}\n")
    drawn = cells(target, 3, 5)
    trained = ganframe.load(digits_run)
    ends = trained.tensors(6, ("latent",), seed=4)["latent"]
    labels = [2] * 3
    for column, latents in ((0, ends[:3]), (4, ends[3:])):
        expected = as_pixels(trained.sample(3, labels=labels, inputs={"latent": latents}))
        assert np.abs(drawn[:, column] - expected).max() <= 1
    middle = (ends[:3] + ends[3:]).double()
    cosine = torch.nn.functional.cosine_similarity(ends[:3].double(), ends[3:].double())
    middle = (middle / (2 * ((1 + cosine) / 2).sqrt())[:, None]).float()
    expected = as_pixels(trained.sample(3, labels=labels, inputs={"latent": middle}))
    assert np.abs(drawn[:, 2] - expected).max() <= 1


def test_evaluate(cli, tmp_path):
    config = tmp_path / "ring.yaml"
    config.write_text(
        dedent(
            """\
            game: {type: adversarial, generator: {type: mlp, hidden: [8], output: linear}, discriminator: mlp}
            losses: [non-saturating]
            data: ring
            train: {images: 32, batch_size: 16, device: cpu}
            evaluate: {metrics: [{type: mode-coverage, samples: 150}]}
            """
        )
    )
    assert cli("train", config, "--out", tmp_path / "run").code == 0
    logged = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    own = cli("evaluate", tmp_path / "run")
    assert own.code == 0
    *lines, protocol = own.out.splitlines()
    assert protocol == "how mode-coverage was measured: samples 150"
    results = dict(line.split(": ") for line in lines)
    assert results == {name: f"{value:.4g}" for name, value in logged.items() if "/" in name}
    named = cli("evaluate", tmp_path / "run", "--metric", "mode-coverage", "--seed", 1)
    assert named.code == 0
    assert [line.split(": ")[0] for line in named.out.splitlines()[:-1]] == list(results)


def test_a_game_without_latents_or_labels(cli, tmp_path):
    overrides = ("game.generator.channels=4", "train.images=4", "train.batch_size=2", "train.precision=fp32")
    run = tmp_path / "run"
    outcome = cli("train", "pix2pix-emoji", "--out", run, *(part for each in overrides for part in ("--set", each)))
    assert outcome.code == 0
    assert cli("sample", run, "--count", 4).code == 0
    for arguments, message in (
        (["interpolate", run], "no latents to walk between"),
        (["sample", run, "--label", 1, "--out", tmp_path / "new.png"], "not conditioned on labels"),
    ):
        outcome = cli(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert message in outcome.err
    source = torch.zeros(3, *ganframe.load(run).game.data["source"].shape)
    assert ganframe.load(run).sample(3, inputs={"source": source}).shape[0] == 3
    with pytest.raises(ganframe.BadInput, match="no tensor 'sauce'"):
        ganframe.load(run).sample(3, inputs={"sauce": source})


class Page(HTMLParser):
    """Checks that tags nest, and notes what the page refers to."""

    VOID = ("meta", "img", "br", "hr", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.links, self.text = list[str](), list[str](), list[str](), list[str]()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_report(cli, digits_run, tmp_path):
    run = copy_of(digits_run, tmp_path)
    (run / "report.html").unlink()
    outcome = cli("report", run)
    assert (outcome.code, outcome.out) == (0, f"{run / 'report.html'}\n")
    source = (run / "report.html").read_text()
    page = Page(source)
    text = "".join(page.text)
    assert "<script>alert('x')</script> & more" in text
    assert "script" not in page.tags
    assert (run / "config.yaml").read_text() in text
    assert f"torch {torch.__version__}" in text
    assert "4 steps, 64 images" in text
    assert {"svg", "img", "pre", "table"} <= set(page.tags)
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert not re.search(r"url\((?!#)|@import", source)


def test_report_of_a_run_that_logged_nothing(cli, digits_run, tmp_path):
    run = copy_of(digits_run, tmp_path)
    (run / "scalars.jsonl").unlink()
    assert cli("report", run).code == 0
    assert "4 steps, 64 images." in "".join(Page((run / "report.html").read_text()).text)  # as its checkpoint says
    shutil.rmtree(run / "checkpoints")
    assert cli("report", run).code == 0
    assert "No step was logged yet." in "".join(Page((run / "report.html").read_text()).text)


def test_export_of_weights(cli, digits_run, tmp_path):
    target = tmp_path / "new" / "generator.safetensors"
    outcome = cli("export", digits_run, "--out", target)
    assert (outcome.code, outcome.out) == (0, f"{target}\n")
    network = ganframe.load(digits_run).players["generator"]
    with safetensors.safe_open(target, "pt") as file:
        metadata, names = file.metadata(), set(file.keys())
        assert names == set(network.state_dict())
        assert all(torch.equal(file.get_tensor(name), value) for name, value in network.state_dict().items())
    assert metadata["player"] == "generator"
    assert json.loads(metadata["config"])["latent"] == 8


def test_export_of_a_program(cli, digits_run, tmp_path):
    target = tmp_path / "generator.pt2"
    outcome = cli("export", digits_run, "--out", target)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{target}\n", "")
    program = torch.export.load(target).module()
    network = ganframe.load(digits_run).players["generator"]
    for size in (1, 7, 65):
        latent, label = torch.randn(size, 8), torch.arange(size) % 10
        torch.testing.assert_close(program(latent, label), network(latent, label))


def test_export_of_a_discriminator(cli, digits_run, tmp_path):
    target = tmp_path / "judge.safetensors"
    assert cli("export", digits_run, "--player", "discriminator", "--out", target).code == 0
    with safetensors.safe_open(target, "pt") as file:
        assert set(file.keys()) == set(ganframe.load(digits_run).players["discriminator"].state_dict())


@pytest.mark.parametrize("command", ["sample", "interpolate", "export", "schema"])
def test_nothing_is_overwritten(cli, digits_run, tmp_path, command):
    target = tmp_path / ("mine.safetensors" if command == "export" else "mine.png")
    target.write_text("mine")
    outcome = cli(command, *([] if command == "schema" else [digits_run]), "--out", target)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{target}: this exists already" in outcome.err
    assert target.read_text() == "mine"


def test_samples_are_not_put_into_a_folder_that_is_there(cli, digits_run, tmp_path):
    (tmp_path / "mine").mkdir()
    assert cli("sample", digits_run, "--out", tmp_path / "mine").code == 2
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_folder_that_cannot_be_made(cli, digits_run, tmp_path):
    (tmp_path / "file").write_text("mine")
    outcome = cli("sample", digits_run, "--out", tmp_path / "file" / "grid.png")
    assert outcome.code == 2
    assert f"{tmp_path / 'file'}: this folder cannot be created" in outcome.err


def test_presets(cli):
    outcome = cli("presets")
    assert (outcome.code, outcome.err) == (0, "")
    _, *rows = outcome.out.splitlines()
    shown = {row.split()[0]: row for row in rows}
    assert list(shown) == sorted(installed().presets)
    for name, (path, package) in installed().presets.items():
        assert package in shown[name]
        summary = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("summary: ")
        assert summary.strip("\"'") in shown[name]


def test_a_narrow_terminal_breaks_no_name(cli, monkeypatch):
    narrow = Console(force_terminal=True, color_system=None, width=80)
    monkeypatch.setattr("ganframe.cli.output.console", narrow)
    outcome = cli("presets")
    assert max(map(len, outcome.out.splitlines())) <= 80
    words = outcome.out.split()
    for name, (_, package) in installed().presets.items():
        assert name in words
        assert package in words


def test_plugins(cli):
    outcome = cli("plugins")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    for plugin in installed().plugins:
        assert any(line.split()[:2] == [plugin.name, plugin.package] for line in lines)
    for cls, package in installed().registry:
        start = lines.index(cls.kind)
        assert any(line.startswith(f"  {cls.type_name()} ({package}) {cls.summary()}") for line in lines[start:])
        assert cls.paper in outcome.out


@pytest.mark.parametrize("preset", sorted(installed().presets))
def test_explain_every_preset(cli, preset):
    outcome = cli("explain", preset)
    assert (outcome.code, outcome.err) == (0, "")
    experiment = ganframe.load_config(preset)
    summary, *_ = outcome.out.splitlines()
    assert summary == experiment.summary
    tables = {title: rows for title, *rows in (block.splitlines() for block in outcome.out.split("\n\n")[1:])}
    assembly = assemble(experiment)
    game = assembly.game
    augmentations = ["augmentations"] if experiment.augmentations else []
    classes = ["classes"] if any(spec.class_names for spec in game.data.values()) else []
    evaluation = ["evaluation"] if experiment.evaluate else []
    titles = ["data", *classes, "players", "named tensors", "contests", "terms", "turns", *augmentations, *evaluation]
    assert list(tables) == [*titles, "cost"]
    assert tables["data"][1].split()[:2] == [experiment.data.type_name(), f"{len(experiment.data.build()):,}"]
    assert first_words(tables["players"]) == list(game.players)
    for row, (name, player) in zip(tables["players"][1:], game.players.items(), strict=True):
        count = sum(each.numel() for each in player.parameters())
        assert row.split()[1] == game.player_specs()[name].config.type_name()
        assert row.split()[-1] == f"{count:,}"
    assert first_words(tables["named tensors"]) == list(game.names)
    for name, spec in game.data.items():
        (row,) = (row for row in tables["named tensors"] if row.split()[0] == name)
        assert " x ".join(map(str, spec.shape)) in row
    assert first_words(tables["contests"]) == [contest.name for contest in game.contests]
    assert first_words(tables["terms"]) == [
        config.type_name() for config in (*experiment.losses, *experiment.regularizers)
    ]
    assert first_words(tables["turns"]) == [turn.name for turn in game.turns]
    for row, turn in zip(tables["turns"][1:], game.turns, strict=True):
        assert all(player in row for player in turn.players)
    steps = -(-experiment.train.total_images // assembly.images_per_step)
    assert tables["cost"][0].startswith(f" {steps:,} steps of {assembly.images_per_step} images; ")


def first_words(rows: list[str]) -> list[str]:
    return [row.split()[0] for row in rows[1:]]


def test_explain_says_shapes_weights_and_intervals(cli, digits_run):
    overrides = ("losses.0.weight=1e-3", "losses.0.every=4", "game.discriminator_steps=2")
    outcome = cli("explain", digits_run / "config.yaml", *(part for each in overrides for part in ("--set", each)))
    squeezed = re.sub(r" +", " ", outcome.out)
    assert "latent 8 " in squeezed
    assert "fake 1 x 28 x 28 " in squeezed
    assert "non-saturating 0.001 each 4th turn contests discriminator discriminator, generator" in squeezed
    assert "discriminator (2 times) discriminator in each step non-saturating adam (lr 0.0002)" in squeezed


def test_explain_counts_the_operations_of_a_step(cli, digits_run):
    """Two matrix products a layer; forward and backward by hand for the tiny networks without a condition."""
    config = digits_run / "config.yaml"
    outcome = cli("explain", config, "--set", "game.condition=null", "--set", "train.images=16")
    generator = [(8, 16), (16, 784)]
    discriminator = [(784, 16), (16, 1)]

    def products(layers, factors):
        return sum(2 * inner * outer * factor for (inner, outer), factor in zip(layers, factors, strict=True))

    # The discriminator's turn makes fakes, judges two samples, and differentiates by its weights and hidden units.
    first = products(generator, [1, 1]) + 2 * products(discriminator, [2, 3])
    # The generator's turn judges fakes alone, and differentiates down to the generator's weights.
    second = products(generator, [2, 3]) + products(discriminator, [2, 2])
    step = f"{16 * (first + second) / 1e6:.3g} M"
    assert f" 1 steps of 16 images; {step} operations a step, {step} in all" in outcome.out
    # Four batches of 16 are two steps of a discriminator that moves twice.
    twice = cli("explain", config, "--set", "game.condition=null", "--set", "game.discriminator_steps=2")
    step = 16 * (2 * first + second)
    assert f" 2 steps of 32 images; {step / 1e6:.3g} M operations a step, {2 * step / 1e6:.3g} M in all" in twice.out


def test_explain_charges_a_lazy_term_for_the_steps_that_it_joins():
    def operations(*penalties: str) -> float:
        experiment = ganframe.load_config("ring", f"regularizers=[{', '.join(penalties)}]", "train.images=256")
        return take_trial_turns(assemble(experiment)).operations

    alone, always = operations(), operations("r1")
    assert always > 1.1 * alone
    assert operations("{type: r1, every: 4}") == pytest.approx(alone + (always - alone) / 4)
    both = operations("{type: r1, every: 2}", "{type: r2, every: 3}")
    # Together in one step of six, r1 by itself in two, r2 in one.
    r2, together = operations("r2"), operations("r1", "r2")
    assert both == pytest.approx((together + 2 * always + r2 + 2 * alone) / 6)


def test_doctor(cli, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    outcome = cli("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    assert all(line.startswith("ok ") for line in outcome.out.splitlines())
    assert f"PyTorch {torch.__version__} on " in outcome.out
    assert f"{len(installed().presets)} presets" in outcome.out


def test_doctor_knows_triton_by_whatever_distribution_supplies_it(cli, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"triton": ["pytest"]})
    assert f"Triton {metadata.version('pytest')}\n" in cli("doctor").out


def test_doctor_says_what_is_wrong(cli, monkeypatch):
    def no_compiler(function):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", no_compiler)
    outcome = cli("doctor")
    assert outcome.code == 1
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("bad "))
    assert "torch.compile fails (RuntimeError)" in line
    assert "`train.compile` off" in line


def test_plugins_check(cli):
    outcome = cli("plugins", "check", "ganframe-minimax")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert all(line.startswith("ok   loss ") for line in lines)
    assert "ok   loss non-saturating: YAML round trip" in lines


def test_plugins_check_names_what_fails(cli, fake_plugin):
    fake_plugin(
        "toy",
        """\
        from typing import Literal
        from ganframe import hookimpl
        from ganframe.config.schedules import ScheduleConfig

        class Endless(ScheduleConfig):
            '''A schedule without end.'''
            type: Literal["endless"] = "endless"

            def at(self, images, total):
                return float("inf")

        @hookimpl
        def register_components(register):
            register(Endless)
        """,
    )
    outcome = cli("plugins", "check", "toy")
    assert outcome.code == 1
    assert "FAIL schedule endless: finite over a run\n" in outcome.out
    assert "error: 1 checks failed" in outcome.err


def test_a_plugin_adds_a_command(cli, fake_plugin):
    fake_plugin(
        "toy",
        """\
        from ganframe import hookimpl

        @hookimpl
        def register_commands(cli):
            @cli.command()
            def greet(name: str) -> None:
                print(f"hello {name}")
        """,
    )
    outcome = cli("greet", "world")
    assert (outcome.code, outcome.out) == (0, "hello world\n")


def test_help_names_every_command(cli):
    outcome = cli("--help")
    commands = "train sample augment interpolate translate evaluate report export presets explain schema doctor plugins"
    assert outcome.code == 0
    assert all(re.search(rf"^\W*{command} ", outcome.out, re.MULTILINE) for command in commands.split())


def test_an_interrupt_ends_a_run_that_can_go_on(cli, fake_plugin, digits_run, tmp_path):
    fake_plugin(
        "toy",
        """\
        from ganframe import hookimpl

        @hookimpl
        def on_step_end(run, step):
            if step == 2 and not run.resumed:
                raise KeyboardInterrupt
        """,
    )
    outcome = cli("train", digits_run / "config.yaml", "--out", tmp_path / "run")
    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    assert cli("train", tmp_path / "run", "--resume").code == 0
    whole, resumed = ganframe.load(digits_run), ganframe.load(tmp_path / "run")
    assert resumed.step == whole.step
    assert torch.equal(resumed.sample(4), whole.sample(4))


def test_a_run_that_fails_ends_with_one_message(cli, fake_plugin, digits_run, tmp_path):
    fake_plugin(
        "toy",
        """\
        from ganframe import hookimpl

        @hookimpl
        def on_step_end(run, step):
            raise ZeroDivisionError("nothing left")
        """,
    )
    outcome = cli("train", digits_run / "config.yaml", "--out", tmp_path / "run")
    assert outcome.code == 1
    message = "error: plugin 'toy' failed in on_step_end: ZeroDivisionError: nothing left (toy: "
    assert outcome.err.startswith(message)
    assert outcome.err.count("\n") == 1


def test_a_disk_that_refuses_ends_with_one_message(cli, digits_run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path / "grid.png"))

    monkeypatch.setattr("ganframe.evaluation.pictures.write_atomically", full)
    outcome = cli("sample", digits_run, "--out", tmp_path / "grid.png")
    assert (outcome.code, outcome.err) == (1, f"error: {tmp_path / 'grid.png'}: No space left on device\n")


class TestPictures:
    """The tensors that `sample` and snapshots draw."""

    def test_a_grid_has_each_pixel_in_its_place(self, tmp_path):
        images = torch.linspace(-1, 1, 6 * 28 * 28).reshape(6, 1, 28, 28)
        draw({"samples": images}, tmp_path / "grid.png", columns=3)
        drawn = cells(tmp_path / "grid.png", 2, 3)
        assert np.abs(drawn.reshape(6, 28, 28) - as_pixels(images)).max() <= 1

    def test_colours_keep_their_order(self, tmp_path):
        image = torch.full((1, 3, 8, 8), -1.0)
        image[:, 0] = 1.0
        draw({"samples": image}, tmp_path / "red.png")
        assert Image.open(tmp_path / "red.png").getpixel((0, 0)) == (255, 0, 0)
        save_samples([image], tmp_path / "each")
        assert Image.open(tmp_path / "each" / "000000.png").getpixel((0, 0)) == (255, 0, 0)

    def test_tensors_of_an_example_stand_side_by_side(self, tmp_path):
        source, fake = torch.full((8, 1, 28, 28), -1.0), torch.full((8, 3, 28, 28), 1.0)
        draw({"source": source, "fake": fake}, tmp_path / "pairs.png")
        assert cells(tmp_path / "pairs.png", 4, 4).mean(axis=(2, 3)).tolist() == [[0, 255, 0, 255]] * 4

    def test_values_beyond_the_range_are_cut(self, tmp_path):
        draw({"samples": torch.tensor([-9.0, 9.0])[:, None, None, None].expand(2, 1, 28, 28)}, tmp_path / "two.png")
        assert cells(tmp_path / "two.png", 1, 2).mean(axis=(2, 3)).tolist() == [[0, 255]]

    def test_points_are_a_scatter_plot(self, tmp_path):
        draw({"real": torch.zeros(5, 2), "fake": torch.ones(5, 2)}, tmp_path / "points.png")
        with Image.open(tmp_path / "points.png") as picture:
            assert picture.size == (500, 500)

    @pytest.mark.parametrize("shape", [(4, 3), (4,), (4, 1, 2, 8, 8), (0, 1, 8, 8)])
    def test_what_cannot_be_drawn_is_said(self, tmp_path, shape):
        with pytest.raises(ganframe.BadInput, match="there is no picture of samples"):
            draw({"samples": torch.zeros(shape)}, tmp_path / "no.png")


def copy_of(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / run.name))


def test_a_file_name_that_is_no_text_is_printed_with_escapes(cli, digits_run, tmp_path):
    out = f"{tmp_path}/\udcff.npz"
    outcome = cli("sample", digits_run, "--count", "1", "--out", out)
    assert outcome.code == 0
    assert outcome.out == f"{tmp_path}/\\udcff.npz\n"
    assert (tmp_path / "\udcff.npz").is_file()
