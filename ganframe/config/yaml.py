"""YAML 1.2 as plain data: `1e-3` is a number, `no` is a string, and the expansion of aliases is limited."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, StreamMark
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt

from ganframe.errors import BadInput

MOST_CHARACTERS, MOST_VALUES, DEEPEST = 250_000, 10_000, 50
"""Limits of a config: characters, values with all aliases expanded, and levels of nesting."""

MAX_BYTES = 4 * MOST_CHARACTERS
"""Maximum size of a config file in bytes: four for each character."""


LONGEST_NUMBER = 1024
"""Maximum number of bits of an integer in a config."""


_TAG = "tag:yaml.org,2002:"


_PLAIN_TAGS = {f"{_TAG}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "merge", "timestamp")}


def _keep_text(value: Any, node: Node) -> Any:
    """Store how a number is written in its attribute `text`, because a folder may be named 012 or 1e3."""
    if isinstance(value, (ScalarInt, ScalarFloat)):
        value.text = node.value  # pyright: ignore[reportAttributeAccessIssue]
    return value


class _Constructor(RoundTripConstructor):
    """A constructor that reads a date as text, as YAML 1.2 does, and refuses integers that are slow to print."""

    def _whole(self, node: Node) -> Any:
        value = self.construct_yaml_int(node)
        if value.bit_length() > LONGEST_NUMBER:
            raise ConstructorError(None, None, f"a whole number has at most {LONGEST_NUMBER} bits", node.start_mark)
        if type(value) is int and str(value) != node.value:
            value = ScalarInt(value)  # which can have an attribute
        return _keep_text(value, node)

    def _fraction(self, node: Node) -> Any:
        return _keep_text(self.construct_yaml_float(node), node)


_Constructor.add_constructor(f"{_TAG}int", _Constructor._whole)  # pyright: ignore[reportPrivateUsage]


_Constructor.add_constructor(f"{_TAG}float", _Constructor._fraction)  # pyright: ignore[reportPrivateUsage]


_Constructor.add_constructor(f"{_TAG}timestamp", RoundTripConstructor.construct_yaml_str)


def parse_yaml(text: str, place: str, *, marked: bool) -> Any:
    """Parse a YAML text.

    Args:
        text: The text.
        place: The source of the text, for errors: a file or a `--set` argument.
        marked: Whether errors add the line and column.

    Raises:
        BadInput: When the text is not YAML, is not plain data, or exceeds a limit of a config.
    """

    def where(mark: StreamMark | None) -> str:
        return f"{place}:{mark.line + 1}:{mark.column + 1}" if marked and mark is not None else place

    yaml = YAML()
    yaml.Constructor = _Constructor
    try:
        _check_growth(text, where)
        node = cast(Node | None, yaml.compose(io.StringIO(text)))
        for each in _nodes(node):
            if str(each.tag) not in _PLAIN_TAGS:
                tag = str(each.tag).replace(_TAG, "!!")
                remedy = "Configs are plain data: numbers, text, lists and mappings."
                raise BadInput(f"the tag {tag} is not allowed in a config", place=where(each.start_mark), remedy=remedy)
        return None if node is None else yaml.constructor.construct_document(node)
    except DuplicateKeyError as problem:
        key = str(problem.problem).partition('"')[2].partition('"')[0]
        raise BadInput(f"the key {key!r} stands here for the second time", place=where(problem.problem_mark)) from None
    except MarkedYAMLError as problem:
        raise BadInput(f"this is not YAML: {problem.problem}", place=where(problem.problem_mark)) from None
    except BadInput:
        raise
    except Exception as problem:  # ruamel.yaml has no common error class for values that do not fit their tags
        reason = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise BadInput(f"this is not YAML: {reason}", place=place) from None


def _check_growth(text: str, where: Callable[[StreamMark | None], str]) -> None:
    """Refuse a text that is too long, is nested too deeply, or has too many values once aliases are expanded."""
    if len(text) > MOST_CHARACTERS:
        raise BadInput(f"a config has at most {MOST_CHARACTERS:,} characters", place=where(None))
    sizes = dict[str, int]()
    open_anchors, open_sizes = list[str | None](), [0]
    for event in YAML().parse(io.StringIO(text)):
        at = where(event.start_mark)
        if isinstance(event, DocumentStartEvent) and event.version not in (None, (1, 2)):
            directive = "%YAML {}.{}".format(*event.version)
            raise BadInput(f"the directive {directive} is not allowed in a config", place=at, remedy="It is YAML 1.2.")
        if isinstance(event, CollectionStartEvent):
            open_anchors.append(event.anchor)
            open_sizes.append(1)
        elif isinstance(event, CollectionEndEvent):
            _close(open_anchors.pop(), sizes, open_sizes)
        elif isinstance(event, AliasEvent):
            if event.anchor in open_anchors:
                raise BadInput(f"the alias *{event.anchor} stands for something that it is a part of", place=at)
            open_sizes[-1] += sizes.get(str(event.anchor), 1)
        elif isinstance(event, ScalarEvent):
            open_sizes.append(1)
            _close(event.anchor, sizes, open_sizes)
        if len(open_anchors) > DEEPEST:
            raise BadInput(f"settings are nested more than {DEEPEST} deep", place=at)
        if open_sizes[-1] > MOST_VALUES:
            raise BadInput(f"a config has at most {MOST_VALUES:,} values, its aliases written out", place=at)


def _close(anchor: str | None, sizes: dict[str, int], open_sizes: list[int]) -> None:
    size = open_sizes.pop()
    open_sizes[-1] += size
    if anchor is not None:
        sizes[anchor] = size


def _nodes(root: Node | None) -> Iterator[Node]:
    """Yield every node of a YAML tree once."""
    waiting, seen = [] if root is None else [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, MappingNode):
            pairs = cast(list[tuple[Node, Node]], node.value)
            waiting.extend(each for pair in pairs for each in pair)
        elif isinstance(node, SequenceNode):
            waiting.extend(cast(list[Node], node.value))


def dump_yaml(data: Any) -> str:
    """Return plain data as YAML text."""
    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()
