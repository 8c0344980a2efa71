"""The Kubernetes API as plain JSON: few verbs, errors that say why, and a fence before every write.

Resources go in and out as the API writes them. It knows paths and errors, and nothing of what the kinds mean.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import urllib3
from kubernetes import client, config
from pydantic_core import from_json

Json = dict[str, Any]

FIELD_MANAGER = "fedwright-operator"
SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_WATCH_SECONDS = 300
"""After which the API server ends a watch."""
_SILENCE_SECONDS = 100.0
"""A watch of which nothing comes for so long is dead: bookmarks come every minute."""
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
        found = self._json("GET", kind.path(namespace), query=_selected(labels, fields))
        return [_whole(kind, one) for one in found["items"]]

    def uids(self, kind: Type, namespace: str, labels: str = "") -> set[str]:
        """Of all that there are; '' is every namespace."""
        return {one["uid"] for one in self.metadata(kind, namespace, labels)}

    def metadata(self, kind: Type, namespace: str, labels: str = "") -> Iterator[Json]:
        """Of all that there are; '' is every namespace. In pages, and nothing else of them travels."""
        for page in self._pages(kind, namespace, labels, _METADATA_ALONE):
            yield from (one["metadata"] for one in page["items"])

    def pages(self, kind: Type, namespace: str, labels: str = "") -> Iterator[tuple[str, Iterable[Json]]]:
        """All that there are; '' is every namespace. With each page comes the version from which to watch after the last."""
        for page in self._pages(kind, namespace, labels, "application/json"):
            yield page["metadata"]["resourceVersion"], (_whole(kind, one) for one in page["items"])

    def watch(self, kind: Type, namespace: str, labels: str, since: str) -> Iterator[tuple[str, Json]]:
        """What has happened since this version, and happens: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, and the body.

        Ends when the API server ends it, now and then. Raises ApiError with the status GONE where that version is too old.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH_SECONDS)}
        query |= {"resourceVersion": since, **_selected(labels)}
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SILENCE_SECONDS)
        answer = self._send("GET", kind.path(namespace), query=query, timeout=timeout)
        try:
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise _refusal(answer.status, _said(answer.data))
            for line in _lines(answer.stream(amt=None)):
                event = from_json(line)
                if event["type"] == "ERROR":
                    raise _refusal(int(event["object"].get("code") or 0), event["object"])
                yield event["type"], _whole(kind, event["object"])
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise AwayError(f"a watch of {kind.plural} broke: {problem}") from problem
        finally:
            answer.close()

    def _pages(self, kind: Type, namespace: str, labels: str, accept: str) -> Iterator[Json]:
        query = {"limit": _PAGE, **_selected(labels)}
        while True:
            page = self._json("GET", kind.path(namespace), query=query, accept=accept)
            yield page
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
        found = from_json(self._call(method, path, **options))
        assert isinstance(found, dict)
        return found

    def _call(self, method: str, path: str, **options: Any) -> bytes:
        answer = self._send(method, path, timeout=urllib3.Timeout(total=self._seconds), **options)
        try:
            data = answer.data
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise AwayError(f"the API server does not answer: {problem}") from problem
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(answer.status, _said(data))
        return data

    def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: urllib3.Timeout,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
        accept: str = "application/json",
        fence: Callable[[], None] = lambda: None,
    ) -> urllib3.BaseHTTPResponse:
        """The client of Kubernetes says where and as whom; what is sent and read passes it by, since it copies each body twice."""
        self.calls += 1
        verb, url, headers, *_ = self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content},
            auth_settings=["BearerToken"],
        )
        sent = None if body is None else json.dumps(body).encode()
        fence()  # last, so that as little as can be lies between the question and the sending
        try:
            found: urllib3.BaseHTTPResponse = self._client.rest_client.pool_manager.request(
                verb, url, headers=headers, body=sent, timeout=timeout, preload_content=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise AwayError(f"the API server does not answer: {problem}") from problem
        return found


def _selected(labels: str, fields: str = "") -> dict[str, str]:
    asked = {"labelSelector": labels, "fieldSelector": fields}
    return {key: value for key, value in asked.items() if value}


def _whole(kind: Type, body: Json) -> Json:
    """What comes in a list does not say what it is."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, **body}


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line)


def _refusal(status: int, said: Json) -> ApiError | AwayError:
    message = str(said.get("message", ""))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        return AwayError(f"the API server is in trouble ({status}): {message}", status)
    return ApiError(status, str(said.get("reason", "")), message)


def _said(data: bytes) -> Json:
    """The API's own Status object, or what else came as its message."""
    try:
        found = from_json(data)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": data[:500].decode(errors="replace")}


def configuration() -> client.Configuration:
    """That of the pod's service account, else of $KUBECONFIG or the user's own file."""
    found = client.Configuration()
    try:
        config.load_incluster_config(found)
    except config.ConfigException:
        config.load_kube_config(client_configuration=found)
    return found
