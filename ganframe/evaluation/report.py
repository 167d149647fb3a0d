"""The report of a run: one HTML file that needs no other file and no internet connection."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ganframe.config.yaml import MAX_BYTES
from ganframe.errors import BadInput
from ganframe.evaluation.diagnostics import diagnose
from ganframe.files import open_regular, read_text, write_atomically
from ganframe.runs.best_measurement import read_best
from ganframe.runs.checkpoint_files import checkpoint_path, read_progress
from ganframe.runs.folder import RunFolder
from ganframe.runs.logs import read_log

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

MAX_PICTURES = 8
"""The largest number of pictures under "Samples over time"."""

MAX_POINTS = 400
"""The largest number of points of a curve."""

MAX_ROWS = 200
"""The largest number of rows of the table of metrics."""

MAX_COLUMNS = 50
"""The largest number of columns of the table of metrics."""

MAX_LINES = 20_000
"""The largest number of lines of the log of scalars; in a longer log, neighbouring lines are averaged."""

MAX_PICTURE_BYTES = 100_000
"""The largest size of a picture in the report, in bytes; a smaller copy replaces a larger picture."""

MAX_DECODED_BYTES = 160 * 2**20
"""The largest size of a picture that is made smaller, in bytes, as a file and as pixels; a larger one is only named."""

MAX_PANELS, MAX_CURVES = 20, 120
"""The largest numbers of panels and of curves in the report; where there are more, it says how many are not drawn."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
pre { background: #f6f6f4; padding: 1rem; overflow-x: auto } table { border-collapse: collapse }
td, th { padding: .2rem 1rem .2rem 0; text-align: left; vertical-align: top }
figure { display: inline-block; margin: 0 1rem 1rem 0 } figcaption { color: #666; font-size: .85rem }
.over-time img { width: 14rem } .last img { max-width: 100% } svg { max-width: 100%; height: auto }
"""


def write_report(folder: RunFolder) -> Path:
    """Write the report of a run, finished or not, from the files in its folder.

    All text from these files is escaped, so that no part of it becomes an element or an attribute of the page.

    Args:
        folder: The run folder.

    Returns:
        The path of the report.

    Raises:
        BadInput: When a file of the run is not in the format that a run writes.
        RunFailed: When the report cannot be written.
    """
    log, metrics = read_log(folder.scalars, MAX_LINES), read_log(folder.metrics)
    files = folder.pictures.glob("*.png") if folder.pictures.is_dir() else ()
    pictures = sorted(path for path in files if path.stem.isdecimal())
    config = read_text(folder.path / "config.yaml", MAX_BYTES)
    sections = [
        ("Samples", _last_samples(folder)),
        ("Metrics", _metrics(metrics) + _protocols(folder)),
        ("Diagnostics", _diagnostics(log)),
        ("Curves", _curves(log)),
        ("Samples over time", _samples_over_time(pictures)),
        ("Data", _data(folder)),
        ("Config", f"<pre>{html.escape(config)}</pre>"),
        ("Environment", _table(folder.environment())),
    ]
    name = html.escape(folder.path.name)
    body = "".join(f"<h2>{title}</h2>\n{content}\n" for title, content in sections if content)
    page = (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{name}</title>"
        f"<style>{STYLE}</style></head>\n<body><h1>{name}</h1>\n"
        f"{_progress(log, folder)}{_best(folder)}\n{body}</body></html>\n"
    )
    write_atomically(folder.report, page.encode(errors="backslashreplace"))
    return folder.report


def _progress(log: Sequence[Mapping[str, float]], folder: RunFolder) -> str:
    """Return how far the run is: by its latest checkpoint, unless a later step was logged."""
    saved = read_progress(folder.checkpoints)
    if not log and saved is None:
        return "<p>No step was logged yet.</p>"
    logged = (log[-1]["step"], log[-1]["images"]) if log else (0, 0)
    steps, images = max(logged, saved or (0, 0))
    speed = f", {log[-1].get('images per second', 0):,.0f} images a second" if log else ""
    return f"<p>{steps:,.0f} steps, {images:,.0f} images{speed}.</p>"


def _best(folder: RunFolder) -> str:
    """Return which checkpoint is the best, and why the run ended if it ended early."""
    best = read_best(folder.checkpoints)
    if best is None:
        return ""
    kept = f" ({checkpoint_path(folder.checkpoints, best.step).relative_to(folder.path)})" if best.step else ""
    text = f"<p>Best checkpoint: {html.escape(best.describe() + kept)}.</p>"
    return f"{text}\n<p>The run ended: {html.escape(best.describe_stop())}.</p>" if best.stops_run else text


def _last_samples(folder: RunFolder) -> str:
    return f"<div class='last'>{_image(folder.samples, 1000)}</div>" if folder.samples.is_file() else ""


def _samples_over_time(pictures: Sequence[Path]) -> str:
    if len(pictures) < 2:
        return ""
    count = min(MAX_PICTURES, len(pictures))
    chosen = [pictures[round(index * (len(pictures) - 1) / (count - 1))] for index in range(count)]
    figures = (
        f"<figure>{_image(path, 450)}<figcaption>step {int(path.stem):,}</figcaption></figure>" for path in chosen
    )
    return f"<div class='over-time'>{''.join(figures)}</div>"


def _image(path: Path, side: int) -> str:
    """Return a picture as an element of the page; the name and size of one that is too large.

    Raises:
        BadInput: When the file is no PNG picture.
    """
    from PIL.PngImagePlugin import PngImageFile  # only a report with pictures needs it

    size = path.stat().st_size
    if size > MAX_DECODED_BYTES:
        return _not_shown(path, f"{size:,} bytes")
    with open_regular(path) as file:
        try:
            with PngImageFile(file) as picture:  # not Image.open, which refuses grids of many large images
                width, height = picture.size
                if width * height * len(picture.getbands()) > MAX_DECODED_BYTES:
                    return _not_shown(path, f"{width} x {height} pixels")
                kind, content = "jpeg", b""
                if size > MAX_PICTURE_BYTES:
                    content = _smaller_jpeg(picture, side)
            if not content:
                file.seek(0)
                kind, content = "png", file.read()
        except (SyntaxError, OSError, ValueError) as problem:
            raise BadInput(f"this picture cannot be read: {problem}", place=str(path)) from None
    return f"<img alt='samples' src='data:image/{kind};base64,{base64.b64encode(content).decode()}'>"


def _not_shown(path: Path, size: str) -> str:
    return f"<p>{html.escape(path.name)} is too large to be shown here: {size}.</p>"


def _smaller_jpeg(picture: Image, side: int) -> bytes:
    stream = io.BytesIO()
    picture.thumbnail((side, side))
    picture.convert("RGB").save(stream, format="jpeg", quality=85)
    return stream.getvalue()


def _data(folder: RunFolder) -> str:
    summary = folder.data_summary()
    return "" if summary is None else _table(dict(summary.lines(folder.data() or {}) + summary.left_out_lines()))


def _metrics(lines: Sequence[Mapping[str, float]]) -> str:
    if not lines:
        return ""
    lines = _subsample(lines, MAX_ROWS)
    names = [name for name in lines[-1] if name != "step"][:MAX_COLUMNS]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_number(line.get(name))}</td>" for name in names) + "</tr>" for line in lines
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _protocols(folder: RunFolder) -> str:
    """Return a table of how each metric was measured."""
    described = {
        name: "; ".join(f"{setting}: {value}" for setting, value in protocol.items())
        for name, protocol in folder.protocols().items()
    }
    return _table(described) if described else ""


def _subsample(values: Sequence[T], limit: int) -> Sequence[T]:
    """Return at most `limit` of the values, evenly spaced, including the last."""
    return values[:: -max(-(-len(values) // limit), 1)][::-1]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _diagnostics(log: Sequence[Mapping[str, float]]) -> str:
    findings = diagnose(log)
    if not findings:
        return "<p>Nothing stands out.</p>" if log else ""
    return "".join(
        f"<p><strong>{html.escape(finding.title)}.</strong> {html.escape(finding.advice)}</p>" for finding in findings
    )


def _curves(log: Sequence[Mapping[str, float]]) -> str:
    if len(log) < 2:
        return ""
    from matplotlib import rc_context  # slow to import, and only a report with curves needs it
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    groups: dict[str, list[str]] = {}
    left_out = 0
    for number, name in enumerate(sorted({name for line in log for name in line if "/" in name})):
        panel = _panel(name)
        if number - left_out < MAX_CURVES and (panel in groups or len(groups) < MAX_PANELS):
            groups.setdefault(panel, []).append(name)
        else:
            left_out += 1
    rows = -(-len(groups) // 2)
    figure = Figure(figsize=(10, 2.8 * rows), layout=ConstrainedLayoutEngine(h_pad=0.12))
    for index, (title, names) in enumerate(groups.items()):
        axes = figure.add_subplot(rows, 2, index + 1)
        for name in names:
            points = [(line["images"], line[name]) for line in log if name in line]
            shown = _subsample(points, MAX_POINTS)
            axes.plot(*zip(*shown, strict=True), linewidth=0.9)
        axes.set_title(title, fontsize=9, parse_math=False)
        axes.set_xlabel("images", fontsize=7)
        axes.tick_params(labelsize=7)
        for text in axes.legend(axes.lines, [_label(name) for name in names], fontsize=7).get_texts():
            text.set_parse_math(False)
    stream = io.StringIO()
    with rc_context({"svg.hashsalt": "ganframe", "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of names that are too long or that the font lacks
        figure.savefig(stream, format="svg", metadata={"Date": None})
    more = f"<p>{left_out:,} more curves are not drawn.</p>" if left_out else ""
    return stream.getvalue()[stream.getvalue().index("<svg") :] + more


def _label(name: str) -> str:
    # Matplotlib leaves a label that begins with an underscore out of a legend.
    label = name.split("/", 1)[1]
    return f" {label}" if label.startswith("_") else label


def _panel(name: str) -> str:
    turn, _, scalar = name.partition("/")
    for kind in ("accuracy", "logit gap", "gradient norm"):
        if kind in scalar:
            return f"{turn}: {kind}"
    return f"{turn}: terms before their weights"


def _table(values: Mapping[str, Any]) -> str:
    rows: list[str] = []
    for name, value in values.items():
        text = ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
        rows.append(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>")
    return f"<table>{''.join(rows)}</table>"
