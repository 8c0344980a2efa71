"""The user's own data: what a function may return, and what is said when it does not."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedwright_crds.task import Task
from fedwright_federation.tasks import BadInputError, load_task
from fedwright_federation.tasks.entry_point import FIELD, call_entry_point
from fedwright_federation.tasks.sources import load_raw

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.syspath_prepend(str(tmp_path))

    def module(body: str) -> str:
        (tmp_path / "own_data.py").write_text("import numpy as np\n" + body)
        sys.modules.pop("own_data", None)
        return "own_data:load"

    yield module
    sys.modules.pop("own_data", None)


def test_two_arrays_are_enough(write: Write) -> None:
    raw = call_entry_point(write("def load():\n    return np.ones((6, 3)), ['cat', 'dog', 'cat', 'eel', 'dog', 'eel']"))
    assert raw.x.dtype == np.float32 and list(raw.y) == [0, 1, 0, 2, 1, 2] and raw.classes == 3 and raw.client is None


def test_a_mapping_may_say_whose_rows_they_are(write: Write) -> None:
    body = """
def load():
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(300, 4)), "y": np.arange(300) % 3 + 7, "client": [f"site-{i % 4}" for i in range(300)]}
"""
    wire = {
        "data": {"source": "EntryPoint", "entryPoint": write(body)},
        "partition": {"kind": "Natural"},
        "clients": 4,
    }
    task = Task.model_validate_json(json.dumps(wire))
    data = load_task(task, 0)
    assert data.classes == 3 and set(data.client) == {0, 1, 2, 3} and data.input_shape == (4,)
    short = task.model_copy(update={"clients": 5})
    with pytest.raises(BadInputError, match="the data has 4 clients; set it to 4"):
        load_task(short, 0)
    load_task.cache_clear()
    load_raw.cache_clear()


def test_natural_clients_must_be_named(write: Write) -> None:
    wire = {
        "data": {"source": "EntryPoint", "entryPoint": write("def load():\n    return np.eye(90), np.arange(90) % 2")},
        "partition": {"kind": "Natural"},
        "clients": 2,
    }
    with pytest.raises(BadInputError, match="names no clients"):
        load_task(Task.model_validate_json(json.dumps(wire)), 0)
    load_raw.cache_clear()


BROKEN = {
    "it raises": ("def load():\n    raise OSError('disk on fire')", "OSError: disk on fire"),
    "no such function": ("def other():\n    pass", "has no load"),
    "no function": ("load = 3", "is no function"),
    "import fails": ("import not_installed_here\ndef load(): pass", "not_installed_here"),
    "import raises": ("1 / 0", "ZeroDivisionError"),
    "nothing": ("def load():\n    pass", "returned NoneType"),
    "one array": ("def load():\n    return np.ones((4, 2))", "returned ndarray"),
    "odd keys": ("def load():\n    return {'x': 1, 'labels': 2}", "keys \\['labels', 'x'\\]"),
    "text inputs": ("def load():\n    return [['a'], ['b']], [0, 1]", "no array of numbers"),
    "ragged": ("def load():\n    return [[1.0], [1.0, 2.0]], [0, 1]", "no array of numbers"),
    "flat inputs": ("def load():\n    return np.ones(4), [0, 1, 0, 1]", "has shape \\(4,\\)"),
    "empty": ("def load():\n    return np.ones((0, 3)), []", "has shape \\(0, 3\\)"),
    "not finite": ("def load():\n    return np.full((2, 2), np.nan), [0, 1]", "not finite"),
    "too large for float32": ("def load():\n    return np.full((2, 2), 1e300), [0, 1]", "not finite"),
    "unequal lengths": ("def load():\n    return np.ones((3, 2)), [0, 1]", "x has 3 rows"),
    "fractional labels": ("def load():\n    return np.ones((2, 2)), [0.5, 1.5]", "dtype float64"),
    "one class": ("def load():\n    return np.ones((2, 2)), [1, 1]", "single class"),
    "object labels": ("def load():\n    return np.ones((2, 2)), np.array([0, None])", "dtype object"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_names_the_field_and_the_mend(case: str, write: Write) -> None:
    body, says = BROKEN[case]
    with pytest.raises(BadInputError, match=says) as caught:
        call_entry_point(write(body))
    assert caught.value.field == FIELD == "spec.task.data.entryPoint"
    assert caught.value.mend


def test_a_module_that_is_not_there_says_where_to_put_it() -> None:
    with pytest.raises(BadInputError, match="put its folder on PYTHONPATH"):
        call_entry_point("no_such_module_here:load")
