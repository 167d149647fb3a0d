"""The option `--set a.b=c`, which overrides one value of a config document."""

from __future__ import annotations

import copy
from typing import Any, cast

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganframe.config.error_positions import (
    Document,
    override_place,
)
from ganframe.config.settings import synonyms
from ganframe.config.yaml import (
    parse_yaml,
)
from ganframe.errors import BadInput, ConfigPath, dotted


def apply_override(document: Document, override: str) -> None:
    """Apply one `--set a.b=c` to a document.

    Args:
        document: The config, which is changed in place.
        override: The text `a.b=c`: a dotted path and a YAML value.

    Raises:
        BadInput: When the text does not have this form, or its path does not fit the mappings and lists of the
            document.
    """
    place = override_place(override)
    name, equals, text = override.partition("=")
    parts = name.split(".")
    if not equals or not all(parts):
        remedy = "Name a setting and give it a YAML value, such as --set train.batch_size=32."
        raise BadInput("an override has the form a.b=c", place=place, remedy=remedy)
    value = parse_yaml(text, place, marked=False)
    node, path = document.data, list[str | int]()
    for depth, part in enumerate(parts):
        if not isinstance(node, (CommentedMap, CommentedSeq)):
            raise BadInput(f"{dotted(tuple(path))} is a single value", place=place)
        key = _key(node, part, tuple(path), place)
        path.append(key)
        if depth == len(parts) - 1:
            node[key] = value
        elif isinstance(node, CommentedMap) and node.get(key) is None:
            node[key] = CommentedMap()
        elif isinstance(node[key], str):
            node[key] = CommentedMap({"type": node[key]})
        else:
            node[key] = copy.deepcopy(node[key])  # a YAML alias elsewhere may refer to the same value
        node = cast(Any, node[key])
    document.overrides[tuple(path)] = override


def _key(node: CommentedMap | CommentedSeq, part: str, path: ConfigPath, place: str) -> str | int:
    """Return the key or list index in `node` that one part of a dotted path stands for."""
    if isinstance(node, CommentedMap):
        if part.isdecimal():
            remedy = f"Give the whole list: --set '{dotted(path)}=[...]'."
            raise BadInput(f"there is no list at {dotted(path) or 'the top'}", place=place, remedy=remedy)
        return part if part in node else next((key for key in sorted(synonyms(part)) if key in node), part)
    if part.isdecimal() and int(part) < len(node):
        return int(part)
    count = f"{len(node)} {'entry' if len(node) == 1 else 'entries'}"
    remedy = f"Entries are counted from 0; to add one, give the whole list: --set '{dotted(path)}=[...]'."
    raise BadInput(f"there is no entry {part!r} in {dotted(path)}, which has {count}", place=place, remedy=remedy)
