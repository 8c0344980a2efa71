"""The restricted profile of Pod Security, as a list of what a pod breaks of it (Kubernetes, Pod Security Standards)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SECCOMP = {"RuntimeDefault", "Localhost"}
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")


def violations(spec: Json) -> list[str]:
    """Of a pod's spec; empty if it may run in a namespace that enforces `restricted`."""
    return [*_of_the_pod(spec), *(what for one in containers(spec) for what in _of_a_container(spec, one))]


def pods(manifests: Iterable[Json]) -> Iterator[Json]:
    """The spec of each pod that manifests make."""
    for one in manifests:
        if one["kind"] == "Pod":
            yield one["spec"]
        elif one["kind"] == "CronJob":
            yield one["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in (one.get("spec") or {}):
            yield one["spec"]["template"]["spec"]


def containers(spec: Json) -> Iterator[Json]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def _of_the_pod(spec: Json) -> Iterator[str]:
    for name in _HOST_FIELDS:
        if spec.get(name):
            yield f"{name} is set"
    for volume in spec.get("volumes") or ():
        if odd := set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is of type {', '.join(sorted(odd))}"
    context = spec.get("securityContext") or {}
    for name in ("seLinuxOptions", "sysctls", "windowsOptions"):
        if context.get(name):
            yield f"securityContext.{name} is set"


def _of_a_container(spec: Json, container: Json) -> Iterator[str]:
    name = container["name"]
    own = container.get("securityContext") or {}
    both = {**(spec.get("securityContext") or {}), **own}
    if own.get("privileged"):
        yield f"{name} is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may escalate privileges"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield f"{name} does not drop all capabilities"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield f"{name} adds capabilities"
    if both.get("runAsNonRoot") is not True:
        yield f"{name} may run as root"
    if both.get("runAsUser") == 0:
        yield f"{name} runs as root"
    if (both.get("seccompProfile") or {}).get("type") not in _SECCOMP:
        yield f"{name} has no seccomp profile"
    if (own.get("procMount") or "Default") != "Default":
        yield f"{name} unmasks /proc"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield f"{name} takes a port of the host"
