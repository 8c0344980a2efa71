"""What every module of tests is held to."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left_open() -> Iterator[None]:
    """What a module forgot to close is found at its end and not in some later test, by whoever collects it first."""
    yield
    gc.collect()
