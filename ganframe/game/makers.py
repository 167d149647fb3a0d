"""Makers: the methods of a game that make its named tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ganframe.errors import BadInput
from ganframe.plugins.author_code import name_of, source_of

Maker = TypeVar("Maker", bound=Callable[..., Any])


def tensor(maker: Maker) -> Maker:
    """Mark a method of a game as the maker of the tensor of the same name. Its one argument is the `Round`."""
    return tensors(maker.__name__)(maker)


def tensors(*names: str) -> Callable[[Maker], Maker]:
    """Mark a method of a game as the maker of several tensors, which come from one forward pass.

    The method returns a tuple with the tensors in this order, or a mapping with them by name.

    Args:
        names: The names of the tensors.
    """

    def mark(maker: Maker) -> Maker:
        maker.__made_tensors__ = names  # pyright: ignore[reportFunctionMemberAccess]
        return maker

    return mark


def find_makers(cls: type) -> dict[str, str]:
    """Return the name of the method that makes each tensor of a game class or its bases, by the tensor's name."""
    methods = [item for base in reversed(cls.__mro__) for item in vars(base).items()]
    return {name: method for method, value in methods for name in made_tensors(value)}


def made_tensors(value: object) -> tuple[str, ...]:
    """Return the names of the tensors that a method makes; empty for any other value."""
    return getattr(value, "__made_tensors__", ())


def by_name(maker: Callable[..., Any], made: Any) -> Mapping[str, Any]:
    """Convert what a maker (`@tensor` method of a game) returned to a mapping from names to tensors.

    Raises:
        BadInput: When these are not the tensors that the maker's decorator names.
    """
    names = made_tensors(maker)
    if len(names) == 1 and not isinstance(made, Mapping):
        return {names[0]: made}
    if isinstance(made, tuple) and len(made) == len(names):
        return dict(zip(names, made, strict=True))
    if isinstance(made, Mapping) and set(made) == set(names):
        return dict(made)
    message = f"{name_of(maker)} returned {_describe(made)}, and not a tuple or mapping of {_listed(names)}"
    raise BadInput(message, place=source_of(maker))


def _describe(made: Any) -> str:
    if isinstance(made, Mapping):
        return f"a mapping of {_listed(made) or 'nothing'}"
    return f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
