"""Configs as YAML 1.2: `1e-3` is a number, `no` is a string; every error has its line and column."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, cast

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, StreamMark
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from ganframe.errors import BadInput, Path, dotted
from ganframe.experiment import Experiment

MOST_CHARACTERS, MOST_VALUES, DEEPEST = 1_000_000, 100_000, 50
"""Limits of a config: its length, its values with all aliases written out, and how deep they are nested."""
SHOWN = 200
"""Characters of a wrong value that a message shows at the most."""
LONGEST_NUMBER = 1024
"""Bits of a whole number in a config at the most."""

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_TAG}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "merge", "timestamp")}


class _Constructor(RoundTripConstructor):
    """Takes a date for the text that it is in YAML 1.2, and no number that takes long to write out."""

    def _whole(self, node: Node) -> Any:
        value = self.construct_yaml_int(node)
        if value.bit_length() > LONGEST_NUMBER:
            raise ConstructorError(None, None, f"a whole number has at most {LONGEST_NUMBER} bits", node.start_mark)
        return value


_Constructor.add_constructor(f"{_TAG}int", _Constructor._whole)  # pyright: ignore[reportPrivateUsage]
_Constructor.add_constructor(f"{_TAG}timestamp", RoundTripConstructor.construct_yaml_str)


@dataclass
class Document:
    """A config file with its overrides, and where each of its values stands.

    Attributes:
        file: The file.
        data: The values.
        overrides: The `--set` arguments by path.
    """

    file: FilePath
    data: Any
    overrides: dict[Path, str] = field(default_factory=dict[Path, str])

    def locate(self, path: Path) -> tuple[str, Path]:
        """The place of the deepest value of a path that the document has, and the keys that lead there."""
        node, place, kept = self.data, f"{self.file}:1:1" if self.data else str(self.file), list[str | int]()
        for key in path:
            if isinstance(node, CommentedMap) and key in node:
                place = self._place(node, key, tuple(kept)) or place
            elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
                place = self._place(node, key, tuple(kept)) or place
            else:
                continue  # a key that is missing, or a part that validation put in, such as the branch of a union
            node = cast(Any, node[key])
            kept.append(key)
        return place, tuple(kept)

    def _place(self, node: CommentedMap | CommentedSeq, key: str | int, outer: Path) -> str | None:
        """Where a value was given; None when nobody gave it, as with the `type` of a shorthand."""
        path = (*outer, key)
        for given, override in self.overrides.items():
            inside, around = path[: len(given)] == given, given[: len(path)] == path
            if inside or (around and key not in _marks(node)):
                return _argument(override)
        mark = _marks(node).get(key)
        return None if mark is None else f"{self.file}:{mark[0] + 1}:{mark[1] + 1}"

    @contextmanager
    def errors(self) -> Generator[None, None, None]:
        """Give every config error from inside its place in this document."""
        try:
            yield
        except ValidationError as problem:
            raise self._from_validation(problem) from None
        except BadInput as problem:
            if not problem.path:
                raise
            place, _ = self.locate(problem.path)
            message = f"{problem.message}: {problem.place}" if problem.place else problem.message
            raise BadInput(message, place=place, path=problem.path, remedy=problem.remedy) from None

    def _from_validation(self, problem: ValidationError) -> BadInput:
        lines = list[tuple[str, str]]()
        for error in problem.errors(include_url=False):
            place, path = self.locate(error["loc"])
            if error["type"] == "missing":
                path = (*path, error["loc"][-1])
            lines.append((f"{place}: {dotted(path)}" if path else place, _say(error)))
        (place, message), *others = dict.fromkeys(lines)
        more = "".join(f"\n{place}: {message}" for place, message in others)
        return BadInput(message + more, place=place)


def _marks(node: CommentedMap | CommentedSeq) -> dict[str | int, list[int]]:
    """Line and column of each key, from 0, of those that stand in the file."""
    return node.lc.data or {}


_NEEDED = {
    "a whole number": ("int_type", "int_parsing", "int_from_float"),
    "a number": ("float_type", "float_parsing"),
    "a finite number": ("finite_number",),
    "true or false": ("bool_type", "bool_parsing"),
    "text": ("string_type",),
    "a path": ("path_type",),
    "a list": ("tuple_type", "list_type"),
    "a mapping": ("dict_type", "mapping_type"),
    "a mapping of settings": ("model_type", "model_attributes_type"),
}
_NEEDED_BY_CODE = {code: needed for needed, codes in _NEEDED.items() for code in codes}


def _say(error: Any) -> str:
    """What a pydantic error says, in our words."""
    code = str(error["type"])
    if code == "missing":
        return "this setting is missing" if isinstance(error["loc"][-1], str) else "this list is too short"
    if code in ("missing_type", "unknown_setting", "unknown_type", "wrong_kind"):
        return str(error["msg"])  # says all that there is to say
    if code in _NEEDED_BY_CODE:
        return f"this has to be {_NEEDED_BY_CODE[code]}{_given(error['input'])}"
    if code in ("too_long", "too_short"):
        return f"this list {str(error['msg']).partition(' ')[2].replace(' after validation', '')}"
    text = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "this has to be")
    return f"{text[:1].lower()}{text[1:]}{_given(error['input'])}"


def _given(value: object) -> str:
    if isinstance(value, bool):
        return f" (given: {str(value).lower()})"
    if value is None:
        return " (given: nothing)"
    if not isinstance(value, (str, int, float)):
        return ""
    return f" (given: {_beginning(repr(value))})"


def _argument(override: str) -> str:
    return f"--set {_beginning(override)}"


def _beginning(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


@dataclass
class Loaded:
    """An experiment and the document that it was read from."""

    experiment: Experiment
    document: Document


def load_experiment(file: FilePath, overrides: Sequence[str] = ()) -> Loaded:
    """Read a config.

    Args:
        file: A YAML file.
        overrides: `a.b=c` each: a dotted path and a YAML value.

    Raises:
        BadInput: With the place of everything that is wrong.
    """
    document = read_document(file)
    for override in overrides:
        _apply(document, override)
    with document.errors():
        return Loaded(Experiment.model_validate(document.data), document)


def read_document(file: FilePath) -> Document:
    """Parse a YAML file that holds a mapping.

    Raises:
        BadInput: When it cannot be read or parsed, or has tags that make objects.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise BadInput(f"this config cannot be read: {reason}", place=str(file)) from None
    data = _parse(text, str(file), marked=True)
    if not isinstance(data, CommentedMap):
        what = "this config is empty" if data is None else "a config is a mapping of settings, not a list or a value"
        remedy = "`ganframe presets` lists complete ones to begin with."
        raise BadInput(what, place=f"{file}:1:1", remedy=remedy)
    return Document(file, data)


def _parse(text: str, place: str, *, marked: bool) -> Any:
    """The value of a YAML text; with `marked`, errors say the line and column after the place."""

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
        return yaml.load(io.StringIO(text))
    except DuplicateKeyError as problem:
        key = str(problem.problem).partition('"')[2].partition('"')[0]
        raise BadInput(f"the key {key!r} stands here for the second time", place=where(problem.problem_mark)) from None
    except MarkedYAMLError as problem:
        raise BadInput(f"this is not YAML: {problem.problem}", place=where(problem.problem_mark)) from None
    except BadInput:
        raise
    except Exception as problem:  # the library has no one kind of error for values that do not fit their tags
        reason = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise BadInput(f"this is not YAML: {reason}", place=place) from None


def _check_growth(text: str, where: Callable[[StreamMark | None], str]) -> None:
    """Refuse a text that would take much more memory or depth than its length says."""
    if len(text) > MOST_CHARACTERS:
        raise BadInput(f"a config has at most {MOST_CHARACTERS:,} characters", place=where(None))
    sizes = dict[str, int]()
    open_anchors, open_sizes = list[str | None](), [0]
    for event in YAML().parse(io.StringIO(text)):
        at = where(event.start_mark)
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
    """Every node of a YAML tree, each once."""
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


def _apply(document: Document, override: str) -> None:
    """Put the value of a `--set` into a document."""
    place = _argument(override)
    name, equals, text = override.partition("=")
    parts = name.split(".")
    if not equals or not all(parts):
        remedy = "Name a setting and give it a YAML value, such as --set train.batch_size=32."
        raise BadInput("an override has the form a.b=c", place=place, remedy=remedy)
    value = _parse(text, place, marked=False)
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
            node[key] = copy.deepcopy(node[key])  # an alias elsewhere may stand for the same, and is not to change
        node = cast(Any, node[key])
    document.overrides[tuple(path)] = override


def _key(node: CommentedMap | CommentedSeq, part: str, path: Path, place: str) -> str | int:
    """A part of an override's name as the key of a mapping or the index of a list."""
    if isinstance(node, CommentedMap):
        if part.isdecimal():
            remedy = f"Give the whole list: --set '{dotted(path)}=[...]'."
            raise BadInput(f"there is no list at {dotted(path) or 'the top'}", place=place, remedy=remedy)
        return part
    if part.isdecimal() and int(part) < len(node):
        return int(part)
    count = f"{len(node)} {'entry' if len(node) == 1 else 'entries'}"
    remedy = f"Entries are counted from 0; to add one, give the whole list: --set '{dotted(path)}=[...]'."
    raise BadInput(f"there is no entry {part!r} in {dotted(path)}, which has {count}", place=place, remedy=remedy)


def dump_yaml(data: Any) -> str:
    """Plain data as YAML text."""
    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()
