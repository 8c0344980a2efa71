"""A real API server, where one can be had."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubectl import Kubectl

DEVCLUSTER = Path(__file__).parents[3] / "shared/devcluster/devcluster"
"""A program beside the repository that starts a cluster on this machine: `up`, `status`, `env`, `down`."""


def _devcluster(word: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEVCLUSTER, word], capture_output=True, text=True, timeout=300)


def _stop() -> None:
    """Again where processes that end meanwhile confuse it."""
    done = _devcluster("down")
    if done.returncode:
        done = _devcluster("down")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """`kubectl` on a cluster that is stopped afterwards, unless it ran before."""
    if not DEVCLUSTER.exists():
        pytest.skip("no devcluster beside the repository, so no API server to ask")
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("devcluster needs root")
    ran_before = "running apiserver" in _devcluster("status").stdout
    if not ran_before:
        started = _devcluster("up")
        assert started.returncode == 0, started.stderr
    words = dict(word.split("=", 1) for word in _devcluster("env").stdout.removeprefix("export ").split())
    kubectl = Kubectl(words["KUBECONFIG"], words["PATH"].removesuffix(":$PATH"))
    yield kubectl
    if ran_before:
        kubectl.stop_using()
    else:
        _stop()
