"""No code runs from a checkpoint, a run folder, a config, a preset, an array, weights, an image or a report, whoever
made it. What is not as ganframe writes it is refused with its reason and exit code 2, in bounded memory, and nothing
outside of a run folder is read or written for a link in it. Plugins run code by design: it is shown which are loaded
from where, they can be limited to a list, and a run that goes on under other versions says so.

A corpus of malicious files, made by the tests, is put in the place of each file that is read: pickles in every
wrapping, tags that make objects, names that climb out, links, aliases and brackets that grow, headers of absurd sizes,
markup in every name. The pickles and tags would make a canary file; none does. The digests of checkpoints hold.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path

import hostile
import pytest
import safetensors.torch
from memory import measured
from PIL import Image

from ganframe import load_config, train
from ganframe.plugins.discovery import installed
from ganframe.runs.folder import default_folder

CONFIG = """\
game:
  type: adversarial
  generator: {type: mlp, latent: 4, hidden: [8]}
  discriminator: {type: mlp, hidden: [8]}
losses: [non-saturating]
data: digits
train: {images: 32, batch_size: 16, device: cpu, ema: {half_life_images: 100}}
snapshot: {count: 4}
loggers: [{type: jsonl, every: 1}]
"""
OF_RUNS = (("sample",), ("export",), ("report",), ("train", "--resume"))
"""Commands that read a run."""


def some(corpus: Iterable[str], every: int) -> list[object]:
    """Each k-th case for every day, the others for the full counts."""
    return [
        pytest.param(name, id=f"{name[:40]!a}", marks=[pytest.mark.slow] if number % every else [])
        for number, name in enumerate(corpus)
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "config.yaml").write_text(CONFIG)
    return train(load_config(str(folder / "config.yaml")), out=folder / "run").path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run that is to be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that only code in a hostile file makes."""
    yield tmp_path / "canary"
    assert not (tmp_path / "canary").exists(), "code of a hostile file ran"
    assert not list(tmp_path.rglob("canary*")), "a hostile file was unpacked"


@pytest.fixture
def refused(cli, figures):
    """Runs a command that is refused, and returns what is said."""

    def call(*arguments: object) -> str:
        outcome = cli(*arguments)
        assert outcome.code == 2, (arguments, outcome)
        assert outcome.err.startswith(("error: ", "skipped a damaged checkpoint: ")), outcome.err
        assert "Traceback" not in outcome.err
        assert len(outcome.err) < 5000
        figures.count("hostile files refused with their reason")
        figures.worst("canaries that code in them made", 0)
        return outcome.err

    return call


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


# Checkpoints and run folders.


@pytest.mark.parametrize("attack", some(hostile.checkpoints(Path()), 8))
def test_a_checkpoint_that_no_run_wrote(attack: str, run: Path, canary: Path, refused) -> None:
    hostile.checkpoints(canary)[attack](run)
    before = tree(run)
    assert str(run) in refused("sample", run)
    said = refused("train", run, "--resume")
    assert str(run) in said or "the saved state does not fit this config" in said
    assert tree(run) == before


@pytest.mark.parametrize("attack", some(hostile.optimizers(), 3))
def test_an_optimizer_that_no_run_had(attack: str, run: Path, refused) -> None:
    hostile.optimizers()[attack](run)
    before = tree(run)
    assert "the saved state does not fit this config: optimizer generator: " in refused("train", run, "--resume")
    assert tree(run) == before


@pytest.mark.parametrize("attack", some(hostile.manifests(Path()), 5))
def test_a_manifest_that_no_run_wrote(attack: str, run: Path, canary: Path, refused) -> None:
    hostile.manifests(canary)[attack](run)
    assert str(run) in refused("sample", run)


def test_files_that_a_manifest_does_not_list_are_not_touched(run: Path, canary: Path, cli, figures) -> None:
    checkpoint = hostile.last(run)
    for number, content in enumerate(hostile.pickles(canary).values()):
        for name in (f"{number}.pkl", f"{number}.pt", f"player.{number}.safetensors", f"{number}.pth"):
            (checkpoint / name).write_bytes(content)
            (run / name).write_bytes(content)
            figures.count("hostile files that are inert where they lie")
    assert cli("sample", run).code == 0
    assert cli("train", run, "--resume").code == 0


@pytest.mark.parametrize("attack", some(hostile.links(Path("secret")), 6))
def test_links_that_lead_out_of_a_run(attack: str, run: Path, tmp_path: Path, refused) -> None:
    """A report would show what they lead to, and a resumed run write over it."""
    secret = tmp_path / "outside" / "secret"
    secret.parent.mkdir()
    secret.write_text('{"step": 1, "images": 16, "password": 1234}\n')
    hostile.links(secret)[attack](run)
    for command, *more in OF_RUNS:
        said = refused(command, run, *more)
        assert "leads out of the run folder" in said or "neither a file nor a folder" in said
    assert secret.read_text() == '{"step": 1, "images": 16, "password": 1234}\n'


def test_links_within_a_run_are_no_harm(run: Path, cli) -> None:
    (run / "latest").symlink_to("checkpoints")
    assert cli("sample", run).code == 0


@pytest.mark.parametrize("attack", some(hostile.logs(), 5))
def test_logs_that_no_run_wrote(attack: str, run: Path, refused) -> None:
    hostile.logs()[attack](run)
    before = tree(run)
    refused("report", run)
    refused("train", run, "--resume")
    assert tree(run) == before


@pytest.mark.parametrize("spec", some(hostile.SPECS, 2))
def test_a_spec_of_the_data_that_no_run_wrote(spec: str, run: Path, refused) -> None:
    (run / "data.json").write_bytes(hostile.SPECS[spec])
    for command in ("sample", "export"):
        refused(command, run)


def test_a_picture_that_is_none(run: Path, refused) -> None:
    (run / "samples.png").write_bytes(b"x" * 200_000)
    assert f"{run / 'samples.png'}: this picture cannot be read" in refused("report", run)


LINES = ("[" * 1000, '{"file": "a", "reason": "b", "batch": "c", "time": "d"}', "[1]", '{"file": 1}', "import os", "{}")


@pytest.mark.parametrize("line", some(LINES, 3))
def test_a_quarantine_that_no_run_wrote(line: str, run: Path, refused) -> None:
    (run / "quarantine.jsonl").write_text(line + "\n")
    longer = ("--set", "train.images=64", "--allow-changes", "train")
    assert f"{run / 'quarantine.jsonl'}:1: " in refused("train", run, "--resume", *longer)


# Configs, presets and overrides.


@pytest.mark.parametrize("text", some(hostile.tagged(Path()) | hostile.growing(), 6))
def test_yaml_that_makes_objects_or_grows(text: str, run: Path, tmp_path: Path, canary: Path, refused) -> None:
    content = (hostile.tagged(canary) | hostile.growing())[text]
    config = tmp_path / "config.yaml"
    config.write_text(content)
    said = refused("explain", config)
    assert str(config) in said
    # A second document is refused before its tags are looked at.
    assert "is not allowed in a config" in said or text not in hostile.tagged(canary) or "second" in text
    assert said == refused("train", config, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (run / "config.yaml").write_text(content)
    assert str(run / "config.yaml") in refused("sample", run)


@pytest.mark.parametrize("text", some([*hostile.tagged(Path()), "a billion laughs", "lists in lists"], 7))
def test_yaml_of_an_override(text: str, tmp_path: Path, canary: Path, refused, trained: Path) -> None:
    content = (hostile.tagged(canary) | hostile.growing())[text]
    value = "{" + content.replace("\n", ", ") + "}" if text.startswith("a billion") else content.removeprefix("data: ")
    if len(value) > 100_000:  # a command line has a limit of its own
        value = value[:50_000]
    refused("explain", trained / "config.yaml", "--set", f"data={value}")


@pytest.mark.parametrize("text", some([*hostile.tagged(Path()), "a billion laughs"], 6))
def test_yaml_of_a_preset(text: str, canary: Path, fake_plugin, refused) -> None:
    source = """\
        from pathlib import Path
        from ganframe import hookimpl

        @hookimpl
        def register_presets(register):
            register(Path(__file__).parent)
        """
    fake_plugin("toy", source, presets={"toy": (hostile.tagged(canary) | hostile.growing())[text]})
    refused("explain", "toy")
    refused("presets")


GROWN = {
    "a billion laughs": "at most 10,000 values",
    "a billion merges": "at most 10,000 values",
    "a long text": "at most 250,000 characters",
    "lists in lists": "more than 50 deep",
}


@pytest.mark.parametrize("text", some(GROWN, 4))
def test_what_grows_is_refused_before_it_does(text: str, tmp_path: Path, figures, plain_memory: float) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(hostile.growing()[text])
    code, errors, peak = measured([sys.executable, "-m", "ganframe", "explain", str(config)])
    assert code == 2
    assert GROWN[text] in errors
    assert peak < plain_memory + 100
    figures.worst("memory that refusing a config took, MiB", round(max(peak - plain_memory, 0)))


@pytest.fixture(scope="module")
def plain_memory(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The memory that refusing a small config takes, in MiB."""
    config = tmp_path_factory.mktemp("plain") / "config.yaml"
    config.write_text("seed: x\n")
    return measured([sys.executable, "-m", "ganframe", "explain", str(config)])[2]


# Names.


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "..", ".", "", "a/b", "a\\b", "a\nb", "-rf", "~", "$(touch x)", "\0"]
)
def test_a_run_that_is_called_after_a_path_stays_where_runs_are(name: str, figures) -> None:
    folder = default_folder(name)
    assert folder.parent == Path("runs")
    assert folder.name not in (".", "..")
    assert "\0" not in str(folder)
    figures.count("names that lead nowhere")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..", "~", "toy/../../x", "!!python/name:os"])
def test_a_preset_that_is_called_after_a_path(name: str, refused) -> None:
    refused("train", name)


def test_out_does_not_write_over_anything(trained: Path, tmp_path: Path, refused) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for out in (target, tmp_path / "link", tmp_path / "dangling"):
        refused("train", trained / "config.yaml", "--out", out)
    for out in (target, tmp_path / "link"):
        refused("sample", trained, "--out", out)
    assert target.read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["../x", "x/../../y", "/x", "X;rm", "os"])
def test_a_plugin_that_is_called_after_a_path(name: str, tmp_path: Path, refused) -> None:
    refused("plugins", "new", name, "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


# Weights, arrays and images.


@pytest.mark.parametrize("content", some([*hostile.pickles(Path()), *hostile.absurd_tensors(), "names", "a pipe"], 8))
def test_weights_of_an_encoder(content: str, tmp_path: Path, canary: Path, refused, trained: Path) -> None:
    file = tmp_path / "vgg.pt"
    if content == "a pipe":
        os.mkfifo(file)
    elif content == "names":
        file.write_bytes(hostile.traversing_tensors())
    else:
        file.write_bytes((hostile.pickles(canary) | hostile.absurd_tensors())[content])
    encoder = f"{{type: vgg, file: {file}, layers: [relu1_2]}}"
    term = f"[{{type: perceptual, prediction: fake, target: real, encoder: {encoder}}}]"
    said = refused("train", trained / "config.yaml", "--set", f"regularizers={term}", "--out", tmp_path / "out")
    assert str(file) in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", some(hostile.arrays(Path("x")), 8))
@pytest.mark.parametrize(
    ("module", "data"),
    [
        ("ganframe_digits.dataset", "digits"),
        ("ganframe_digits.dataset", "{type: partly-labelled, data: digits, labels: 10}"),
        ("ganframe_fluent_emoji.dataset", "{type: fluent-emoji, paired: false}"),
    ],
)
def test_arrays_of_a_package(
    module: str, data: str, content: str, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, refused
) -> None:
    file = tmp_path / "arrays.npz"
    file.write_bytes(hostile.arrays(canary)[content])
    monkeypatch.setattr(f"{module}.FILE", file)
    preset = {"ganframe_digits.dataset": "dcgan-digits", "ganframe_fluent_emoji.dataset": "cyclegan-emoji"}[module]
    preset = "sgan-digits" if "partly" in data else preset
    assert str(file) in refused("train", preset, "--set", f"data={data}", "--out", tmp_path / "out")


def test_arrays_that_unpack_to_more_than_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused) -> None:
    file = tmp_path / "arrays.npz"
    file.write_bytes(hostile.zipped("train_images.npy", bytes(10_000)))
    monkeypatch.setattr("ganframe_digits.dataset.FILE", file)
    monkeypatch.setattr("ganframe.data.npz_files.LARGEST_ARRAYS", 9_999)
    assert "they take 10,000 bytes" in refused("train", "dcgan-digits", "--out", tmp_path / "out")


def test_a_folder_of_what_only_looks_like_images(tmp_path: Path, canary: Path, refused, trained: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, content in enumerate(hostile.pickles(canary).values()):
        (folder / f"{number}.png").write_bytes(content)
        (folder / f"{number}.pt").write_bytes(content)
    settings = ("--set", f"data={{type: image-folder, path: {folder}, resolution: 8}}", "--out", tmp_path / "out")
    said = refused("train", trained / "config.yaml", *settings)
    assert f"{number + 1} of {number + 1} files cannot be read" in said
    for file in folder.glob("*.png"):
        file.unlink()
    assert "there are no images in this folder" in refused("train", trained / "config.yaml", *settings)


# Reports.

MARK = "h0stile"
MARKUP = (
    f"<script>{MARK}()</script>",
    f"<img src=x onerror={MARK}()>",
    f"'><svg onload={MARK}()>",
    f'"><b {MARK}="x">',
    f"</pre></td></svg></style><{MARK}>",
    f"--><{MARK}><!--",
    f"]]><{MARK}/><![CDATA[",
    f"&lt;{MARK}&gt;",
    f"$\\{MARK}{{x$",
    f"_{MARK}",
    f"{{{{{MARK}}}}}",
    f"[red]{MARK}[/] \x1b[31m {MARK} \u202e 汉字",
)
"""Names that are markup, of HTML, SVG, Matplotlib, rich and terminals."""


class Page(HTMLParser):
    """The parts of a page other than its text.

    Attributes:
        parts: Names of elements and attributes, values of attributes, comments and declarations.
        text: The text.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts = list[str]()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts += [tag, *(each or "" for pair in attrs for each in pair)]

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(tag)

    def handle_comment(self, data: str) -> None:
        self.parts.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("markup", some(MARKUP, 4))
def test_markup_in_a_run_stays_text(markup: str, run: Path, tmp_path: Path, cli, figures) -> None:
    named = run.rename(tmp_path / markup.replace("/", "|"))
    config = json.dumps(markup, ensure_ascii=True)
    (named / "config.yaml").write_text(f"summary: {config}\n{CONFIG}")
    environment = json.loads((named / "environment.json").read_text())
    environment |= {markup: markup, "plugins": {markup: markup}}
    (named / "environment.json").write_text(json.dumps(environment))
    lines = [{"step": step, "images": 16 * step, f"{markup}/{markup}": 1.0, "g/x": 2.0} for step in range(1, 9)]
    (named / "scalars.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (named / "metrics.jsonl").write_text(json.dumps({"step": 8, "images": 128, markup: 1.0}) + "\n")
    for name in (f"{markup.replace('/', '|')}.png", "000000001.png", "000000002.png", "².png"):
        Image.new("L", (2, 2)).save(named / "pictures" / name)
    outcome = cli("report", named)
    assert outcome.code == 0, outcome
    page = Page((named / "report.html").read_text())
    plain = set(Page(plain_report(run, named, cli)).parts)
    assert [part for part in page.parts if MARK in part] == []
    assert {part for part in page.parts if not part.startswith("data:")} <= plain | set(numbers_of(page.parts))
    assert page.text.count(MARK) >= 6
    figures.count("markup in names and texts that stayed text in a report")


def plain_report(run: Path, named: Path, cli) -> str:
    """The report of the same run with names that are plain words."""
    shutil.copytree(named, run)
    (run / "config.yaml").write_text(f"summary: plain\n{CONFIG}")
    (run / "environment.json").write_text(json.dumps({"torch": "1", "plugins": {"a": "1"}}))
    for name in ("scalars.jsonl", "metrics.jsonl"):
        lines = [json.loads(line) for line in (run / name).read_text().splitlines()]
        plain = [
            {key if key in ("step", "images", "g/x") else "a/b": each for key, each in line.items()} for line in lines
        ]
        (run / name).write_text("".join(json.dumps(line) + "\n" for line in plain))
    assert cli("report", run).code == 0
    return (run / "report.html").read_text()


def numbers_of(parts: list[str]) -> Iterator[str]:
    """Those that are drawn: coordinates and the names that Matplotlib gives, which have none of the data's letters."""
    return (part for part in parts if any(letter.isdigit() for letter in part))


# Plugins, which run code by design.

SPRUNG = """\
    from pathlib import Path
    from typing import Literal
    from ganframe import hookimpl
    from ganframe.config.networks import GeneratorConfig

    Path({canary!r}).touch()

    class Toy(GeneratorConfig):
        '''A network.'''
        type: Literal["toy"] = "toy"

    @hookimpl
    def register_components(register):
        register(Toy)
    """


def test_it_is_shown_what_is_loaded_from_where(fake_plugin, tmp_path: Path, cli) -> None:
    fake_plugin("toy", SPRUNG.format(canary=str(tmp_path / "loaded")), distribution="toy-package")
    lines = cli("plugins").out.splitlines()
    (line,) = (line.split() for line in lines if line.startswith("toy "))
    assert line == ["toy", "toy-package", "1.2", str(tmp_path / "site" / "toy" / "__init__.py")]
    digits = next(line.split() for line in lines if line.startswith("digits "))
    assert digits[3] == sys.modules["ganframe_digits"].__file__


def test_a_plugin_that_is_not_on_the_list_is_not_imported(
    fake_plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli
) -> None:
    loaded = tmp_path / "loaded"
    fake_plugin("toy", SPRUNG.format(canary=str(loaded)))
    monkeypatch.setenv("GANFRAME_LOAD_PLUGINS", "digits,mlp,adversarial,minimax")
    (tmp_path / "config.yaml").write_text(
        CONFIG.replace("generator: {type: mlp, latent: 4, hidden: [8]}", "generator: toy")
    )
    outcome = cli("train", tmp_path / "config.yaml")
    assert outcome.code == 2
    assert "unknown generator 'toy'" in outcome.err
    names = [plugin.name for plugin in installed().plugins]
    assert names == ["ganframe", "adversarial", "digits", "minimax", "mlp"]
    assert not loaded.exists()
    monkeypatch.setenv("GANFRAME_LOAD_PLUGINS", "toy")
    installed.cache_clear()
    assert cli("plugins").code == 0
    assert loaded.exists()


def test_a_run_that_goes_on_under_other_versions_says_what_differs(run: Path, fake_plugin, tmp_path: Path, cli) -> None:
    environment = json.loads((run / "environment.json").read_text())
    versions = {name: metadata.version(name) for name in ("ganframe", "torch", "ganframe-mlp")}
    assert environment["ganframe"] == versions["ganframe"]
    assert environment["python"] == sys.version.split()[0]
    assert environment["libraries"]["torch"] == versions["torch"]
    assert environment["plugins"]["ganframe-mlp"] == versions["ganframe-mlp"]
    older = {**environment, "ganframe": "0.0.1", "python": "3.10.0", "platform": "another machine"}
    older["libraries"] = environment["libraries"] | {"torch": "1.0"}
    older["plugins"] = environment["plugins"] | {"ganframe-mlp": "0.0.2", "ganframe-gone": "3.0"}
    (run / "environment.json").write_text(json.dumps(older))
    fake_plugin("toy", SPRUNG.format(canary=str(tmp_path / "loaded")), distribution="toy-package")
    outcome = cli("train", run, "--resume")
    assert outcome.code == 0
    said = "this run goes on under other versions: "
    assert sorted(line.removeprefix(said) for line in outcome.err.splitlines()) == sorted(
        [
            f"ganframe {versions['ganframe']} instead of 0.0.1",
            f"python {sys.version.split()[0]} instead of 3.10.0",
            f"torch {versions['torch']} instead of 1.0",
            f"ganframe-mlp {versions['ganframe-mlp']} instead of 0.0.2",
            "ganframe-gone not installed instead of 3.0",
            "toy-package 1.2 instead of not installed",
        ]
    )
    assert json.loads((run / "environment-before-1.json").read_text()) == older
    assert json.loads((run / "environment.json").read_text())["plugins"]["toy-package"] == "1.2"
    assert cli("train", run, "--resume").err == ""


def test_an_export_is_weights_and_plain_text(trained: Path, tmp_path: Path, cli) -> None:
    assert cli("export", trained, "--out", tmp_path / "g.safetensors").code == 0
    with safetensors.safe_open(tmp_path / "g.safetensors", framework="pt") as file:
        assert file.metadata().keys() == {"player", "config"}
