"""The docstrings of the fields of settings, read from the source only when they are shown.

pydantic could read them when a class is defined. With all packages, that would be a quarter of the start-up time of
`ganframe --help`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise


def field_docstrings(cls: type) -> dict[str, str]:
    """Return the docstring of each annotated attribute of a class and its base classes, by the attribute's name.

    Args:
        cls: The class. The result lacks classes without a source file, such as one typed at a prompt.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ != "builtins":
            found |= _own_docstrings(base)
    return found


@cache
def _own_docstrings(cls: type) -> dict[str, str]:
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        return {}
    # In a block, because lines of docstrings may be indented less than the class is.
    (block,) = ast.parse(f"if True:\n{textwrap.indent(textwrap.dedent(source), ' ')}").body
    assert isinstance(block, ast.If)
    (definition,) = block.body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
