"""The Kubernetes API as plain JSON: few verbs, errors that say why, and a fence before every write.

Resources go in and out as the API writes them. It knows paths and errors, and nothing of what the kinds mean.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import urllib3
from kubernetes import client, config

Json = dict[str, Any]

FIELD_MANAGER = "fedwright-operator"
SECONDS = 30.0
_CONNECTIONS = 32
_PAGE = "500"
_METADATA_ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


@dataclass(frozen=True)
class Type:
    """A kind by where the API serves it."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str, name: str = "", sub: str = "") -> str:
        """'' is every namespace."""
        root = "/apis/" if "/" in self.api_version else "/api/"
        parts = [self.api_version, "namespaces" if namespace else "", namespace, self.plural, name, sub]
        return root + "/".join(quote(part, safe="/") for part in parts if part)


CONFIG_MAP = Type("v1", "ConfigMap", "configmaps")
SECRET = Type("v1", "Secret", "secrets")
POD = Type("v1", "Pod", "pods")
EVENT = Type("v1", "Event", "events")
JOB = Type("batch/v1", "Job", "jobs")
LEASE = Type("coordination.k8s.io/v1", "Lease", "leases")
NETWORK_POLICY = Type("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")


class ApiError(Exception):
    """The API refused; `status` is the HTTP status, `reason` the API's word for it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason or status}: {message}")
        self.status, self.reason, self.message = status, reason, message

    @property
    def missing(self) -> bool:
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def conflict(self) -> bool:
        """It was written since it was read, or a name is taken."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def leaving(self) -> bool:
        """The namespace is on its way out, and takes nothing new."""
        return self.status == HTTPStatus.FORBIDDEN and "because it is being terminated" in self.message

    @property
    def forbidden(self) -> bool:
        """Not now: by a quota, a policy or the roles, which others may change."""
        return self.status == HTTPStatus.FORBIDDEN and not self.leaving

    @property
    def refused(self) -> bool:
        """What was asked for is not taken, however often it is asked."""
        return self.status in _REFUSALS and not self.leaving


class AwayError(Exception):
    """The API does not answer; it is asked again later. `status` is what it said of its own trouble, 0 if it said nothing."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Safe to use from many threads."""

    def __init__(
        self, configuration: client.Configuration, fence: Callable[[], None] = lambda: None, seconds: float = SECONDS
    ) -> None:
        """`fence` is called before every write and raises where this process may not write any more.

        `seconds`: how long an answer may take.
        """
        configuration.connection_pool_maxsize = _CONNECTIONS
        configuration.retries = urllib3.Retry(total=0)
        self._client = client.ApiClient(configuration)
        self.fence = fence
        self._seconds = seconds
        self.calls = 0

    # -- reading ----------------------------------------------------------------------------------
    def get(self, kind: Type, namespace: str, name: str) -> Json:
        return self._json("GET", kind.path(namespace, name))

    def find(self, kind: Type, namespace: str, name: str) -> Json | None:
        """None if there is none."""
        try:
            return self.get(kind, namespace, name)
        except ApiError as problem:
            if problem.missing:
                return None
            raise

    def list(self, kind: Type, namespace: str, labels: str = "", fields: str = "") -> list[Json]:
        asked = {"labelSelector": labels, "fieldSelector": fields}
        found = self._json("GET", kind.path(namespace), query={key: value for key, value in asked.items() if value})
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **one} for one in found["items"]]

    def uids(self, kind: Type, namespace: str, labels: str = "") -> set[str]:
        """Of all that there are; '' is every namespace."""
        return {one["uid"] for one in self.metadata(kind, namespace, labels)}

    def metadata(self, kind: Type, namespace: str, labels: str = "") -> Iterator[Json]:
        """Of all that there are; '' is every namespace. In pages, and nothing else of them travels."""
        query = {"limit": _PAGE, **({"labelSelector": labels} if labels else {})}
        while True:
            page = self._json("GET", kind.path(namespace), query=query, accept=_METADATA_ALONE)
            yield from (one["metadata"] for one in page["items"])
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return

    def log(self, namespace: str, pod: str, container: str, limit_bytes: int) -> bytes:
        """The beginning of what a container printed."""
        query = {"container": container, "limitBytes": str(limit_bytes)}
        return self._call("GET", POD.path(namespace, pod, "log"), query=query, accept="*/*")

    def last_line(self, namespace: str, pod: str, container: str, seconds: int) -> bytes:
        """What a container printed last, if that was within these seconds; b'' if it was not."""
        query = {"container": container, "tailLines": "1", "sinceSeconds": str(seconds), "limitBytes": "4096"}
        return self._call("GET", POD.path(namespace, pod, "log"), query=query, accept="*/*")

    # -- writing ----------------------------------------------------------------------------------
    def create(self, kind: Type, body: Json) -> Json:
        return self._write("POST", kind.path(body["metadata"]["namespace"]), body=body)

    def apply(self, kind: Type, body: Json, sub: str = "") -> Json:
        """Server-side apply of all that the body says. With a resourceVersion it fails if that is not the present one."""
        metadata = body["metadata"]
        return self._write(
            "PATCH",
            kind.path(metadata["namespace"], metadata["name"], sub),
            body=body,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content="application/apply-patch+yaml",
        )

    def merge(self, kind: Type, namespace: str, name: str, patch: Json) -> Json:
        """A strategic merge: of owner references it adds those that are not there."""
        return self._write(
            "PATCH", kind.path(namespace, name), body=patch, content="application/strategic-merge-patch+json"
        )

    def replace(self, kind: Type, body: Json) -> Json:
        metadata = body["metadata"]
        return self._write("PUT", kind.path(metadata["namespace"], metadata["name"]), body=body)

    def delete(self, kind: Type, namespace: str, name: str, uid: str | None = None) -> bool:
        """Whether it was there. What it owns goes in the background. With `uid`, only that very one."""
        options: Json = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self._write("DELETE", kind.path(namespace, name), body=options)
        except ApiError as problem:
            if problem.missing or problem.conflict:
                return False
            raise
        return True

    # -- transport --------------------------------------------------------------------------------
    def _write(self, method: str, path: str, **options: Any) -> Json:
        return self._json(method, path, fence=self.fence, **options)

    def _json(self, method: str, path: str, **options: Any) -> Json:
        found = json.loads(self._call(method, path, **options))
        assert isinstance(found, dict)
        return found

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
        accept: str = "application/json",
        fence: Callable[[], None] = lambda: None,
    ) -> bytes:
        self.calls += 1
        verb, url, headers, sent, _ = self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        fence()  # last, so that as little as can be lies between the question and the sending
        try:
            answer = self._client.rest_client.request(
                verb, url, headers=headers, body=sent, _request_timeout=self._seconds
            )
            data = answer.read()
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError) as problem:
            raise AwayError(f"the API server does not answer: {problem}") from problem
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise AwayError(f"the API server is in trouble ({answer.status}): {_said(data)[1]}", answer.status)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise ApiError(answer.status, *_said(data))
        return bytes(data)


def _said(data: bytes) -> tuple[str, str]:
    """Reason and message of the API's own Status object, or what else came."""
    try:
        status = json.loads(data)
        return str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        return "", data[:500].decode(errors="replace")


def configuration() -> client.Configuration:
    """That of the pod's service account, else of $KUBECONFIG or the user's own file."""
    found = client.Configuration()
    try:
        config.load_incluster_config(found)
    except config.ConfigException:
        config.load_kube_config(client_configuration=found)
    return found
