"""A real API server, where one can be had."""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def _turn() -> Iterator[None]:
    """One at a time: the machine holds one cluster, and tests may run in several processes."""
    with Path(tempfile.gettempdir(), "fedwright-devcluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """`kubectl` on a cluster of these tests, stopped afterwards."""
    if not DEVCLUSTER.exists():
        pytest.skip("no devcluster beside the repository, so no API server to ask")
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("devcluster needs root")
    with _turn():
        if "running apiserver" in _devcluster("status").stdout:
            pytest.skip("a devcluster is in use, and its definitions are not this test's to change; stop it first")
        started = _devcluster("up")
        assert started.returncode == 0, started.stderr
        words = dict(word.split("=", 1) for word in _devcluster("env").stdout.removeprefix("export ").split())
        kubectl = Kubectl(words["KUBECONFIG"], words["PATH"].removesuffix(":$PATH"))
        yield kubectl
        _stop()
