"""The text that stands below each field in the models' source, for `kubectl explain`.

Read from the source when the CRDs are generated, so that importing the models stays fast.
"""

import ast
import inspect
from collections.abc import Iterator
from textwrap import dedent
from typing import Any, get_args

from pydantic import BaseModel

from fedwright_crds.schema import Notes


def notes_of(model: type[BaseModel]) -> Notes:
    """Of a model and of every model that its fields hold, by name."""
    return {name: _fields(one) for name, one in _held(model, {}).items()}


def _held(model: type[BaseModel], found: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    if model.__name__ not in found:
        found[model.__name__] = model
        for field in model.model_fields.values():
            for part in _models_in(field.annotation):
                _held(part, found)
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _fields(model: type[BaseModel]) -> dict[str, str]:
    """By alias; a field's note is the string that follows it."""
    (tree,) = ast.parse(dedent(inspect.getsource(model))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for line, following in zip(tree.body, tree.body[1:], strict=False):
        match line, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[model.model_fields[name].alias or name] = " ".join(text.split())
    return found
