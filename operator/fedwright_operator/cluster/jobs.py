"""A `Work` as objects of the API: a Job with one pod, the ConfigMap that tells the pod its work, a mind's Secret.

Pure. Each step is an init container that mounts what it names and nothing else; the last container delivers. A Job has
one pod and never a second: whatever ends it, the evidence is read from that pod, and another try is a work with another id.
So there is no podFailurePolicy, and a pod that was evicted or lost is told from the others when it is read.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from fedwright_boxes.pod.contract import (
    BOX,
    DELIVER,
    FROM,
    IN,
    LAUNCH,
    OUT,
    SECRET,
    TERMINATION_LOG,
    TO,
    WORK,
    chunk_name,
    stop_seconds,
)
from fedwright_crds.base import Digest, canonical
from fedwright_crds.work import BoxKind, Input, Step, Work
from fedwright_operator.cluster import fit, names
from fedwright_operator.cluster.fit import Network, UnfitWorkError
from fedwright_operator.cluster.labels import ROOT, managed
from fedwright_operator.cluster.labels import WORK as WORK_LABEL
from fedwright_operator.cluster.settings import BoxSettings
from fedwright_operator.cluster.sizes import WorkSizes, sizes_of

Json = dict[str, Any]

HOSTNAME = "box"
LARGEST_TOLD = 32 * 1024
"""Bytes of an input that is told with the work."""
CHUNK_KEY = "data"
"""The key under which each ConfigMap of an artifact holds its piece."""
_WHOSE = "fedwright.dev/whose"
_LOST_NODE_SECONDS = 30
_EPHEMERAL_STORAGE = "64Mi"
"""Of a container; nothing but its log goes to the node's disk."""
_READABLE = 0o444
_CLOSED_BOXES = (BoxKind.BENCH, BoxKind.JUDGE)
_NO_SHARED_MEMORY = "no-shm"


@dataclass(frozen=True)
class Whose:
    """For whom a work runs."""

    namespace: str
    root: str
    """The uid of the request, deployment or federation that it is for."""
    owner: Json
    """A reference; all that is made for the work goes with it."""


@dataclass(frozen=True)
class Given:
    """What there is in the namespace for a work."""

    pieces: Mapping[Digest, Sequence[str]]
    """The ConfigMaps that hold an artifact, in order."""
    secret: Mapping[str, bytes] = field(default_factory=dict)
    """What a mind behind a model is given: it changes nothing but who may ask the model."""
    federation_secret: str = ""
    """The name of the Secret by which a Platform step reaches its federation."""
    told: Mapping[Digest, bytes] = field(default_factory=dict)
    """Inputs that the pod is told with its work."""


@dataclass(frozen=True)
class Manifests:
    """What is created for a work, the Job last."""

    config_map: Json
    secret: Json | None
    job: Json


def manifests(work: Work, whose: Whose, given: Given, settings: BoxSettings) -> Manifests:
    """Raises UnfitWorkError, or ImageError where an image that the work is pinned to cannot be had any more."""
    pod = _Pod(work, whose, given, settings, fit.checked(work))
    secret = None
    if given.secret:
        data = {name: base64.b64encode(content).decode() for name, content in given.secret.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": True, "data": data}
        secret["metadata"] = _metadata(work, whose, pod.network)
    return Manifests(_work_config_map(work, whose, given, pod.network), secret, _job(work, whose, settings, pod))


def pod_seconds(work: Work, settings: BoxSettings) -> int:
    """How long the pod may run: the steps' own time and some beside it."""
    return ceil(sum(step.wall_seconds for step in work.steps)) + settings.deadline_slack_seconds


def _work_config_map(work: Work, whose: Whose, given: Given, network: Network) -> Json:
    """Without labels, so that it is the same whoever wants the work."""
    told = work.model_copy(update={"labels": {}}).to_wire()
    inputs = {
        _input(place): base64.b64encode(given.told[one.digest]).decode()
        for place, one in enumerate(work.inputs)
        if one.digest in given.told
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(work, whose, network),
        "immutable": True,
        "data": {WORK.name: canonical(told).decode()},
        **({"binaryData": inputs} if inputs else {}),
    }


def _input(place: int) -> str:
    """The volume of an input, and the key of one that the pod is told."""
    return f"in-{place}"


def _metadata(work: Work, whose: Whose, network: Network) -> Json:
    return {
        "name": names.object_name(work.id),
        "namespace": whose.namespace,
        "labels": _labels(work, whose, network),
        "ownerReferences": [whose.owner],
    }


def _labels(work: Work, whose: Whose, network: Network) -> dict[str, str]:
    labels = {WORK_LABEL: work.id, ROOT: whose.root, names.KIND: work.kind, names.NETWORK: network.value}
    if federation := next((step.federation for step in work.steps if step.federation), ""):
        labels[names.FEDERATION] = names.label_value(federation)
    return managed(names.BOX, **labels)


def _job(work: Work, whose: Whose, settings: BoxSettings, pod: "_Pod") -> Json:
    metadata = _metadata(work, whose, pod.network)
    if work.labels:
        metadata["annotations"] = {_WHOSE: json.dumps(work.labels, sort_keys=True)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": pod_seconds(work, settings) + settings.waiting_seconds,
            "ttlSecondsAfterFinished": settings.ttl_seconds,
            "template": {"metadata": {"labels": _labels(work, whose, pod.network)}, "spec": pod.spec()},
        },
    }


class _Pod:
    """The pod of one work."""

    def __init__(self, work: Work, whose: Whose, given: Given, settings: BoxSettings, network: Network) -> None:
        self._work, self._given, self._settings, self.network = work, given, settings, network
        self._name = names.object_name(work.id)
        self._users = settings.users(work.id)
        self._digests = {one.name: one.digest for one in work.inputs}
        self._sizes = self._measured()
        self._check_secrets(whose)

    def spec(self) -> Json:
        settings = self._settings
        spec = {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": pod_seconds(self._work, settings),
            "terminationGracePeriodSeconds": stop_seconds(step.box for step in self._work.steps),
            "automountServiceAccountToken": False,
            "serviceAccountName": settings.service_account_name,
            "enableServiceLinks": False,
            "hostname": HOSTNAME,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": self._users[-1],  # of the sandbox: containerd takes no group without a user
                "runAsGroup": self._users[-1],
                "fsGroup": self._users[-1],
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "tolerations": list(self._tolerations()),
            "initContainers": [self._step(index) for index in range(len(self._work.steps))],
            "containers": [self._deliver()],
            "volumes": list(self._volumes()),
        }
        return spec | self._dns() | self._wishes()

    def _dns(self) -> Json:
        if self.network is Network.CLOSED:
            return {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]}}
        return {"dnsPolicy": "ClusterFirst"}

    def _wishes(self) -> Json:
        """What the administrator may leave out."""
        settings = self._settings
        wishes = {
            "runtimeClassName": settings.runtime_class_name,
            "priorityClassName": settings.priority_class_name,
            "nodeSelector": settings.node_selector,
            "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        }
        said: Json = {key: value for key, value in wishes.items() if value}
        return said if settings.host_users else {**said, "hostUsers": False}

    def _tolerations(self) -> Iterator[Json]:
        for trouble in ("not-ready", "unreachable"):
            yield {
                "key": f"node.kubernetes.io/{trouble}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": _LOST_NODE_SECONDS,
            }
        yield from (one.to_wire() for one in self._settings.tolerations)

    # -- containers -------------------------------------------------------------------------------
    def _step(self, index: int) -> Json:
        step = self._work.steps[index]
        command = ["python", "-I", "-B", "-m", LAUNCH, step.name]
        if step.box in _CLOSED_BOXES:
            command += [word for target in self._settings.probes for word in ("--probe", target)]
        return {
            **self._container(index, step.box, command, self._sizes.steps[index].memory),
            "volumeMounts": list(self._mounts(index, step)),
        }

    def _deliver(self) -> Json:
        mounts = [_mount("work", WORK.parent)]
        for index, step in enumerate(self._work.steps):
            if step.outputs:
                mounts.append(_mount(f"out-{index}", OUT / step.name))
        kind = BoxKind.JUDGE if BoxKind.JUDGE in self._work.images else self._work.steps[-1].box
        command = ["python", "-I", "-B", "-m", DELIVER]
        container = self._container(len(self._work.steps), kind, command, self._sizes.deliver)
        return {**container, "volumeMounts": mounts}

    def _container(self, index: int, kind: BoxKind, command: list[str], memory_mib: int) -> Json:
        settings = self._settings
        asked = {"cpu": settings.requests.cpu, "memory": f"{settings.asked_mib(memory_mib)}Mi"}
        limits = {"cpu": settings.cpu_limit, "memory": f"{memory_mib}Mi"}
        return {
            "name": names.container_names(self._work)[index],
            "image": settings.image(kind, self._work.images[kind]),
            "imagePullPolicy": settings.pull_policy,
            "command": command,
            "workingDir": "/",
            "terminationMessagePath": str(TERMINATION_LOG),
            "terminationMessagePolicy": "File",
            "resources": {
                "requests": asked | {"ephemeral-storage": _EPHEMERAL_STORAGE},
                "limits": limits | {"ephemeral-storage": _EPHEMERAL_STORAGE},
            },
            "securityContext": {
                "runAsUser": self._users[index],
                "runAsGroup": self._users[-1],
                "runAsNonRoot": True,
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }

    def _mounts(self, index: int, step: Step) -> Iterator[Json]:
        places = {one.name: place for place, one in enumerate(self._work.inputs)}
        rooms = {one.name: place for place, one in enumerate(self._work.handovers)}
        yield _mount("work", WORK.parent)
        yield from (_mount(_input(places[name]), IN / name) for name in step.inputs)
        yield from (_mount(f"hand-{rooms[name]}", FROM / name) for name in step.reads)
        yield from (_mount(f"hand-{rooms[name]}", TO / name, writable=True) for name in step.writes)
        yield _mount(f"box-{index}", BOX, writable=True)
        if step.outputs:
            yield _mount(f"out-{index}", OUT, writable=True)
        if self._secret_of(step):
            yield _mount("secret", SECRET)
        if step.box in _CLOSED_BOXES:
            yield _mount(_NO_SHARED_MEMORY, "/dev/shm")

    # -- volumes ----------------------------------------------------------------------------------
    def _volumes(self) -> Iterator[Json]:
        told = [{"key": WORK.name, "path": WORK.name}]
        yield {"name": "work", "configMap": {"name": self._name, "items": told, "defaultMode": _READABLE}}
        for place, one in enumerate(self._work.inputs):
            yield {"name": _input(place), "projected": {"sources": self._sources(place, one), "defaultMode": _READABLE}}
        for place, handover in enumerate(self._work.handovers):
            yield _memory(f"hand-{place}", self._sizes.handovers[handover.name])
        for index, sizes in enumerate(self._sizes.steps):
            yield _memory(f"box-{index}", sizes.box)
            if sizes.out:
                yield _memory(f"out-{index}", sizes.out)
        if secret := next(filter(None, map(self._secret_of, self._work.steps)), ""):
            yield {"name": "secret", "secret": {"secretName": secret, "defaultMode": 0o440}}
        if any(step.box in _CLOSED_BOXES for step in self._work.steps):
            yield _memory(
                _NO_SHARED_MEMORY, 1
            )  # the runtime's own is one for all containers of a pod: a way past handovers

    def _sources(self, place: int, given: Input) -> list[Json]:
        """The ConfigMaps of an input, and the key of each."""
        if given.digest in self._given.told:
            return [_source(self._name, _input(place), 0)]
        return [_source(name, CHUNK_KEY, number) for number, name in enumerate(self._given.pieces[given.digest])]

    def _secret_of(self, step: Step) -> str:
        """The Secret that a step mounts, '' for none."""
        if fit.asks_a_model(step):
            return self._name
        return self._given.federation_secret if step.box is BoxKind.PLATFORM else ""

    def _check_secrets(self, whose: Whose) -> None:
        if bool(self._given.secret) != (self.network is Network.MODEL):
            raise UnfitWorkError(
                f"work {self._work.id} in {whose.namespace} has no mind behind a model but a secret, or the other way round"
            )
        if self._given.federation_secret and self.network is not Network.FEDERATION:
            raise UnfitWorkError(
                f"work {self._work.id} in {whose.namespace} has no Platform step but a federation's secret"
            )

    def _measured(self) -> WorkSizes:
        try:
            told, pieces = self._given.told, self._given.pieces
            return sizes_of(
                self._work,
                {name: 1 if digest in told else len(pieces[digest]) for name, digest in self._digests.items()},
            )
        except KeyError as missing:
            raise UnfitWorkError(f"input {missing.args[0]} of the work is no artifact of the namespace") from None


def _source(config_map: str, key: str, number: int) -> Json:
    return {"configMap": {"name": config_map, "items": [{"key": key, "path": chunk_name(number)}]}}


def _mount(volume: str, path: object, *, writable: bool = False) -> Json:
    mount = {"name": volume, "mountPath": str(path)}
    return mount if writable else {**mount, "readOnly": True}


def _memory(name: str, size_mib: int) -> Json:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": f"{size_mib}Mi"}}
