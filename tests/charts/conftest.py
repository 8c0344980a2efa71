"""Charts are tested with the real helm."""

import os

import pytest
from helm import Helm, program


@pytest.fixture(scope="session")
def helm() -> Helm:
    path = program()
    if path is None:
        assert not os.environ.get("CI"), "there is no helm to test charts with; put helm 4 on the path"
        pytest.skip("no helm on the path, nor a devcluster beside the repository")
    return Helm(path)
