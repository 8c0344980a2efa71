"""A real API server, where one can be had."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubectl import Kubectl

DEVCLUSTER = Path(__file__).parents[3] / "shared/devcluster/devcluster"
"""A program beside the repository that starts a cluster on this machine: `up`, `status`, `env`, `down`."""


def _devcluster(word: str) -> str:
    done = subprocess.run([DEVCLUSTER, word], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"devcluster {word}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """`kubectl` on a cluster that is stopped afterwards, unless it ran before."""
    if not DEVCLUSTER.exists():
        pytest.skip("no devcluster beside the repository, so no API server to ask")
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("devcluster needs root")
    ran_before = "running apiserver" in _devcluster("status")
    if not ran_before:
        _devcluster("up")
    words = dict(word.split("=", 1) for word in _devcluster("env").removeprefix("export ").split())
    kubectl = Kubectl(words["KUBECONFIG"], words["PATH"].removesuffix(":$PATH"))
    try:
        yield kubectl
    finally:
        kubectl.stop_using()
        if not ran_before:
            _devcluster("down")
