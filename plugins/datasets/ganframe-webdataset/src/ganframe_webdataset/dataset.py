"""Examples of a WebDataset: members of shards, grouped by their keys."""

from __future__ import annotations

import io
import json
import os.path
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ganframe.config import within
from ganframe.data import (
    BadInput,
    ImageData,
    LeftOutNames,
    Picture,
    check_largest_label,
    is_named_as_image,
    open_images,
    open_picture,
)
from ganframe_webdataset import WebDataset
from ganframe_webdataset.shards import Member, find_shards, list_members

LARGEST_IMAGE = 2**29
"""The largest size of an image file, in bytes."""

LARGEST_LABEL = 2**20
"""The largest size of a member with a label, in bytes."""

KEY = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)", re.DOTALL)
"""The name of a member: its key, up to the first dot of the file name, and its extension."""


@dataclass(frozen=True)
class Listing:
    """The examples of all shards.

    Attributes:
        images: The image of each example, by its name: the shard and the key.
        labels: The member with the label of each example, by its name, for those that have one.
        left_out: Other members, by the reason.
    """

    images: Mapping[str, Member]
    labels: Mapping[str, Member]
    left_out: LeftOutNames


def open_shards(config: WebDataset) -> ImageData:
    """Open the images of the shards.

    Raises:
        BadInput: When a shard cannot be read, an example lacks a label, or too many members are not images.
    """
    listing = list_examples(config)
    labels = None if config.labels is None else read_labels(config, listing)[0]
    return open_images(config, ShardSource(listing.images), [*listing.images], listing.left_out, labels)


def list_examples(config: WebDataset) -> Listing:
    """List the examples by the names of the members, in the order of the shards.

    Raises:
        BadInput: When a shard cannot be read, an example has several images or labels, or there are no images.
    """
    images, labels = dict[str, Member](), dict[str, Member]()
    left_out: dict[str, list[str]] = {}
    with within("path"):
        shards = find_shards(config.path)
        around = Path(os.path.commonpath([shard.parent for shard in shards]))
        for shard in shards:
            prefix = shard.relative_to(around).as_posix()
            members, links = list_members(shard)
            left_out.setdefault("links and devices", []).extend(f"{prefix}/{name}" for name in links)
            for member in members:
                key, extension = _split(member.name)
                name = f"{prefix}/{key}"
                reason = _sort(config, name, extension, member, images, labels)
                if reason:
                    left_out.setdefault(reason, []).append(f"{prefix}/{member.name}")
        if not images:
            raise BadInput("there are no images in these shards", place=str(config.path))
    without = labels.keys() - images.keys()
    left_out["labels without an image"] = sorted(without)
    return Listing(images, {name: labels[name] for name in labels if name in images}, left_out)


def _split(name: str) -> tuple[str, str]:
    """Return the key and the extension of a member; nothing for each where the name has no key."""
    found = KEY.fullmatch(name)
    return ("", "") if found is None else (found[1], found[2].lower())


def _sort(
    config: WebDataset, name: str, extension: str, member: Member, images: dict[str, Member], labels: dict[str, Member]
) -> str:
    """Put a member to the images or labels; return why it belongs to neither, or nothing."""
    if not extension:
        return "members without a key"
    if config.labels is not None and extension == config.labels:
        if member.size > LARGEST_LABEL:
            return f"labels of more than {LARGEST_LABEL:,} bytes"
        if name in labels:
            message = f"the example {name} has several labels: two members with the extension {config.labels!r}"
            raise BadInput(message, place=str(member.shard), remedy="Keys are unique in a shard.")
        labels[name] = member
        return ""
    wanted = is_named_as_image(PurePosixPath(f"x.{extension}")) if config.image is None else extension == config.image
    if not wanted or (config.image is None and "." in extension):
        return "members of other types"
    if member.size > LARGEST_IMAGE:
        return f"images of more than {LARGEST_IMAGE:,} bytes"
    if name in images:
        other = _split(images[name].name)[1]
        remedy = f"Choose one with `image: {other}`." if other != extension else "Keys are unique in a shard."
        message = f"the example {name} has several images: .{other} and .{extension}"
        raise BadInput(message, place=str(member.shard), remedy=remedy)
    images[name] = member
    return ""


def read_labels(config: WebDataset, listing: Listing) -> tuple[dict[str, int], tuple[str, ...] | None]:
    """Return the number of the class of each example, and the names of the classes if labels are names.

    Raises:
        BadInput: When an example lacks a label, or a label is neither a whole number from 0 on nor a name.
    """
    with within("labels"):
        without = [name for name in listing.images if name not in listing.labels]
        if without:
            more = f" and {len(without) - 1:,} more" if len(without) > 1 else ""
            message = f"{without[0]}{more} {'have' if more else 'has'} no member with the extension {config.labels!r}"
            raise BadInput(message, place=str(config.path))
        given = {name: _read_label(config, member) for name, member in listing.labels.items()}
        numbers = {name: label for name, label in given.items() if isinstance(label, int)}
        if len(numbers) == len(given):
            largest = max(numbers, key=lambda name: numbers[name])
            check_largest_label(numbers[largest], largest, len(numbers), str(config.path))
            return numbers, None
        if numbers:
            some = next(iter(numbers))
            raise BadInput(f"the label of {some} is a number, and those of others are names", place=str(config.path))
        names = tuple(sorted({str(label) for label in given.values()}))
        places = {name: place for place, name in enumerate(names)}
        return {name: places[str(label)] for name, label in given.items()}, names


def _read_label(config: WebDataset, member: Member) -> int | str:
    """Return a label: a whole number from 0 on, or a name."""
    try:
        label: Any = member.read().decode().strip()
        if _split(member.name)[1].endswith("json"):
            label = json.loads(label)[config.label_key]
        if isinstance(label, str) and label.isascii() and label.isdigit():
            label = int(label)
        if not isinstance(label, (int, str)) or isinstance(label, bool) or label == "":
            raise ValueError(f"it is {label!r}, neither a whole number nor a name")
        if isinstance(label, int) and not 0 <= label < 2**31:
            raise ValueError(f"{label} is no number of a class, from 0 on")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as problem:
        reason = f"it has no {config.label_key!r}" if isinstance(problem, (LookupError, TypeError)) else problem
        raise BadInput(f"the label {member.name} cannot be read: {reason}", place=str(member.shard)) from None
    return label


class ShardSource:
    """The images of shards.

    Args:
        images: The image of each example, by its name.
    """

    def __init__(self, images: Mapping[str, Member]) -> None:
        self.images = images

    def open(self, name: str) -> AbstractContextManager[Picture]:
        """Open the image of an example."""
        member = self.images[name]
        return open_picture(partial(_opened, member), f"{member.shard}: {member.name}")


def _opened(member: Member) -> IO[bytes]:
    return io.BytesIO(member.read())
