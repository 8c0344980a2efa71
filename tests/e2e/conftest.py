"""These tests run generated code: without a sandbox they fail, and are never skipped."""

import pytest

from fedwright_boxes import sandbox_available


@pytest.fixture(autouse=True)
def _a_sandbox() -> None:
    assert sandbox_available() is None, "these tests run generated code and need a sandbox"
