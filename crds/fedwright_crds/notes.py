"""The text that stands below each field in the models' source, for `kubectl explain`.

Read from the source when the CRDs are generated, so that importing the models stays fast.
"""

import ast
import inspect
import sys
from textwrap import dedent

from pydantic import BaseModel

from fedwright_crds.base import Strict
from fedwright_crds.schema import Notes


def notes_of(model: type[BaseModel]) -> Notes:
    """Of a model and of every model that its schema names."""
    named = {model.__name__, *model.model_json_schema().get("$defs", {})}
    return {one.__name__: _fields(one) for one in _below(Strict) if one.__name__ in named}


def _below(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models of this package; others may share a name."""
    found = [one for child in model.__subclasses__() for one in (child, *_below(child))]
    return [one for one in found if one.__module__ in sys.modules and one.__module__.startswith(f"{__package__}.")]


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
