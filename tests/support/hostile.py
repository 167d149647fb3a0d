"""Files that somebody might send: pickles that make a canary when they are loaded, links, and what grows or nests."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from images import Trap, zipped

DEEP = 50_000
"""Brackets of a depth bomb."""


ARRAYS = ("train_images", "train_labels", "held_out_images", "held_out_labels", "held_out", "line", "colour")
"""Names of the arrays that packages read."""


def packed(array: bytes) -> bytes:
    """An `.npz` file in which all arrays are this one."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ARRAYS:
            archive.writestr(f"{name}.npy", array)
    return stream.getvalue()


def pickles(canary: Path) -> dict[str, bytes]:
    """Pickles, bare and as the libraries pack them."""
    trap = Trap(str(canary))
    stream, weights = io.BytesIO(), io.BytesIO()
    np.save(stream, np.array([trap], dtype=object), allow_pickle=True)
    torch.save({"weight": trap}, weights)
    old = io.BytesIO()
    torch.save({"weight": trap}, old, _use_new_zipfile_serialization=False)
    return {
        "a pickle": pickle.dumps(trap),
        "a pickle of protocol 0": pickle.dumps(trap, protocol=0),
        "a pickle in base64": base64.b64encode(pickle.dumps(trap)),
        "weights of torch.save": weights.getvalue(),
        "weights of an old torch.save": old.getvalue(),
        "an array of objects": stream.getvalue(),
        "arrays of objects": packed(stream.getvalue()),
    }


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file; `length` is what it says of its header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def absurd_tensors() -> dict[str, bytes]:
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    return {
        "a header of 16 exabytes": tensors({}, length=2**64 - 1),
        "a header of 1 terabyte": tensors({}, length=2**40),
        "a header that is cut": tensors({}, length=100),
        "a header nested deeply": tensors(b'{"a":' * DEEP),
        "a header that is no mapping": tensors([1]),
        "a tensor of 4 exabytes": tensors({"a": one | {"shape": [2**60]}}, b"1234"),
        "a tensor of more than any number": tensors({"a": one | {"shape": [2**40, 2**40]}}, b"1234"),
        "a tensor of a negative size": tensors({"a": one | {"shape": [-1]}}, b"1234"),
        "a tensor past the end": tensors({"a": one | {"data_offsets": [0, 2**50]}}, b"1234"),
        "tensors that overlap": tensors({"a": one, "b": one}, b"1234"),
        "a tensor of objects": tensors({"a": one | {"dtype": "O"}}, b"1234"),
        "nothing": b"",
    }


def traversing_tensors() -> bytes:
    """Tensors whose names are paths and attributes."""
    names = ("../../canary", "/canary", "__class__", "__reduce__", "weight\0", "a/b")
    return safetensors.torch.save({name: torch.zeros(1) for name in names})


def arrays(canary: Path) -> dict[str, bytes]:
    """Files in the place of a package's arrays."""

    def header(shape: str, descr: str = "'|u1'") -> bytes:
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text

    code = f"__import__('os').system('touch {canary}')"
    return pickles(canary) | {
        "an array of a petabyte": packed(header(f"({2**50},)")),
        "an array whose shape is code": packed(header(f"({code},)")),
        "an array whose type is code": packed(header("(1,)", code)),
        "a member outside": zipped("../../canary.npy", header("(1,)") + b"1"),
        "a member with an absolute name": zipped(str(canary) + ".npy", header("(1,)") + b"1"),
        "no zip": b"PK\x03\x04",
        "nothing": b"",
    }


# Configs.


def laughs(depth: int = 12) -> str:
    lines = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, depth)]
    return "\n".join(["a0: &a0 [ha, ha]", *lines])


def merges(depth: int = 12) -> str:
    lines = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], k{n}: 1}}" for n in range(1, depth)]
    return "\n".join(["a0: &a0 {x: 1}", *lines])


def tagged(canary: Path) -> dict[str, str]:
    """YAML whose tags make objects."""
    command = f"touch {canary}"
    coded = base64.b64encode(pickle.dumps(Trap(str(canary)))).decode()
    kinds = {
        "apply": f"!!python/object/apply:os.system ['{command}']",
        "apply with arguments": "!!python/object/apply:subprocess.check_output\n"
        f"  args: [{command}]\n  kwds: {{shell: true}}",
        "new": f"!!python/object/new:os.system ['{command}']",
        "new with a state": "!!python/object/new:type\n  args: [z, !!python/tuple [], {extend: !!python/name:exec }]\n"
        f"  listitems: \"__import__('os').system('{command}')\"",
        "object": "!!python/object:subprocess.Popen {}",
        "name": "!!python/name:os.system",
        "module": "!!python/module:os",
        "binary": f"!!binary {coded}",
        "set": "!!set {a, b}",
        "tuple": "!!python/tuple [1]",
        "its own": "!Trap {}",
        "verbatim": f"!<tag:yaml.org,2002:python/object/apply:os.system> ['{command}']",
    }
    texts = {f"the tag {kind}": f"data: {value}\n" for kind, value in kinds.items()}
    return texts | {
        "a tag on a key": f"? !!python/object/apply:os.system ['{command}']\n: 1\n",
        "a tag in a merge": f"train: {{<<: !!python/object/apply:os.system ['{command}']}}\n",
        "a tag behind a directive": "%TAG ! tag:yaml.org,2002:python/\n---\ndata: !object/apply:os.system "
        f"['{command}']\n",
        "a tag in YAML 1.1": f"%YAML 1.1\n---\ndata: !!python/object/apply:os.system ['{command}']\n",
        "a tag in a second document": f"seed: 1\n---\n!!python/object/apply:os.system ['{command}']\n",
    }


def growing() -> dict[str, str]:
    """YAML that is larger than it looks, or nested deeply."""
    return {
        "a billion laughs": laughs(),
        "a billion merges": merges(),
        "laughs inside a setting": f"{laughs()}\nlosses: *a11\n",
        "lists in lists": f"losses: {'[' * DEEP}",
        "mappings in mappings": f"losses: {'{a: ' * DEEP}",
        "indented mappings": "".join(f"{' ' * depth}a:\n" for depth in range(1000)),
        "a list of itself": "losses: &a [*a]\n",
        "a mapping of itself": "train: &a {images: *a}\n",
        "a merge of itself": "train: &a\n  <<: *a\n",
        "a long text": f"summary: {'x' * 2_000_000}\n",
        "a long number": f"seed: {'9' * 10_000}\n",
        "a long hexadecimal number": f"seed: 0x{'f' * 100_000}\n",
        "a number of another base": "seed: !!int maybe\n",
        "a truth that is none": "seed: !!bool maybe\n",
        "a null byte": "summary: \0\n",
    }


# Runs.


def resign(checkpoint: Path, names: list[str] | None = None) -> None:
    """Write a manifest to whose digests the files of a checkpoint hold, as anybody can."""
    listed = names or [path.name for path in checkpoint.iterdir() if path.name != "manifest.json"]
    digests = {
        name: hashlib.sha256((checkpoint / name).read_bytes() if (checkpoint / name).is_file() else b"").hexdigest()
        for name in listed
    }
    own = hashlib.sha256(json.dumps(digests).encode()).hexdigest()
    (checkpoint / "manifest.json").write_text(json.dumps({"files": digests, "digest": own}, indent=1))


def replaced(name: str, content: bytes | str) -> Callable[[Path], None]:
    """An attack that puts other content into a file of the last checkpoint, with digests that hold."""

    def attack(run: Path) -> None:
        checkpoint = last(run)
        (checkpoint / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        resign(checkpoint)

    return attack


def restated(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    """An attack that changes `state.json`."""

    def attack(run: Path) -> None:
        state = json.loads((last(run) / "state.json").read_text())
        changed = change(state) or state
        replaced("state.json", json.dumps(changed))(run)

    return attack


def last(run: Path) -> Path:
    checkpoint = sorted((run / "checkpoints").iterdir())[-1]
    for other in (run / "checkpoints").iterdir():
        if other != checkpoint:
            other.rename(run / f"was-{other.name}")
    return checkpoint


def sections(state: dict[str, object]) -> dict[str, object]:
    found = state["sections"]
    assert isinstance(found, dict)
    return found


def without(room: str) -> Callable[[Path], None]:
    def change(state: dict[str, object]) -> None:
        del sections(state)[room]

    return restated(change)


def with_room(room: str, value: object) -> Callable[[Path], None]:
    def change(state: dict[str, object]) -> None:
        sections(state)[room] = value

    return restated(change)


def optimizer(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """An attack on the state of the generator's optimizer."""

    def changed(state: dict[str, object]) -> None:
        change(cast(Any, sections(state)["optimizers"])["generator"])

    return restated(changed)


def progress(tensor: torch.Tensor) -> Callable[[Path], None]:
    """An attack with another tensor for the running mean of a gradient."""

    def attack(run: Path) -> None:
        file = last(run) / "optimizers.safetensors"
        held = safetensors.torch.load(file.read_bytes())
        name = next(name for name in held if "exp_avg" in name and "generator" in name)
        replaced(file.name, safetensors.torch.save(held | {name: tensor}))(run)

    return attack


def checkpoints(canary: Path) -> dict[str, Callable[[Path], None]]:
    """Attacks on the last checkpoint of a run, all of them with digests that hold."""
    weights = "player.generator.safetensors"
    attacks = {f"{what} for weights": replaced(weights, content) for what, content in pickles(canary).items()}
    attacks |= {f"{what} for weights": replaced(weights, content) for what, content in absurd_tensors().items()}
    attacks |= {f"{what} for the state": replaced("state.json", content) for what, content in pickles(canary).items()}
    attacks |= {
        "names of tensors that are paths": replaced(weights, traversing_tensors()),
        "weights of another shape": replaced(weights, safetensors.torch.save({"/a": torch.zeros(3)})),
        "a state nested deeply": replaced("state.json", '{"step": 1, "sections": ' + "[" * DEEP),
        "a state that is a list": replaced("state.json", "[1]"),
        "a state of sections that are none": replaced("state.json", '{"step": 1, "sections": 3}'),
        "a state without a step": replaced("state.json", '{"sections": {}}'),
        "a state of an unknown step": replaced("state.json", '{"step": "many", "sections": {}}'),
        "a state without sections": replaced("state.json", '{"step": 4, "sections": {}}'),
        "a reference to no tensor": with_room("player.generator", {"$tensor": "../../nothing"}),
        "a reference that is a list": with_room("player.generator", {"$tensor": [1]}),
        "players that are numbers": with_room("player.generator", 3),
        "averages that are text": with_room("averages", "os.system"),
        "no players": without("player.generator"),
    }
    return attacks


def optimizers() -> dict[str, Callable[[Path], None]]:
    """Attacks on the optimizer in the last checkpoint of a run, whose kernels take shapes for granted."""
    shapes = ((), (1,), (3,), (10**6,))
    return {f"a moment of the shape {shape}": progress(torch.zeros(shape)) for shape in shapes} | {
        "a moment that is text": optimizer(lambda saved: saved["state"]["0"].update(exp_avg="os.system")),
        "a moment that is missing": optimizer(lambda saved: saved["state"]["0"].pop("exp_avg")),
        "a state of no parameter": optimizer(lambda saved: saved["state"].update({"99": saved["state"]["0"]})),
        "a learning rate that is text": optimizer(lambda saved: saved["param_groups"][0].update(lr="os.system")),
        "betas that are one": optimizer(lambda saved: saved["param_groups"][0].update(betas=[0.5])),
        "a parameter too many": optimizer(lambda saved: saved["param_groups"][0]["params"].append(99)),
    }


def manifests(canary: Path) -> dict[str, Callable[[Path], None]]:
    """Attacks on the list of a checkpoint's files."""

    def listing(*names: str) -> Callable[[Path], None]:
        def attack(run: Path) -> None:
            checkpoint = last(run)
            resign(checkpoint, [*names, *(path.name for path in checkpoint.iterdir() if path.name != "manifest.json")])

        return attack

    def content(text: bytes) -> Callable[[Path], None]:
        def attack(run: Path) -> None:
            (last(run) / "manifest.json").write_bytes(text)

        return attack

    names = ("../config.yaml", "../../../../../../etc/passwd", "/etc/passwd", "..", ".", "", "a/b", "a\0b")
    return {f"the name {name!r} in a manifest": listing(name) for name in names} | {
        "a manifest that is a pickle": content(pickle.dumps(Trap(str(canary)))),
        "a manifest nested deeply": content(b"[" * DEEP),
        "a manifest that is a list": content(b"[]"),
        "a manifest of numbers": content(b'{"files": 3, "digest": 4}'),
        "an empty manifest": content(b""),
    }


def links(secret: Path) -> dict[str, Callable[[Path], None]]:
    """Links and special files in a run that lead out of it.

    Args:
        secret: A file that the run has nothing to do with.
    """

    def link(name: str, target: Path | str) -> Callable[[Path], None]:
        def attack(run: Path) -> None:
            place = run / name if not name.startswith("checkpoint/") else last(run) / name.partition("/")[2]
            if place.exists():
                place.unlink()
            place.parent.mkdir(exist_ok=True)
            place.symlink_to(target)

        return attack

    def pipe(name: str) -> Callable[[Path], None]:
        def attack(run: Path) -> None:
            (run / name).unlink(missing_ok=True)
            os.mkfifo(run / name)

        return attack

    def folder(name: str) -> Callable[[Path], None]:
        def attack(run: Path) -> None:
            (run / name).rename(secret.parent / "elsewhere")
            (run / name).symlink_to(secret.parent / "elsewhere")

        return attack

    files = (
        "environment.json",
        "data.json",
        "scalars.jsonl",
        "metrics.jsonl",
        "quarantine.jsonl",
        "report.html",
        ".report.html.draft",
        "samples.png",
        "pictures/000000009.png",
        "samples-seed0.png",
        "generator.safetensors",
        "checkpoint/state.json",
        "checkpoint/manifest.json",
        "checkpoint/player.generator.safetensors",
    )
    return {f"the link {name}": link(name, secret) for name in files} | {
        "a link up and down": link("pictures/000000009.png", f"../../{secret.parent.name}/{secret.name}"),
        "a link without an end": link("checkpoint/player.generator.safetensors", "/dev/zero"),
        "a link to nothing": link("scalars.jsonl", secret.parent / "nothing"),
        "a link in a circle": link("pictures/000000009.png", "000000009.png"),
        "a pipe for a log": pipe("scalars.jsonl"),
        "a pipe for a picture": pipe("samples.png"),
        "a link to a folder of checkpoints": folder("checkpoints"),
    }


def logs() -> dict[str, Callable[[Path], None]]:
    """Other files of a run that are not as a run writes them."""

    def write(name: str, content: str | bytes) -> Callable[[Path], None]:
        def attack(run: Path) -> None:
            (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())

        return attack

    lines = {
        "nested deeply": "[" * DEEP,
        "a list": "[1]",
        "text for a number": '{"step": 1, "images": 2, "g/x": "<script>"}',
        "no step": '{"g/x": 1}',
        "not JSON": "__import__('os')",
    }
    attacks = {f"a log: {what}": write("scalars.jsonl", f"{line}\n") for what, line in lines.items()}
    attacks["a log: not text"] = write("scalars.jsonl", b"\xff\xfe\n")
    return attacks | {
        "metrics: text for a number": write("metrics.jsonl", '{"step": 1, "images": 2, "a/b": "<b>"}\n'),
        "an environment nested deeply": write("environment.json", "[" * DEEP),
        "an environment that is a list": write("environment.json", "[1]"),
        "an environment of numbers": write("environment.json", '{"torch": 3}'),
        "an environment that is a pickle": write("environment.json", pickle.dumps(1)),
        "a config that is not text": write("config.yaml", b"\xff\xfe\n"),
    }


SPECS: dict[str, bytes] = {
    "nested deeply": b"[" * DEEP,
    "without shapes": b'{"real": 3}',
    "of a negative side": b'{"real": {"shape": [-1, 28, 28], "classes": null}}',
    "of an empty side": b'{"real": {"shape": [1, 0, 28], "classes": null}}',
    "of no class": b'{"real": {"shape": [1, 28, 28], "classes": null}, "label": {"shape": [], "classes": 0}}',
    "without reals": b"{}",
    "a pickle": pickle.dumps(1),
}
"""Files `data.json` that no run writes."""
