"""Spoils copies of a run at random: its files, the values in them, and their names."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile

from ganframe.config.yaml import parse_yaml

HUGE = 8 * 2**30
"""Bytes of a file that was grown; it takes no place on the disk."""
OSC_52 = "\x1b]52;c;aGFja2Vk\x07\x9b31m\u202e"
"""Text that sets the clipboard of a terminal, colours it and turns it round."""

VALUES: tuple[Any, ...] = (
    0,
    -1,
    10**12,
    -(10**12),
    10**400,
    2**63,
    1e308,
    -1e308,
    1e-320,
    float("nan"),
    float("inf"),
    None,
    True,
    "",
    "x" * 100_000,
    OSC_52,
    "\ud800\0\n\r",
    "../../../etc/passwd",
    [],
    {},
    [[[[[[[[1]]]]]]]],
    [0] * 5000,
    [10**12, 10**12],
    {OSC_52: OSC_52},
    {str(number): number for number in range(3000)},
    {"type": OSC_52},
    {"$tensor": "/x"},
)
"""What stands in the place of a value."""


def spoil(run: Path, secret: Path, chance: random.Random) -> str:
    """Spoil one thing of a run.

    Args:
        run: The run folder.
        secret: A file outside, to which links lead.
        chance: The choice of the thing.

    Returns:
        What was done.
    """
    file = chance.choice(sorted(path for path in run.rglob("*") if path.is_file()))
    ways = [*ANY]
    if file.suffix == ".json":
        ways += [_json_value] * 12
    if file.suffix == ".jsonl":
        ways += [_line] * 8
    if file.suffix == ".yaml":
        ways += [_setting] * 24
    if file.suffix == ".safetensors":
        ways += [_header] * 8
    if file.suffix == ".png":
        ways += [_picture] * 4
    way = chance.choice(ways)
    did = way(file, run, secret, chance)
    return f"{way.__name__.strip('_')} of {file.relative_to(run)}{': ' if did else ''}{did or ''}"


def _truncate(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    os.truncate(file, chance.randrange(file.stat().st_size + 1))


def _grow(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    os.truncate(file, HUGE)


def _flip(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    _replace(file, bytes(content), chance)


def _exchange(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    other = chance.choice(sorted(path for path in run.rglob("*") if path.is_file()))
    _replace(file, other.read_bytes(), chance)


def _fill(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    _replace(file, chance.choice((b"", b"\0" * 10_000, b"[" * 100_000, b"\n" * 100_000, b"\xff" * 1000)), chance)


def _link(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    file.unlink()
    file.symlink_to(chance.choice((str(secret), "/dev/zero", "nothing", file.name, "../config.yaml", "config.yaml")))


def _hard_link(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    """Two names of one file: that outside has the content, or the draft of a write stands there already."""
    if chance.random() < 0.5:
        secret.write_bytes(file.read_bytes())
        file.unlink()
        os.link(secret, file)
    else:
        os.link(secret, file.with_name(f".{file.name}.draft"))


def _pipe(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    place = chance.choice((file, file.with_name(f".{file.name}.draft")))
    with contextlib.suppress(FileNotFoundError):
        place.unlink()
    place.mkdir()


def _delete(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    file.unlink()


def _names(file: Path, run: Path, secret: Path, chance: random.Random) -> None:
    names = (OSC_52, b"\xff\xfe".decode(errors="surrogateescape"), "9" * 200, "²", "-1", " ", "a\nb", "000000001.png")
    for name in names:
        with contextlib.suppress(OSError):
            (file.parent / name).mkdir() if chance.random() < 0.5 else (file.parent / name).touch()
    for number in range(1000):
        (file.parent / f"{number:09d}.png").touch()


ANY: tuple[Callable[..., str | None], ...] = (
    _truncate,
    _grow,
    _flip,
    _exchange,
    _fill,
    _link,
    _hard_link,
    _pipe,
    _folder,
    _delete,
    _names,
)


def _replace(file: Path, content: bytes, chance: random.Random) -> None:
    """Put other content into a file; of a checkpoint, mostly with digests that hold."""
    file.write_bytes(content)
    manifest = file.with_name("manifest.json")
    if manifest.is_file() and file != manifest and chance.random() < 0.8:
        hostile.resign(file.parent)


def _changed(tree: Any, chance: random.Random) -> tuple[Any, str]:
    """A tree of values, with another in the place of one, and what was done."""
    tree = copy.deepcopy(tree)
    value, node, path = chance.choice(VALUES), tree, []
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = chance.choice(keys)
        path.append(key)
        if isinstance(node[key], (dict, list)) and chance.random() < 0.8:
            node = node[key]
            continue
        if isinstance(node, dict) and chance.random() < 0.1:
            node[OSC_52] = node.pop(key)
            return tree, f"{path} is renamed"
        node[key] = value
        break
    return tree, f"{path} = {value!r:.40}"


def _json_value(file: Path, run: Path, secret: Path, chance: random.Random) -> str:
    tree, did = _changed(json.loads(file.read_bytes()), chance)
    _replace(file, json.dumps(tree).encode(errors="surrogatepass"), chance)
    return did


def _setting(file: Path, run: Path, secret: Path, chance: random.Random) -> str:
    tree, did = _changed(_plain(parse_yaml(file.read_text(), "", marked=False)), chance)
    text = json.dumps(tree).replace("NaN", ".nan").replace("Infinity", ".inf")
    file.write_text(text)
    return did


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {str(name): _plain(value) for name, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list) else tree


def _line(file: Path, run: Path, secret: Path, chance: random.Random) -> str:
    lines = file.read_text().splitlines()
    number = chance.randrange(len(lines))
    way = chance.randrange(4)
    if way == 0:
        values, did = _changed(json.loads(lines[number]), chance)
        lines[number] = json.dumps(values)
    elif way == 1:
        step = json.loads(lines[number])
        lines[number] = json.dumps(step | {f"t{name} accuracy on real/{name}": 1.0 for name in range(400)})
        did = "400 names"
    elif way == 2:
        lines[number] = " " * 5_000_000 + lines[number]
        did = "a long line"
    else:
        step = json.loads(lines[number])
        lines += [json.dumps(step | {f"x/{name}{each}": 1.0 for each in range(20)}) for name in range(2000)]
        did = "40,000 names"
    file.write_text("\n".join(lines) + "\n")
    return did


def _header(file: Path, run: Path, secret: Path, chance: random.Random) -> str:
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    name = chance.choice([name for name in header if name != "__metadata__"])
    entry, did = header[name], "values"
    way = chance.randrange(4)
    if way == 0 and entry["dtype"] == "F32":
        entry["dtype"] = did = chance.choice(("I32", "U32", "BF16x", "F32", "BOOL"))
    elif way == 1 and entry["dtype"] == "F32" and entry["shape"] and entry["shape"][-1] % 2 == 0:
        entry["dtype"], entry["shape"][-1] = chance.choice(("F64", "I64", "C64")), entry["shape"][-1] // 2
        did = entry["dtype"]
    elif way == 2:
        entry["shape"] = [1, *entry["shape"]] if chance.random() < 0.5 else entry["shape"][::-1]
        did = f"the shape {entry['shape']}"
    else:
        header, did = _changed(header, chance)
    _replace(file, hostile.tensors(json.dumps(header).encode(errors="surrogatepass"), data), chance)
    return f"{did} in {name}"


def _picture(file: Path, run: Path, secret: Path, chance: random.Random) -> str:
    side = chance.choice((26_000, 200_000, 2**31 - 1, 0))
    content = bytearray(file.read_bytes())
    content[16:24] = struct.pack(">II", side, side)
    import zlib

    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    file.write_bytes(bytes(content) + b"\0" * chance.choice((0, 200_000)))
    return f"{side} x {side}"


def copied(run: Path, to: Path) -> Path:
    """A copy of a run."""
    return Path(shutil.copytree(run, to))
