"""Bad input ends with one message that has its place and its remedy, exit code 2, and no traceback."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from PIL import Image

from ganframe.plugins import registry
from ganframe.plugins.discovery import installed

CONFIG = """\
summary: A tiny run
game:
  type: adversarial
  generator: {type: mlp, latent: 8, hidden: [16]}
  discriminator: {type: mlp, hidden: [16]}
losses: [non-saturating]
data: digits
train: {images: 64, batch_size: 16, device: cpu}
"""
TOY = """\
    from typing import Literal
    from ganframe import hookimpl
    from ganframe.config.component_kinds import DatasetConfig
    from ganframe.config.networks import GeneratorConfig
    from ganframe.config.tensor_specs import TensorSpec

    class Plain(GeneratorConfig):
        '''A network that takes no condition.'''
        type: Literal["plain"] = "plain"

    class Squares(DatasetConfig):
        '''Square images.'''
        type: Literal["squares"] = "squares"
        side: int = 30
        '''Pixels.'''

        def spec(self):
            return {"real": TensorSpec((3, self.side, self.side))}

    @hookimpl
    def register_components(register):
        register(Plain)
        register(Squares)
    """


@pytest.fixture
def refused(cli, tmp_path):
    """Trains a config that is refused, and returns the message with the file's name taken for FILE."""

    def run(config: str | bytes, *arguments: object) -> str:
        file, out = tmp_path / "config.yaml", tmp_path / "out"
        file.write_bytes(config if isinstance(config, bytes) else config.encode())
        outcome = cli("train", file, "--out", out, *arguments)
        assert outcome.code == 2, outcome
        assert outcome.out == ""
        assert outcome.err.startswith("error: ")
        assert "Traceback" not in outcome.err
        assert not out.exists()
        return outcome.err.removeprefix("error: ").replace(str(file), "FILE").rstrip("\n")

    return run


def changed(old: str, new: str) -> str:
    assert CONFIG.count(old) == 1
    return CONFIG.replace(old, new)


SETTINGS = {
    "misspelt key": ("losses:", "loses:", "FILE:6:1: loses: ", ["no setting 'loses'", "did you mean 'losses'?"]),
    "misspelt key further in": ("batch_size", "batchsize", "FILE:8:21: train.batchsize: ", ["'batch_size'?"]),
    "misspelt key in a component": (
        "latent: 8, hidden",
        "latent: 8, hiden",
        "FILE:4:37: game.generator.hiden: ",
        ["generator 'mlp' has no setting 'hiden'", "did you mean 'hidden'?"],
    ),
    "key like no other": ("losses:", "zzz: 1\nlosses:", "FILE:6:1: zzz: ", ["it has: ", "losses, regularizers"]),
    "unknown type": (
        "generator: {type: mlp",
        "generator: {type: mpl",
        "FILE:4:15: game.generator.type: ",
        ["unknown generator 'mpl'; did you mean 'mlp'?"],
    ),
    "unknown type as a shorthand": ("digits", "digit", "FILE:7:1: data: ", ["unknown dataset 'digit'", "'digits'?"]),
    "type like no other": ("digits", "zzzzzz", "FILE:7:1: data: ", ["installed: ", "digits"]),
    "missing type": ("{type: mlp, latent", "{latent", "FILE:4:3: game.generator: ", ["no `type`", "mlp"]),
    "missing setting": ("images: 64, ", "", "FILE:8:1: train.total_images: ", ["missing"]),
    "missing section": ("data: digits\n", "", "FILE:1:1: data: ", ["missing"]),
    "empty section": ("digits", "", "FILE:7:1: data: ", ["type name", "given: nothing"]),
    "batch of none": (
        "batch_size: 16",
        "batch_size: 0",
        "FILE:8:21: train.batch_size: ",
        ["greater than 0", "given: 0"],
    ),
    "negative images": ("images: 64", "images: -5", "FILE:8:9: train.images: ", ["greater than 0", "given: -5"]),
    "probability of two": (
        "[non-saturating]",
        "[{type: non-saturating, labels: [{type: label-flipping, probability: 2}]}]",
        "FILE:6:65: losses.0.labels.0.probability: ",
        ["2 is above 1", "given: 2"],
    ),
    "text for a number": ("images: 64", "images: many", "FILE:8:9: train.images: ", ["a whole number", "'many'"]),
    "fraction for a whole number": ("images: 64", "images: 6.4", "FILE:8:9: train.images: ", ["whole number", "6.4"]),
    "list for a number": ("images: 64", "images: [64]", "FILE:8:9: train.images: ", ["a whole number"]),
    "text for a list": ("[non-saturating]", "non-saturating", "FILE:6:1: losses: ", ["a list", "'non-saturating'"]),
    "mapping for a list": ("[non-saturating]", "{type: hinge}", "FILE:6:1: losses: ", ["a list"]),
    "number for text": ("summary: A tiny run", "summary: 7", "FILE:1:1: summary: ", ["text", "given: 7"]),
    "number for a mapping": (
        "{images: 64, batch_size: 16, device: cpu}",
        "7",
        "FILE:8:1: train: ",
        ["a mapping of settings", "given: 7"],
    ),
    "number for a component": ("digits", "7", "FILE:7:1: data: ", ["type name", "given: 7"]),
    "one of a few words": (
        "device: cpu",
        "precision: fp8",
        "FILE:8:37: train.precision: ",
        ["'auto', 'fp32' or 'bf16'", "given: 'fp8'"],
    ),
    "learning rate below zero": (
        "data: digits",
        "optimizers: {generator: {type: adam, lr: -1}}\ndata: digits",
        "FILE:7:38: optimizers.generator.lr: ",
        ["-1 is below 0"],
    ),
    "learning rate that falls below zero": (
        "data: digits",
        "optimizers: {generator: {type: sgd, lr: {type: linear, start: 1.0, end: -1.0}}}\ndata: digits",
        "FILE:7:37: optimizers.generator.lr: ",
        ["-1 is below 0"],
    ),
    "decay rate of one in a parameter group": (
        "data: digits",
        "optimizers: {generator: {type: adam, groups: {mapping: {betas: [0.5, 1.0]}}}}\ndata: digits",
        "FILE:7:70: optimizers.generator.groups.mapping.betas.1: ",
        ["1 is not below 1"],
    ),
    "unknown setting of a parameter group": (
        "data: digits",
        "optimizers: {generator: {type: sgd, groups: {mapping: {momentun: 0.5}}}}\ndata: digits",
        "FILE:7:56: optimizers.generator.groups.mapping.momentun: ",
        ["optimizer 'sgd' has no setting 'momentun'", "did you mean 'momentum'?"],
    ),
    "decay rate of one": (
        "data: digits",
        "optimizers: {generator: {type: adam, betas: [0.5, 1.0]}}\ndata: digits",
        "FILE:7:51: optimizers.generator.betas.1: ",
        ["1 is not below 1"],
    ),
    "infinity": (
        "device: cpu",
        "ema: {half_life_images: .inf}",
        "FILE:8:43: train.ema.half_life_images: ",
        ["finite"],
    ),
    "term in no turn": (
        "[non-saturating]",
        "[{type: non-saturating, turns: []}]",
        "FILE:6:33: losses.0.turns: ",
        ["name at least one here"],
    ),
    "loss of no contest": (
        "[non-saturating]",
        "[{type: non-saturating, contests: []}]",
        "FILE:6:33: losses.0.contests: ",
        ["name at least one here"],
    ),
    "regularizer for a loss": (
        "[non-saturating]",
        "[r1]",
        "FILE:6:10: losses.0: ",
        ["'r1' is a regularizer, and a loss is needed here"],
    ),
    "loss for an optimizer": (
        "data: digits",
        "optimizers: {generator: hinge}\ndata: digits",
        "FILE:7:14: optimizers.generator: ",
        ["'hinge' is a loss, and an optimizer is needed here"],
    ),
    "number for an optimizer": (
        "data: digits",
        "optimizers: {generator: 3}\ndata: digits",
        "FILE:7:14: optimizers.generator: ",
        ["an optimizer is a type name"],
    ),
    "nothing to measure": (
        "data: digits",
        "evaluate: {metrics: []}\ndata: digits",
        "FILE:7:12: evaluate.metrics: ",
        ["name at least one here"],
    ),
    "no such device": ("device: cpu", "device: abacus", "FILE:8:37: train.device: ", ["'abacus'", "cpu or auto"]),
    "missing setting of a shorthand": ("digits", "image-folder", "FILE:7:1: data.path: ", ["missing"]),
    "missing setting of a schedule": (
        "train:",
        "optimizers: {generator: {type: adam, lr: {type: linear, start: 1}}}\ntrain:",
        "FILE:8:38: optimizers.generator.lr.end: ",
        ["missing"],
    ),
    "text for a schedule": (
        "train:",
        "optimizers: {generator: {type: adam, lr: fast}}\ntrain:",
        "FILE:8:38: optimizers.generator.lr: ",
        ["a number", "'fast'"],
    ),
    "too long a list": (
        "train:",
        "optimizers: {generator: {type: adam, betas: [0, 1, 2]}}\ntrain:",
        "FILE:8:38: optimizers.generator.betas: ",
        ["at most 2", "not 3"],
    ),
}

PARTS = {
    "a tensor that the game lacks": (
        "data:",
        "regularizers: [{type: l1, prediction: fake, target: target}]\ndata:",
        "FILE:7:16: regularizers.0: ",
        ["'l1' reads the tensor 'target'", "It has: real, label, latent, fake."],
    ),
    "an unknown contest": (
        "[non-saturating]",
        "[{type: non-saturating, contests: [d_a]}]",
        "FILE:6:33: losses.0.contests: ",
        ["no contest 'd_a'", "it has: discriminator"],
    ),
    "an optimizer of a player that the turn does not train": (
        "train:",
        "optimizers: {generator.discriminator: adam}\ntrain:",
        "FILE:8:14: optimizers.generator.discriminator: ",
        ["the turn 'generator' does not train 'discriminator'", "it trains: generator"],
    ),
    "an unknown parameter group": (
        "train:",
        "optimizers: {generator: {type: adam, groups: {mapping: {lr: 0.1}}}}\ntrain:",
        "FILE:8:47: optimizers.generator.groups.mapping: ",
        ["no parameter group 'mapping'", "they name none"],
    ),
    "an unknown turn": (
        "train:",
        "optimizers: {generatr: adam}\ntrain:",
        "FILE:8:14: optimizers.generatr: ",
        ["no turn 'generatr'", "it has: discriminator, generator"],
    ),
    "nothing to minimise": ("[non-saturating]", "[]", "FILE:6:1: losses: ", ["'discriminator'", "[non-saturating]"]),
    "a generator of another game": (
        "{type: mlp, latent: 8, hidden: [16]}",
        "unet",
        "FILE:4:3: game.generator: ",
        ["'unet' starts from a sample", "Use a generator that starts from a latent"],
    ),
    "data that lacks a tensor": (
        "digits",
        "squares",
        "FILE:7:1: data: ",
        ["the game reads label", "The data set gives: real."],
    ),
    "an unconditional network in a conditional game": (
        "{type: mlp, latent: 8, hidden: [16]}",
        "plain",
        "FILE:4:3: game.generator: ",
        ["'plain' takes no condition, but the game is conditional"],
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting_that_cannot_be_used(refused, case):
    old, new, place, needles = SETTINGS[case]
    message = refused(changed(old, new))
    assert message.startswith(place)
    assert all(needle in message for needle in needles), message


@pytest.mark.parametrize("case", PARTS)
def test_parts_that_do_not_fit(refused, fake_plugin, case):
    fake_plugin("toy", TOY)
    old, new, place, needles = PARTS[case]
    config = changed(old, new)
    if case in ("data that lacks a tensor", "an unconditional network in a conditional game"):
        config = config.replace("  discriminator: {type: mlp", "  condition: label\n  discriminator: {type: mlp")
        place = place.replace("FILE:7:", "FILE:8:")
    message = refused(config)
    assert message.startswith(place), message
    assert all(needle in message for needle in needles), message


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_network_that_does_not_fit_the_images(refused, fake_plugin, network):
    fake_plugin("toy", TOY)
    line = {"generator": 4, "discriminator": 5}[network]
    lines = changed("digits", "{type: squares, side: 6}").splitlines()
    lines[line - 1] = f"  {network}: dcgan"
    message = refused("\n".join(lines))
    assert message.startswith(f"FILE:{line}:3: game.{network}: ")
    assert "sides of at least 8, not 3 x 6 x 6" in message


def test_several_errors_are_all_said(refused):
    config = CONFIG.replace("[16]", "many").replace("batch_size: 16", "batch_size: 0").replace("digits", "digitz")
    places = [line.split(": ", 2)[:2] for line in refused(config).splitlines()]
    assert sorted(places) == [
        ["FILE:4:37", "game.generator.hidden"],
        ["FILE:5:30", "game.discriminator.hidden"],
        ["FILE:7:1", "data"],
        ["FILE:8:21", "train.batch_size"],
    ]


def test_an_unknown_setting_hides_nothing_else(refused):
    config = (
        CONFIG.replace("losses:", "loses:")
        .replace("type: mlp, latent: 8", "latnt: 8, type: mlp, activation: tan")
        .replace("images: 64, batch_size: 16", "imags: 64, batch_size: 0")
    )
    places = [line.split(": ", 2)[:2] for line in refused(config).splitlines()]
    assert sorted(places) == [
        ["FILE:4:15", "game.generator.latnt"],
        ["FILE:4:36", "game.generator.activation"],
        ["FILE:6:1", "loses"],
        ["FILE:8:20", "train.batch_size"],
        ["FILE:8:9", "train.imags"],
    ]


def test_a_line_number_is_no_emoji(refused):
    assert refused("\n" * 94 + changed("losses:", "loses:")).startswith("FILE:100:1: loses: ")


def test_a_type_of_a_package_that_is_not_installed(refused, monkeypatch):
    monkeypatch.setitem(registry.PACKAGES, ("loss", "softplus"), "ganframe-softplus")
    message = refused(changed("[non-saturating]", "[softplus]"))
    assert message.startswith("FILE:6:10: losses.0: ")
    assert "pip install ganframe-softplus" in message


def test_a_misspelt_type_of_a_package_that_is_not_installed(refused, monkeypatch):
    monkeypatch.setitem(registry.PACKAGES, ("loss", "softplus"), "ganframe-softplus")
    assert "did you mean 'softplus'?" in refused(changed("[non-saturating]", "[softplush]"))


TEXTS = {
    "empty": ("", "FILE:1:1: ", ["empty", "ganframe presets"]),
    "only a comment": ("# nothing\n", "FILE:1:1: ", ["empty"]),
    "a list": ("- 1\n- 2\n", "FILE:1:1: ", ["a mapping"]),
    "a word": ("digits\n", "FILE:1:1: ", ["a mapping"]),
    "not YAML": ("game: {type: adversarial\nlosses: [\n", "FILE:2:7: ", ["not YAML"]),
    "a tab": ("game:\n\ttype: adversarial\n", "FILE:2:1: ", ["not YAML"]),
    "an unknown alias": ("game: *nothing\n", "FILE:1:7: ", ["not YAML", "'nothing'"]),
    "a key twice": (CONFIG + "data: digits\n", "FILE:9:1: ", ["the key 'data'", "second time"]),
    "a key twice further in": (CONFIG.replace("images: 64", "images: 64, images: 65"), "FILE:8:21: ", ["'images'"]),
    "a tag of its own": ("game: !mine 3\n", "FILE:1:7: ", ["the tag !mine is not allowed"]),
    "bytes that are no text": (b"summary: \xff\xfe\n", "FILE: ", ["not UTF-8"]),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_file_that_is_no_config(refused, case):
    text, place, needles = TEXTS[case]
    message = refused(text)
    assert message.startswith(place), message
    assert all(needle in message for needle in needles), message


@pytest.mark.parametrize("where", ["file", "--set"])
@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [{}]", "!!python/object/apply:os.mkdir\n    - {}"])
def test_a_tag_that_makes_an_object_is_refused_and_nothing_is_run(refused, tmp_path, where, tag):
    trap = tmp_path / "sprung"
    value = tag.format(trap)
    if where == "file":
        message = refused(CONFIG.replace("data: digits", f"data: {value}"))
        assert message.startswith("FILE:7:7: ")
    else:
        message = refused(CONFIG, "--set", f"data={value}")
        assert message.startswith("--set data=")
    assert "the tag !!python/object/apply:os.mkdir is not allowed" in message
    assert not trap.exists()


OVERRIDES = {
    "no value": ("train.images", ["a.b=c", "--set train.batch_size=32"]),
    "no name": ("=3", ["a.b=c"]),
    "a hole in the name": ("train..images=3", ["a.b=c"]),
    "into a number": ("train.images.most=3", ["train.images is a single value"]),
    "past the end of a list": ("losses.3=hinge", ["no entry '3' in losses", "has 1 entry", "counted from 0"]),
    "into an entry past the end": ("losses.3.weight=2", ["no entry '3' in losses", "--set 'losses=[...]'"]),
    "a name in a list": ("losses.first.weight=2", ["no entry 'first' in losses"]),
    "a number in a mapping": ("train.0=2", ["there is no list at train"]),
    "into a list that is not there": ("regularizers.0.weight=2", ["no list at regularizers", "'regularizers=[...]'"]),
    "no YAML": ("train.images=[1", ["not YAML"]),
    "a misspelt name": ("train.imagess=3", ["train.imagess: ", "did you mean 'total_images'?"]),
    "a misspelt name of a shorthand": ("losses.0.wieght=3", ["losses.0.wieght: ", "did you mean 'weight'?"]),
    "a new name": ("zzz=3", ["zzz: ", "it has: "]),
    "a wrong value": ("train.images=many", ["train.images: ", "a whole number", "'many'"]),
    "a wrong value in a new section": ("snapshot.count=0", ["snapshot.count: ", "greater than 0"]),
    "settings of a number": ("seed.first=3", ["seed: ", "a whole number"]),
    "a wrong mapping": ("data={type: digits, splt: train}", ["data.splt: ", "did you mean 'split'?"]),
    "a mapping that does not fit": ("losses=[{type: hinge, contests: [d]}]", ["losses.0.contests: ", "no contest 'd'"]),
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_an_override_that_cannot_be_used(refused, case):
    override, needles = OVERRIDES[case]
    message = refused(CONFIG, "--set", override)
    assert message.startswith(f"--set {override}: "), message
    assert all(needle in message for needle in needles), message


def test_an_override_is_read_as_yaml_1_2(refused):
    assert "the game reads no, " in refused(CONFIG, "--set", "game.condition=no")


def test_a_metric_that_is_unknown_is_one_mistake(refused):
    message = refused(changed("data: digits", "evaluate: {metrics: [agreement]}\ndata: digits"))
    assert "unknown metric 'agreement'" in message
    assert len(message.splitlines()) == 1


def test_where_a_plugin_is_broken_an_unknown_type_says_so(refused, fake_plugin):
    fake_plugin("toy", "1 / 0")
    message = refused(changed("[non-saturating]", "[toy-loss]"))
    assert "unknown loss 'toy-loss'" in message
    assert "broken and left out: toy; see `ganframe plugins`" in message


def test_what_an_override_does_not_touch_keeps_its_line(refused):
    message = refused(changed("batch_size: 16", "batch_size: 0"), "--set", "train.images=3", "--set", "seed=1")
    assert message.startswith("FILE:8:21: train.batch_size: ")


@pytest.mark.parametrize(
    ("name", "needles"),
    [
        ("nowhere.yaml", ["nowhere.yaml: there is no config file here"]),
        ("a/folder", ["a/folder: there is no config file here"]),
        ("dcgan-digit", ["'dcgan-digit'", "Did you mean 'dcgan-digits'?"]),
        ("zzzzzz", ["'zzzzzz'", "`ganframe presets`"]),
    ],
)
def test_a_config_that_is_not_there(cli, name, needles):
    outcome = cli("explain", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert all(needle in outcome.err for needle in needles)


class TestFolders:
    """Data on disk that cannot be read."""

    def config(self, path: Path) -> str:
        return changed("data: digits", f"data: {{type: image-folder, path: {path}, resolution: 8}}")

    def test_missing(self, refused, tmp_path):
        folder = tmp_path / "cats"
        message = refused(self.config(folder))
        assert message.startswith("FILE:7:28: data.path: ")
        assert "no such folder" in message
        assert str(folder) in message

    def test_missing_and_relative(self, refused):
        assert f"relative to {Path.cwd()}" in refused(self.config(Path("no-cats")))

    def test_without_images(self, refused, tmp_path):
        folder = tmp_path / "cats"
        folder.mkdir()
        (folder / "notes.txt").write_text("no cat")
        message = refused(self.config(folder))
        assert message.startswith("FILE:7:28: data.path: ")
        assert "no images" in message
        assert ".png" in message

    def test_a_file_instead(self, refused, tmp_path):
        file = tmp_path / "cat.png"
        Image.new("L", (8, 8)).save(file)
        message = refused(self.config(file))
        assert message.startswith("FILE:7:28: data.path: ")
        assert f"the folder that it is in: {tmp_path}" in message

    def test_images_in_no_class(self, refused, tmp_path):
        Image.new("L", (8, 8)).save(tmp_path / "cat.png")
        message = refused(self.config(tmp_path).replace("path:", "labels: true, path:"))
        assert message.startswith("FILE:7:28: data.with_labels: ")
        assert "cat.png" in message

    def test_a_broken_image_is_named(self, cli, tmp_path):
        folder = tmp_path / "cats"
        folder.mkdir()
        (folder / "cat.png").write_bytes(b"no image")
        file = tmp_path / "config.yaml"
        file.write_text(self.config(folder))
        outcome = cli("explain", file)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{file}:7:1: data: " in outcome.err
        assert str(folder / "cat.png") in outcome.err


def tree(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


class TestRunFolders:
    """Commands that are given the wrong run."""

    def test_changes_are_allowed_to_a_run_that_goes_on(self, cli, digits_run, tmp_path):
        outcome = cli("train", digits_run / "config.yaml", "--out", tmp_path / "new", "--allow-changes", "seed")
        assert (outcome.code, outcome.out) == (2, "")
        assert "Add --resume" in outcome.err
        assert not (tmp_path / "new").exists()

    def test_an_existing_run_is_not_touched(self, cli, digits_run):
        before = tree(digits_run)
        outcome = cli("train", digits_run / "config.yaml", "--out", digits_run)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{digits_run}: this run folder exists already" in outcome.err
        assert "--resume" in outcome.err
        assert tree(digits_run) == before

    def test_an_existing_file_is_not_touched(self, cli, digits_run, tmp_path):
        target = tmp_path / "notes"
        target.write_text("mine")
        assert cli("train", digits_run / "config.yaml", "--out", target).code == 2
        assert target.read_text() == "mine"

    def test_resume_with_another_config(self, cli, digits_run):
        before = tree(digits_run)
        outcome = cli("train", digits_run, "--resume", "--set", "seed=3", "--set", "game.generator.latent=9")
        assert (outcome.code, outcome.out) == (2, "")
        assert "game.generator.latent, seed\n" in outcome.err
        assert "--out" in outcome.err
        assert tree(digits_run) == before

    def test_resume_without_a_run(self, cli, tmp_path):
        (tmp_path / "config.txt").write_text(CONFIG)
        outcome = cli("train", tmp_path / "config.txt", "--resume")
        assert (outcome.code, outcome.out) == (2, "")
        assert "--out RUN" in outcome.err

    def test_resume_of_nothing(self, cli, tmp_path):
        (tmp_path / "config.txt").write_text(CONFIG)
        outcome = cli("train", tmp_path / "config.txt", "--resume", "--out", tmp_path / "nothing")
        assert outcome.code == 2
        assert f"{tmp_path / 'nothing'}: there is no run" in outcome.err

    def test_a_run_for_a_config(self, cli, digits_run):
        outcome = cli("train", digits_run)
        assert outcome.code == 2
        assert "Add --resume" in outcome.err

    @pytest.mark.parametrize("command", ["sample", "interpolate", "evaluate", "report", "export"])
    def test_no_run(self, cli, tmp_path, command):
        outcome = cli(command, tmp_path)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"error: {tmp_path}: there is no run in this folder" in outcome.err
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("arguments", "needles"),
        [
            (["sample", "--label", "10"], ["0 to 9"]),
            (["sample", "--label", "-1"], ["0 to 9"]),
            (["sample", "--device", "abacus"], ["error: no device 'abacus' here", "cpu or auto"]),
            (["sample", "--out", "NEW/grid.jpg"], ["end in .png"]),
            (["interpolate", "--out", "NEW/grid.jpg"], ["end in .png"]),
            (["export", "--player", "judge"], ["no player 'judge'", "It has: generator, discriminator."]),
            (["export", "--out", "NEW/weights.pt"], [".safetensors or .pt2"]),
            (["export", "--player", "discriminator", "--out", "NEW/d.pt2"], ["no program", ".safetensors"]),
            (["evaluate"], ["no metrics", "--metric TYPE"]),
            (["evaluate", "--metric", "zzz"], ["unknown metric 'zzz'"]),
        ],
    )
    def test_arguments_that_do_not_fit_the_run(self, cli, digits_run, tmp_path, arguments, needles):
        command, *rest = (argument.replace("NEW", str(tmp_path)) for argument in arguments)
        before = tree(digits_run)
        outcome = cli(command, digits_run, *rest)
        assert (outcome.code, outcome.out) == (2, "")
        assert all(needle in outcome.err for needle in needles), outcome.err
        assert tree(digits_run) == before
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


BROKEN = {
    "an import that fails": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "an exception": ("raise RuntimeError('out of order')", "RuntimeError: out of order"),
    "an exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "a syntax error": ("def", "SyntaxError: invalid syntax"),
    "an unknown hook": (
        "from ganframe import hookimpl\n@hookimpl\ndef on_lunch(): ...",
        "PluginValidationError: unknown hook 'on_lunch'",
    ),
    "an unknown argument of a hook": (
        "from ganframe import hookimpl\n@hookimpl\ndef on_run_end(lunch): ...",
        "PluginValidationError",
    ),
    "a command that cannot be added": (
        "from ganframe import hookimpl\n@hookimpl\ndef register_commands(cli):\n    cli.no_such_thing()",
        "AttributeError: 'Typer' object has no attribute 'no_such_thing'",
    ),
    "a type that is taken": (
        dedent(TOY).replace("squares", "digits").replace('"plain"', '"plainer"'),
        "NameTaken: dataset 'digits' of broken-plugin is already supplied by ganframe-digits",
    ),
}


class TestPlugins:
    """Plugins that cannot be loaded."""

    @pytest.mark.parametrize("case", BROKEN)
    def test_a_broken_plugin_is_named_and_the_rest_goes_on(self, cli, fake_plugin, case):
        source, error = BROKEN[case]
        fake_plugin("toy", TOY)
        fake_plugin("z-broken", source, distribution="broken-plugin")
        outcome = cli("plugins")
        assert outcome.code == 0
        (line,) = (line for line in outcome.out.splitlines() if line.startswith("z-broken "))
        assert line.split()[1:4] == ["broken-plugin", "1.2", "BROKEN:"]
        assert error in line
        assert "squares" in outcome.out
        outcome = cli("doctor")
        assert outcome.code == 1
        assert f"plugin 'z-broken' (broken-plugin 1.2, z_broken): {error}" in outcome.out

    @pytest.mark.parametrize("case", BROKEN)
    def test_a_broken_plugin_ends_a_strict_command(self, cli, fake_plugin, monkeypatch, case):
        source, error = BROKEN[case]
        fake_plugin("z-broken", source, distribution="broken-plugin")
        monkeypatch.setenv("GANFRAME_STRICT_PLUGINS", "1")
        outcome = cli("presets")
        assert (outcome.code, outcome.out) == (2, "")
        assert "plugin 'z-broken' (broken-plugin 1.2, z_broken) cannot be loaded: " in outcome.err
        assert error in outcome.err
        assert "GANFRAME_STRICT_PLUGINS" in outcome.err

    def test_nothing_of_a_broken_plugin_stays(self, fake_plugin):
        fake_plugin("toy", TOY + "\n        register(int)\n")
        assert "squares" not in installed().registry.types("dataset")
        assert "plain" not in installed().registry.types("generator")

    def test_a_broken_plugin_leaves_the_others_of_its_package(self, fake_plugin):
        fake_plugin("toy", TOY, distribution="two-toys")
        fake_plugin("toy-too", "raise RuntimeError", distribution="two-toys")
        assert "squares" in installed().registry.types("dataset")
        assert {each.name for each in installed().plugins if each.error} == {"toy-too"}

    def test_a_preset_that_is_taken(self, fake_plugin):
        presets = """\
            from pathlib import Path
            from ganframe import hookimpl
            @hookimpl
            def register_presets(register):
                register(Path(__file__).parent)
            """
        taken = sorted(installed().presets)[0]
        owner = installed().presets[taken]
        fake_plugin("zz-toy", presets, presets={taken: CONFIG})
        assert installed().presets[taken] == owner
        assert f"preset {taken!r} of zz-toy is already supplied by" in installed().plugins[-1].error

    def test_limit(self, cli, monkeypatch, fresh_plugins):
        monkeypatch.setenv("GANFRAME_LOAD_PLUGINS", "digits, mlp,")
        outcome = cli("plugins")
        assert [each.name for each in installed().plugins] == ["ganframe", "digits", "mlp"]
        assert "adversarial" not in outcome.out
        monkeypatch.setitem(registry.PACKAGES, ("game", "adversarial"), "ganframe-adversarial")
        outcome = cli("explain", "mlp-digits")
        assert outcome.code == 2
        assert "ganframe-adversarial, which is installed but was not loaded; see `ganframe plugins`" in outcome.err

    def test_a_limit_to_what_is_not_installed(self, cli, monkeypatch, fresh_plugins):
        monkeypatch.setenv("GANFRAME_LOAD_PLUGINS", "digits,digitz")
        outcome = cli("plugins")
        assert (outcome.code, outcome.out) == (2, "")
        assert "GANFRAME_LOAD_PLUGINS=digits,digitz: no plugin is called digitz" in outcome.err
        assert "Installed: " in outcome.err

    def test_a_check_of_a_broken_plugin(self, cli, fake_plugin):
        fake_plugin("broken", "import no_such_module", distribution="broken-plugin")
        outcome = cli("plugins", "check", "broken-plugin")
        assert outcome.code == 2
        assert "No module named 'no_such_module'" in outcome.err

    def test_a_check_of_nothing(self, cli):
        outcome = cli("plugins", "check", "no-such-package")
        assert outcome.code == 2
        assert "'no-such-package' registers no component" in outcome.err


class TestArguments:
    """Arguments that no command takes."""

    @pytest.mark.parametrize(
        ("arguments", "needle"),
        [
            (["trian", "dcgan-digits"], "train"),
            (["train", "dcgan-digits", "--ouut", "x"], "--out"),
            (["train"], "Missing argument"),
            (["sample", "x", "--count", "0"], "--count"),
            (["interpolate", "x", "--steps", "1"], "--steps"),
            (["sample", "x", "--seed", "first"], "--seed"),
        ],
    )
    def test_refused(self, cli, arguments, needle):
        outcome = cli(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert needle in outcome.err
        assert "Traceback" not in outcome.err
