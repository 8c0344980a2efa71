"""The user's own data: a function named in the request, called in the judge box, its answer checked before it is used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedwright_federation.tasks.problems import BadInputError
from fedwright_federation.tasks.raw import Raw

FIELD = "spec.task.data.entryPoint"
MOST_BYTES = 160 * 1024 * 1024


def call_entry_point(name: str) -> Raw:
    """What `module:function` returns: (x, y), (x, y, client) or a mapping with these keys.

    x [n, ...] numbers, y [n] class labels of any kind, client [n] any ids; labels and ids are numbered in sorted order.
    Raises BadInputError naming spec.task.data.entryPoint.
    """
    function = _import(name)
    try:
        answer = function()
    except Exception as error:
        raise _bad(f"{name} raised {type(error).__name__}: {error}", "mend the function") from error
    x, y, client = _parts(name, answer)
    rows = _inputs(x)
    labels, classes = _numbered(y, "y", len(rows))
    if classes < 2:
        raise _bad("y holds a single class", "return at least two classes")
    owners = None if client is None else _numbered(client, "client", len(rows))[0]
    return Raw(rows, labels, classes, owners)


def _import(name: str) -> Callable[[], Any]:
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except ImportError as error:
        raise _bad(f"{module} cannot be imported: {error}", "put its folder on PYTHONPATH") from error
    except AttributeError as error:
        raise _bad(f"{module} has no {attribute}", "name a function of that module") from error
    except Exception as error:
        raise _bad(f"importing {module} raised {type(error).__name__}: {error}", "mend the module") from error
    if not callable(function):
        raise _bad(f"{name} is no function", "name a function without parameters")
    found: Callable[[], Any] = function
    return found


def _parts(name: str, answer: Any) -> tuple[Any, Any, Any]:
    if isinstance(answer, Mapping):
        unknown = sorted(set(map(str, answer)) - {"x", "y", "client"})
        if unknown or "x" not in answer or "y" not in answer:
            raise _bad(
                f"{name} returned a mapping with keys {sorted(map(str, answer))}", "return x, y and maybe client"
            )
        return answer["x"], answer["y"], answer.get("client")
    if isinstance(answer, tuple) and len(answer) in {2, 3}:
        return answer[0], answer[1], answer[2] if len(answer) == 3 else None
    raise _bad(f"{name} returned {type(answer).__name__}", "return (x, y) or (x, y, client)")


def _inputs(x: Any) -> NDArray[np.float32]:
    try:
        rows = np.asarray(x)
        if rows.dtype.kind not in "fiub":
            raise TypeError(f"dtype {rows.dtype}")
    except (TypeError, ValueError) as error:
        raise _bad(f"x is no array of numbers: {error}", "return a NumPy array of floats") from error
    if not 2 <= rows.ndim <= 5 or not rows.size:
        raise _bad(
            f"x has shape {rows.shape}", "return one row a sample, [n, ...] with n > 0 and one to four more axes"
        )
    if rows.size * 4 > MOST_BYTES:
        raise _bad(f"x has {rows.size * 4 >> 20} MiB as float32", f"return at most {MOST_BYTES >> 20} MiB")
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(rows, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise _bad("x holds values that are not finite in float32", "fill or drop them")
    return rows


def _numbered(values: Any, what: str, rows: int) -> tuple[NDArray[np.int64], int]:
    """Labels as numbers from 0 in sorted order, and how many there are."""
    try:
        column = np.asarray(values)
    except ValueError as error:
        raise _bad(f"{what} is no array: {error}", f"return one value of {what} a row of x") from error
    if column.shape != (rows,):
        raise _bad(f"{what} has shape {column.shape} and x has {rows} rows", f"return one value of {what} a row of x")
    if column.dtype.kind not in "iubU":
        raise _bad(f"{what} has dtype {column.dtype}", f"return integers or text for {what}")
    names, numbers = np.unique(column, return_inverse=True)
    return numbers.astype(np.int64), len(names)


def _bad(reason: str, mend: str) -> BadInputError:
    return BadInputError(FIELD, reason[:2000], mend)
