"""A federation on a real cluster for tests: installed as the operator does, submitted to as a Platform box does."""

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import small_app
from helm import CHARTS, program
from kubectl import Kubectl
from kubernetes import client, config

from fedwright_crds.base import digest_of
from fedwright_crds.federation import FederationSpec
from fedwright_crds.task import Data, DataSource, Task
from fedwright_crds.work import BoxKind, Input, Work
from fedwright_federation.algorithm.parts import Training
from fedwright_federation.models import build_model
from fedwright_federation.packaging.package import app_files, zipped
from fedwright_federation.simulation.engine import simulate
from fedwright_federation.simulation.run import RunSpec
from fedwright_federation.tasks import load_task
from fedwright_operator.cluster import deliveries, names
from fedwright_operator.cluster.api import Api
from fedwright_operator.cluster.federation_values import FederationSettings, Images, control_secret
from fedwright_operator.cluster.helm import Helm
from fedwright_operator.cluster.jobs import CHUNK_KEY, Given, Whose, manifests
from fedwright_operator.cluster.labels import WORK, managed
from fedwright_operator.cluster.releases import Fleet, Releases
from fedwright_operator.cluster.settings import BoxSettings, Image, ReferBy
from fedwright_operator.reconcile.api import Release, ReleaseStatus
from fedwright_operator.reconcile.works import deploy_work

Json = dict[str, Any]

IMAGES = Images("docker.io/fedwright/flower:dev", "IfNotPresent")
BOXES = BoxSettings(
    images={BoxKind.PLATFORM: Image(repository="docker.io/fedwright/flower", tag="dev")}, refer_by=ReferBy.TAG
)
TASK = Task(data=Data(source=DataSource.DIGITS), clients=4)
SHAPE, CLASSES, METHOD = (1, 8, 8), 10, "scaffold"
SECONDS = 240.0
"""For pods to start on a machine that does other things too."""
BOX = {"FEDWRIGHT_BOX": "/box", "HOME": "/tmp", "FLWR_HOME": "/tmp/flower", "OMP_NUM_THREADS": "1"}
DEPLOY = """
python -I -B -m fedwright_federation.flower.deploy && python -I -c '
import base64, json, pathlib
print(json.dumps({p.name: base64.b64encode(p.read_bytes()).decode() for p in pathlib.Path("/box/out").iterdir()}))'
"""


def app(rounds: int, clients: int = 2) -> bytes:
    """A small real strategy for the digits that nodes cut for themselves."""
    settings = small_app.settings(METHOD, rounds, clients)
    return zipped(
        app_files(settings.model_copy(update={"input_shape": SHAPE, "classes": CLASSES}), small_app.code(METHOD))
    )


def simulated(rounds: int, clients: int = 2) -> str:
    """The digest of the model that the same run in the simulator makes."""
    data, settings = load_task(TASK, 0), small_app.settings(METHOD, rounds, clients)
    module, hyperparameters = small_app.METHODS[METHOD]
    strategy = getattr(__import__(module, fromlist=[METHOD]), METHOD)(**hyperparameters)
    run = RunSpec(Training(rounds=rounds, steps=4, batch_size=8), clients, small_app.SEED)
    shards = [data.shard(place) for place in range(clients)]
    return small_app.model_digest_of(
        simulate(strategy, build_model(settings.model, SHAPE, CLASSES), shards, run, "sequential")
    )


def group(nodes: int = 2, name: str = "Ward_3", **more: Any) -> Json:
    return {"name": name, "nodes": nodes, "data": {"task": TASK.to_wire()}, **more}


@dataclass(frozen=True)
class ClusterFleet:
    """One federation in a namespace of its own."""

    kubectl: Kubectl
    releases: Releases
    owner: Json

    def fleet(self, *groups: Json, name: str = "trial", days: int = 365) -> Fleet:
        spec = FederationSpec.model_validate_json(json.dumps({"groups": groups, "certificateDays": days}))
        return Fleet(Release(name, spec), self.kubectl.namespace, self.owner)

    def wait_until(
        self, fleet: Fleet, true: Callable[[ReleaseStatus], bool], seconds: float = SECONDS
    ) -> ReleaseStatus:
        """As the operator makes its passes: it is made so, and looked at."""
        until = time.monotonic() + seconds
        while True:
            self.releases.ensure(fleet)
            status = self.releases.status(fleet)
            if true(status):
                return status
            if time.monotonic() > until:
                pods = self.kubectl("get", "pods", "-o", "wide")
                pytest.fail(f"{status}\n{pods}\n{self.kubectl('get', 'events', '--sort-by=.lastTimestamp')[-4000:]}")
            time.sleep(1)

    def looked_at_again(self, fleet: Fleet) -> None:
        """As another operator does that begins to lead, and each one now and then."""
        Releases(self.releases.api, self.releases.helm, self.releases.images, self.releases.settings).ensure(fleet)

    def submit(self, job: str, rounds: int, federation: str = "trial", clients: int = 2) -> None:
        """What a Platform box does, with what it has, in a pod whose words can be read meanwhile."""
        inputs = {"deploy.json": json.dumps({"job": job, "rounds": rounds}).encode(), "app.zip": app(rounds, clients)}
        self.kubectl("apply", "-f", "-", document=_inputs(job, inputs))
        self.kubectl("apply", "-f", "-", document=_deploying(job, federation))

    def deploy(self, job: str, rounds: int) -> dict[str, bytes]:
        """The same as the operator does it: a work, its Job, what its box delivered."""
        work, name = self.start(job, rounds)
        self._phase(name, "Succeeded")
        last = self.kubectl.get("pod", name)["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
        return deliveries.read(self.kubectl("logs", name, "-c", names.DELIVER).encode(), last, work)

    def start(self, job: str, rounds: int) -> tuple[Work, str]:
        """A work as the operator starts it, and its pod."""
        inputs = {"deploy.json": json.dumps({"job": job, "rounds": rounds}).encode(), "app.zip": app(rounds)}
        named = {name: Input(name=name, digest=digest_of(content)) for name, content in inputs.items()}
        pieces = {named[name].digest: [f"piece-{number}"] for number, name in enumerate(inputs)}
        for number, content in enumerate(inputs.values()):
            self.kubectl("apply", "-f", "-", document=_inputs(f"piece-{number}", {CHUNK_KEY: content}))
        work = deploy_work(named["deploy.json"], named["app.zip"], "trial", BOXES.pins, SECONDS)
        whose = Whose(self.kubectl.namespace, str(self.owner["uid"]), self.owner)
        made = manifests(work, whose, Given(pieces, federation_secret=control_secret("trial")), BOXES)
        for document in (made.config_map, made.job):
            self.kubectl("apply", "-f", "-", document=document)
        (name,) = self._pods(f"{WORK}={work.id}")
        return work, name

    def _pods(self, label: str) -> list[str]:
        until = time.monotonic() + SECONDS
        while not (found := self.kubectl.get("pods", "-l", label)["items"]):
            assert time.monotonic() < until, label
            time.sleep(0.5)
        return [one["metadata"]["name"] for one in found]

    def result(self, job: str) -> dict[str, bytes]:
        """What the deploying pod brought out, once it has ended well."""
        self._phase(job, "Succeeded")
        said = json.loads(self.kubectl("logs", job).splitlines()[-1])
        return {name: base64.b64decode(content) for name, content in said.items()}

    def rounds(self, job: str) -> int:
        """How many rounds a deploying pod has told of."""
        return sum('"round"' in line for line in self.kubectl("logs", job, "--tail=-1").splitlines())

    def wait_for_round(self, job: str, number: int, seconds: float = SECONDS) -> None:
        self._phase(job, "Running", "Succeeded")
        until = time.monotonic() + seconds
        while self.rounds(job) < number:
            assert time.monotonic() < until, self.kubectl("logs", job)
            time.sleep(0.5)

    def inside(self, pod: str, container: str, program: str) -> str:
        """What a Python program in a container prints."""
        return self.kubectl("exec", pod, "-c", container, "--", "python", "-I", "-B", "-c", program)

    def _phase(self, pod: str, *wanted: str) -> None:
        until = time.monotonic() + SECONDS
        while (phase := self.kubectl.get("pod", pod)["status"]["phase"]) not in wanted:
            assert phase != "Failed" and time.monotonic() < until, self.kubectl("logs", pod)
            time.sleep(0.5)


@contextmanager
def namespaced(monkeypatch: pytest.MonkeyPatch, settings: FederationSettings | None = None) -> Iterator[ClusterFleet]:
    """A namespace in which only restricted pods may run, with nothing of a federation yet."""
    if "KUBECONFIG" not in os.environ:
        pytest.skip("no cluster is named by KUBECONFIG")
    path = program()
    assert path, "there is no helm; put helm 4 on the path"
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HELM_DRIVER", "configmap")
    kubectl = Kubectl(os.environ["KUBECONFIG"], str(path.parent), namespace=f"fw-d-{secrets.token_hex(3)}")
    kubectl("create", "namespace", kubectl.namespace)
    kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("create", "configmap", "owner")
    uid = kubectl.get("configmap", "owner")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    configuration = client.Configuration()
    config.load_kube_config(client_configuration=configuration)
    releases = Releases(Api(configuration), Helm(CHARTS / "federation"), IMAGES, settings or FederationSettings())
    yield ClusterFleet(kubectl, releases, owner)
    kubectl.stop_using()


def _inputs(job: str, inputs: dict[str, bytes]) -> Json:
    data = {name: base64.b64encode(content).decode() for name, content in inputs.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": job}, "binaryData": data}


def _deploying(job: str, federation: str) -> Json:
    labels = {names.NETWORK: "federation", names.FEDERATION: names.label_value(federation)}
    return pod(
        job,
        ["sh", "-c", DEPLOY],
        managed(names.BOX, **labels),
        {
            "/box/in": {"configMap": {"name": job}},
            "/box/secret": {"secret": {"secretName": control_secret(federation), "defaultMode": 0o440}},
            "/box/out": {"emptyDir": {}},
            "/tmp": {"emptyDir": {}},
        },
    )


def pod(name: str, command: list[str], labels: dict[str, str], mounts: dict[str, Json]) -> Json:
    """A restricted pod of the flower image."""
    volumes = {place: f"v{digest_of(place.encode())[7:15]}" for place in mounts}
    container = {
        "name": "main",
        "image": IMAGES.flower,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": key, "value": value} for key, value in BOX.items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": volumes[place], "mountPath": place} for place in mounts],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 3,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10007,
            "runAsGroup": 10007,
            "fsGroup": 10007,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": volumes[place], **volume} for place, volume in mounts.items()],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
