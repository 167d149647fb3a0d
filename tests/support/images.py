"""Image files of every kind that a folder may hold, each with the colour that it is worked out to have, or broken."""

from __future__ import annotations

import io
import os
import pickle
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Colour = tuple[float, float, float]

BROKEN = None
"""Files that cannot be read."""
EITHER = "either"
"""Files of which a part was changed at random."""

Expected = Colour | None | str


def png(width: int, height: int, depth: int, kind: int, data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file; `kind` 0 is grey, 2 RGB. `data` are the rows, compressed."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def flat(mode: str, value: object, size: tuple[int, int] = (12, 12)) -> Image.Image:
    return Image.new(mode, size, value)  # pyright: ignore[reportArgumentType]


def noise(seed: int, size: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


# Good ones. The colour beside each is worked out from the format's definition, not by reading the file.

GREY16 = 0xE0FF
"""A 16-bit grey: 0xE0FF / 257 = 224.1, and not the 225 of a division by 256."""


def rgb16() -> bytes:
    row = b"\0" + struct.pack(">HHH", 0xFFFF, 0x8000, 0x0100) * 12
    return png(12, 12, 16, 2, zlib.compress(row * 12))


def palette(*, transparent: bool = False) -> bytes:
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return encoded(image, "PNG", **({"transparency": 1} if transparent else {}))


def animated(kind: str, first: Colour, second: Colour) -> bytes:
    frames = [flat("RGB", first), flat("RGB", second)]
    return encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )


GOOD: dict[str, tuple[str, Callable[[], bytes], Colour]] = {
    "RGB": (".png", lambda: encoded(flat("RGB", (9, 99, 199)), "PNG"), (9, 99, 199)),
    "JPEG": (".jpg", lambda: encoded(flat("RGB", (9, 99, 199)), "JPEG", quality=98), (9, 99, 199)),
    "grey": (".bmp", lambda: encoded(flat("L", 77), "BMP"), (77, 77, 77)),
    "two colours": (".png", lambda: encoded(flat("1", 1), "PNG"), (255, 255, 255)),
    "palette": (".png", palette, (10, 20, 30)),
    "transparent palette": (".png", lambda: palette(transparent=True), (255, 255, 255)),
    # Over white: 255 * 128/255 + 255 * 127/255 = 255, and 0 + 255 * 127/255 = 127.
    "half transparent": (
        ".webp",
        lambda: encoded(flat("RGBA", (255, 0, 0, 128)), "WEBP", lossless=True),
        (255, 127, 127),
    ),
    # (255 - C)(255 - K) / 255: 204 * 204 / 255, 153 * 204 / 255, 102 * 204 / 255.
    "CMYK": (".tif", lambda: encoded(flat("CMYK", (51, 102, 153, 51)), "TIFF"), (163.2, 122.4, 81.6)),
    "CMYK JPEG": (".jpg", lambda: encoded(flat("CMYK", (51, 102, 153, 51)), "JPEG", quality=98), (163.2, 122.4, 81.6)),
    "16-bit grey PNG": (".png", lambda: encoded(flat("I;16", GREY16), "PNG"), (GREY16 / 257,) * 3),
    "16-bit grey TIFF": (".tiff", lambda: encoded(flat("I;16", GREY16), "TIFF"), (GREY16 / 257,) * 3),
    "16-bit grey PGM": (".pgm", lambda: b"P5 4 4 65535\n" + struct.pack(">H", GREY16) * 16, (GREY16 / 257,) * 3),
    "16-bit RGB": (".png", rgb16, (255, 0x8000 / 257, 0x0100 / 257)),
    "animated GIF": (".gif", lambda: animated("GIF", (255, 0, 0), (0, 0, 255)), (255, 0, 0)),
    "animated WebP": (".webp", lambda: animated("WEBP", (0, 255, 0), (0, 0, 255)), (0, 255, 0)),
    "animated PNG": (".png", lambda: animated("PNG", (0, 0, 255), (0, 255, 0)), (0, 0, 255)),
    "PNG with the suffix of JPEG": (".jpg", lambda: encoded(flat("RGB", (1, 2, 3)), "PNG"), (1, 2, 3)),
    "GIF with the suffix of PNG": (".PNG", lambda: encoded(flat("RGB", (255, 255, 0)), "GIF"), (255, 255, 0)),
}
"""Suffix, file and colour of each kind of good image."""


# Bad ones.


def cut(kind: str) -> Callable[[random.Random], bytes]:
    def make(moments: random.Random) -> bytes:
        whole = encoded(noise(moments.randrange(1000)), kind)
        return whole[: int(len(whole) * moments.uniform(0.05, 0.9))]

    return make


def text_bomb() -> bytes:
    """A PNG whose comment unpacks to 64 MiB."""
    comment = b"Comment\0\0" + zlib.compress(bytes(2**26))
    return png(1, 1, 8, 2, zlib.compress(bytes(4)), (b"zTXt", comment))


def bomb_under_the_limit() -> bytes:
    """81 million black pixels in 10 kB, which Pillow's limit lets pass."""
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(1 + 9000 // 8)) for _ in range(9000)) + rows.flush()
    return png(9000, 9000, 1, 0, data)


def huge_tiff() -> bytes:
    """A TIFF whose entry 256, the width, says 2^31 - 1."""
    whole = bytearray(encoded(flat("L", 3), "TIFF"))
    (position,) = (found.start() for found in re.finditer(rb"\x00\x01[\x03\x04]\x00\x01\x00\x00\x00", whole))
    whole[position : position + 12] = struct.pack("<HHII", 256, 4, 1, 2**31 - 1)
    return bytes(whole)


def huge_gif() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"


def negative_bmp() -> bytes:
    return b"BM" + struct.pack("<IHHI", 99, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, -5, -5, 1, 24, 0, 0, 0, 0, 0, 0)


def webp_bomb() -> bytes:
    """The head of a WebP file whose canvas has 2^24 - 1 pixels on each side."""
    canvas = struct.pack("<I", 0) + b"\xff" * 6
    body = b"WEBPVP8X" + struct.pack("<I", len(canvas)) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return os.system, (f"touch {self.canary}",)


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def postscript(canary: str) -> bytes:
    return (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
        b"(%pipe%touch " + canary.encode() + b") (w) file closefile\nshowpage\n%%EOF\n"
    )


def bad(canary: str) -> dict[str, tuple[str, Callable[[random.Random], bytes]]]:
    """Suffix and file of each kind of broken image; some would run code, if they were run, and make a canary."""
    trap = pickle.dumps(Trap(canary))
    return {
        "cut PNG": (".png", cut("PNG")),
        "cut JPEG": (".jpg", cut("JPEG")),
        "cut BMP": (".bmp", cut("BMP")),
        "cut TIFF": (".tif", cut("TIFF")),
        "cut WebP": (".webp", cut("WEBP")),
        "empty": (".png", lambda _: b""),
        "zeros": (".jpg", lambda moments: bytes(moments.randrange(1, 4096))),
        "random bytes": (".gif", lambda moments: moments.randbytes(moments.randrange(1, 4096))),
        "text": (".webp", lambda _: b"not an image"),
        "HTML": (".png", lambda _: b"<html><script>alert(1)</script></html>"),
        "SVG": (".png", lambda _: b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
        "pickle": (".png", lambda _: trap),
        "weights of PyTorch": (".jpg", lambda _: zipped("archive/data.pkl", trap)),
        "arrays of objects": (".png", lambda _: zipped("a.npy", b"\x93NUMPY\x01\0" + trap)),
        "PostScript": (".png", lambda _: postscript(canary)),
        "PostScript with a TIFF suffix": (".tif", lambda _: postscript(canary)),
        "float pixels": (".tif", lambda _: encoded(flat("F", 0.5), "TIFF")),
        "a PNG of 3.6 billion pixels": (".png", lambda _: png(60000, 60000, 8, 2, zlib.compress(bytes(60)))),
        "a GIF of 4.3 billion pixels": (".gif", lambda _: huge_gif()),
        "a PPM of 10 billion pixels": (".ppm", lambda _: b"P6 100000 100000 255\n123"),
        "a TIFF of 25 billion pixels": (".tif", lambda _: huge_tiff()),
        "a BMP of a negative size": (".bmp", lambda _: negative_bmp()),
    }


def changed(moments: random.Random) -> tuple[str, bytes]:
    """A good image of which a few bytes were zeroed or changed."""
    suffix, make, _ = moments.choice(list(GOOD.values()))
    content = bytearray(make())
    for _ in range(moments.randrange(1, 6)):
        place, length = moments.randrange(len(content)), moments.randrange(1, 24)
        length = min(length, len(content) - place)
        content[place : place + length] = bytes(length) if moments.random() < 0.5 else moments.randbytes(length)
    return suffix, bytes(content)


def write_corpus(folder: Path, count: int, canary: Path) -> dict[str, Expected]:
    """Fill a folder with images, about half of them good.

    Args:
        folder: Where to.
        count: How many files.
        canary: What some of them would make.

    Returns:
        What each file is, by name: its colour, `BROKEN` or `EITHER`.
    """
    folder.mkdir()
    moments, expected = random.Random(count), dict[str, Expected]()
    breakers = bad(str(canary))

    def write(suffix: str, content: bytes, what: Expected) -> None:
        name = f"{len(expected):04d}{suffix}"
        (folder / name).write_bytes(content)
        expected[name] = what

    links = {"loop-a.png": "loop-b.png", "loop-b.png": "loop-a.png", "self.jpg": "self.jpg", "gone.png": "nowhere.png"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
        expected[name] = BROKEN
    write(".png", encoded(flat("L", 3), "PNG"), (3, 3, 3))
    write(".png", bomb_under_the_limit(), (0, 0, 0))
    write(".png", text_bomb(), BROKEN)
    write(".webp", webp_bomb(), BROKEN)
    while len(expected) < count:
        for suffix, make, colour in GOOD.values():
            write(suffix, make(), colour)
        for suffix, breaker in breakers.values():
            if moments.random() < 0.6:
                write(suffix, breaker(moments), BROKEN)
        for _ in range(4):
            write(*changed(moments), EITHER)
    return expected
