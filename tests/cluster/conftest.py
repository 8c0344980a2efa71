"""The cluster of these tests, and the operator that `make cluster` put on it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helm import DEVCLUSTER
from kubectl import Kubectl

SYSTEM = "fedwright-system"


@pytest.fixture(scope="session")
def programs() -> str:
    """Where kubectl is. No cluster is a failure: these tests run only where they are asked for."""
    program = shutil.which("kubectl")
    assert program and "KUBECONFIG" in os.environ, "no cluster: run these tests by `make e2e`"
    return str(Path(program).parent)


@pytest.fixture(scope="session")
def operator(programs: str) -> Kubectl:
    """kubectl in the namespace of an operator that is there."""
    kubectl = Kubectl(os.environ["KUBECONFIG"], programs, namespace=SYSTEM)
    kubectl("rollout", "status", "deployment/fedwright", "--timeout=120s")
    return kubectl


@pytest.fixture
def space(programs: str) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own that takes restricted pods alone, and that is gone afterwards."""
    with _restricted(programs) as kubectl:
        yield kubectl


@pytest.fixture(scope="module")
def module_space(programs: str) -> Iterator[Kubectl]:
    """One such namespace for all tests of a module."""
    with _restricted(programs) as kubectl:
        yield kubectl


@contextmanager
def _restricted(programs: str) -> Iterator[Kubectl]:
    kubectl = Kubectl(os.environ["KUBECONFIG"], programs)
    kubectl("create", "namespace", kubectl.namespace)
    kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield kubectl
    finally:
        kubectl.stop_using()


@pytest.fixture
def devcluster() -> Callable[..., None]:
    """What is below the cluster, where devcluster started it on this machine."""
    program = DEVCLUSTER / "devcluster"
    if not program.exists():
        pytest.skip("this cluster's nodes are not this machine's to stop")

    def run(*words: str) -> None:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr

    return run
