"""The gateway as the chart starts it: its own words, variables and mounts, as the first process of a namespace of processes, a
plain user in a read-only root. The volume's folder and the Secret's file belong to the pod's group, as a kubelet would have it.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import httpx
import pytest
from gateways import SECRET, START_SECONDS, allowance
from helm import Helm, program
from scripted_provider import ScriptedProvider, answer, first, hang

from fedwright_agents.model_mind.gateway_model import GatewayModel
from fedwright_boxes import bubblewrap
from fedwright_crds.allowance import sign

Json = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
AS_USER = REPOSITORY / "tests/boxes/as_user.py"
NOBODY = 65534
USER = "10001"
KEY = "sk-sentinel-5f1d0a7c9e"
_REPLACED = {"proc", "dev", "tmp", "etc", "state", "box"}


@pytest.fixture(scope="module")
def helm() -> Helm:
    path = program()
    if path is None:
        assert not os.environ.get("CI"), "there is no helm to read the chart with; put helm 4 on the path"
        pytest.skip("no helm on the path, nor a devcluster beside the repository")
    return Helm(path)


@dataclass
class Pod:
    """What the chart makes of these profiles, and the volumes of its one pod."""

    folder: Path
    manifests: list[Json]
    port: int
    keys: Json

    @property
    def container(self) -> Json:
        (found,) = self._of("StatefulSet")["spec"]["template"]["spec"]["containers"]
        return dict(found)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _of(self, kind: str, name: str = "") -> Json:
        (one,) = [one for one in self.manifests if one["kind"] == kind and name in {"", one["metadata"]["name"]}]
        return dict(one)

    def lay_out(self) -> None:
        profiles = self._of("ConfigMap", "fedwright-gateway")["data"]
        for name, content, mode in [
            *(("profiles/" + file, text.encode(), 0o644) for file, text in profiles.items()),
            ("allowances/secret", SECRET, 0o440),
        ]:
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
            self._to_the_group(file, mode)
        state = self.folder / "state"
        state.mkdir()
        self._to_the_group(state, 0o2775)

    def _to_the_group(self, path: Path, mode: int) -> None:
        """As a volume with fsGroup: root's, and the group may do what its owner may."""
        if os.geteuid() == 0:
            os.chown(path, 0, NOBODY)
        path.chmod(mode)

    @contextmanager
    def running(self) -> Iterator["Running"]:
        log = self.folder / "log"
        with log.open("ab") as said, tempfile.TemporaryFile("w+") as told:
            command = [*_as_user(), *self._bubblewrap(told.fileno()), *self._words()]
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, pass_fds=[told.fileno()])
            try:
                yield Running(process, told, log)
            finally:
                process.kill()
                process.wait()

    def _bubblewrap(self, told: int) -> list[str]:
        """A pod's container. The network is the machine's, so its port is one that is free here."""
        kept = {"profiles": "--ro-bind", "allowances": "--ro-bind", "state": "--bind"}
        # The checkout may itself lie below /tmp.
        mounts = [("--tmpfs", "/tmp"), ("--ro-bind", str(REPOSITORY), str(REPOSITORY))]
        for one in self.container["volumeMounts"]:
            if one["name"] in kept:
                mounts.append((kept[one["name"]], str(self.folder / one["name"]), one["mountPath"]))
                assert (kept[one["name"]] == "--ro-bind") == one.get("readOnly", False)
        assert {one["name"] for one in self.container["volumeMounts"]} == {*kept, "tmp"}
        variables = {**_of_the_image(), **self.keys, **{one["name"]: one["value"] for one in self.container["env"]}}
        return [
            str(bubblewrap.installed_programs()[0]),
            *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--as-pid-1", "--die-with-parent", "--new-session"),
            *("--uid", USER, "--gid", USER, "--cap-drop", "ALL", "--info-fd", str(told)),
            *_root(),
            *("--proc", "/proc", "--dev", "/dev"),
            *(word for mount in mounts for word in mount),
            *("--remount-ro", "/", "--chdir", "/", "--clearenv"),
            *(word for name, value in variables.items() for word in ("--setenv", name, value)),
        ]

    def _words(self) -> list[str]:
        assert self.container["securityContext"]["readOnlyRootFilesystem"] is True
        python, *words = self.container["command"]
        assert python == "python"
        return [
            sys.executable,
            *words,
            *(re.sub("--port=8000", f"--port={self.port}", one) for one in self.container["args"]),
        ]


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    told: Any
    log: Path

    @property
    def pid(self) -> int:
        """Of the gateway, outside its namespace."""
        self.told.seek(0)
        return int(json.load(self.told)["child-pid"])

    def ready(self, url: str) -> None:
        """As the startup probe asks."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                assert httpx.get(f"{url}/healthz", trust_env=False).json() == {"ok": True}
                return
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.2)

    def peak_memory_mib(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def _as_user() -> list[str]:
    return [sys.executable, str(AS_USER)] if os.geteuid() == 0 else []


def _root() -> Iterator[str]:
    """The machine's folders, read-only, as the image; folders of the chart's mounts lie between them."""
    for path in [*Path("/").iterdir(), *Path("/etc").iterdir()]:
        if path.name not in _REPLACED:
            if path.is_symlink():
                yield from ("--symlink", str(path.readlink()), str(path))
            else:
                yield from ("--ro-bind-try", str(path), str(path))
    for needed in (REPOSITORY, Path(sys.prefix)):  # which may lie below a folder that is left out
        yield from ("--ro-bind", str(needed), str(needed))


def _of_the_image() -> dict[str, str]:
    (said,) = re.findall(
        r"^ENV (PATH=.*\n.*\n?.*PYTHONUNBUFFERED=1)", (REPOSITORY / "images/mind/Dockerfile").read_text(), re.M
    )
    return dict(word.split("=", 1) for word in said.replace("\\\n", " ").split())


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own, which it closes to others."""
    made = Path(tempfile.mkdtemp(prefix="pod-"))
    made.chmod(0o755)
    yield made
    rmtree(made)


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    server = ScriptedProvider()
    yield server
    server.close()


def pod_of(helm: Helm, folder: Path, provider: ScriptedProvider, **keys: str) -> Pod:
    profile = {"name": "fast", "model": "openai/m", "apiBase": provider.url, "key": {"environment": "SOME_KEY"}}
    models = {"enabled": True, "profiles": [{**profile, "retries": 0}], "keysSecret": "keys"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pod = Pod(folder, helm.manifests("fedwright", {"models": models, "crds": {"install": False}}), port, keys)
    pod.lay_out()
    return pod


def charged(pod: Pod) -> Json:
    headers = {"authorization": f"Bearer {sign(allowance('fast'), SECRET)}"}
    found: Json = httpx.get(f"{pod.url}/v1/usage", headers=headers, trust_env=False).raise_for_status().json()
    return found


@pytest.mark.slow
def test_a_pod_that_is_deleted_by_force_in_mid_call_loses_no_answer_and_charges_each_call_once(
    helm: Helm, folder: Path, provider: ScriptedProvider
) -> None:
    """The next pod starts while the one before it still holds the state; then it ends as it is told to."""
    provider.scripts["m"] = first(answer("One."), hang, answer("Two."))
    pod = pod_of(helm, folder, provider, SOME_KEY=KEY)
    model = GatewayModel("fast", pod.url, sign(allowance("fast"), SECRET))
    question, answers = [{"role": "user", "content": "Is it so?"}], list[str]()
    with model._client, pod.running() as before:
        before.ready(pod.url)
        assert model.ask(question).text == "One."
        asks = threading.Thread(target=lambda: answers.append(model.ask(question).text))
        asks.start()
        _until(lambda: len(provider.asked("m")) == 2)
        with pod.running() as after:
            time.sleep(1)
            assert after.process.poll() is None, "it waits until the state is let go of"
            os.kill(before.pid, signal.SIGKILL)
            before.process.wait(30)
            after.ready(pod.url)
            asks.join(60)
            assert answers == ["Two."]
            usage = charged(pod)
            assert after.peak_memory_mib() < 700, "limits.memory is 1Gi"
            os.kill(after.pid, signal.SIGTERM)
            assert after.process.wait(15) == 0, "within terminationGracePeriodSeconds"
    assert usage["request"]["charged"]["calls"] == usage["roles"]["code"]["calls"] == len(provider.received) == 3
    assert provider.counted <= usage["request"]["charged"]["tokens"]
    assert {one.headers["Authorization"] for one in provider.received} == {f"Bearer {KEY}"}
    kept = [file for file in (folder / "state").rglob("*") if file.is_file()]
    assert len([one for one in kept if one.suffix == ".json"]) == 2, "the call that was cut off left no answer"
    assert all(KEY.encode() not in one.read_bytes() for one in [*kept, folder / "log"])
    assert "Traceback" not in (folder / "log").read_text()


def test_a_key_that_the_secret_lacks_is_named_in_the_last_words(
    helm: Helm, folder: Path, provider: ScriptedProvider
) -> None:
    pod = pod_of(helm, folder, provider, OTHER_KEY=KEY)
    with pod.running() as running:
        assert running.process.wait(120) == 2
    assert (folder / "log").read_text() == (
        "gateway: profile fast: the key is missing: the environment variable SOME_KEY is not set or empty; set it\n"
    )
    assert pod.container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def _until(holds: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
