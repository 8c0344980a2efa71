"""A provider that does as its scripts say."""

from collections.abc import Iterator

import pytest
from scripted_provider import ScriptedProvider


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedProvider]:
    server = ScriptedProvider()
    yield server
    server.close()
