"""What became of works, each in an immutable ConfigMap named by its WorkId: a finished id is never started again."""

import json
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from fedwright_crds.work import Outcome, WorkResult
from fedwright_operator.cluster.api import CONFIG_MAP, Api, ApiError, Json
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.labels import RESULT, ROOT, WORK, managed

_KEY = "result.json"


class Results(Mapping[str, WorkResult]):
    """Finished work of one namespace by id, as the cache has it."""

    def __init__(self, cache: Cache, namespace: str) -> None:
        self._cache, self._namespace = cache, namespace
        self._parsed: dict[str, tuple[str, WorkResult]] = {}

    def __getitem__(self, work_id: str) -> WorkResult:
        body = self._cache.named(CONFIG_MAP.kind, self._namespace, name_of(work_id))
        if body is None:
            self._parsed.pop(work_id, None)
            raise KeyError(work_id)
        uid = body["metadata"]["uid"]
        known = self._parsed.get(work_id)
        if known is None or known[0] != uid:
            known = self._parsed[work_id] = uid, _read(body, work_id)
        return known[1]

    def __iter__(self) -> Iterator[str]:
        bodies = self._cache.all(CONFIG_MAP.kind, self._namespace)
        return (work_id for one in bodies if (work_id := _work_of(one)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def keep(api: Api, cache: Cache, namespace: str, result: WorkResult, owner: Json) -> bool:
    """Write a result, for good; whether it was the first of its id."""
    body = {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "name": name_of(result.id),
            "namespace": namespace,
            "labels": managed(RESULT, **{WORK: result.id, ROOT: owner["uid"]}),
            "ownerReferences": [owner],
        },
        "immutable": True,
        "data": {_KEY: json.dumps(result.to_wire())},
    }
    try:
        cache.put(api.create(CONFIG_MAP, body))
    except ApiError as problem:
        if not problem.conflict:
            raise
        marks = {"labels": managed(RESULT, **{WORK: result.id}), "ownerReferences": [owner]}
        cache.put(api.merge(CONFIG_MAP, namespace, name_of(result.id), {"metadata": marks}))
        return False
    return True


def is_owned(cache: Cache, namespace: str, work_id: str, owner: Json) -> bool:
    """Whether a result stays as long as this owner. Raises KeyError if there is none."""
    body = cache.named(CONFIG_MAP.kind, namespace, name_of(work_id))
    if body is None:
        raise KeyError(work_id)
    return any(one["uid"] == owner["uid"] for one in body["metadata"].get("ownerReferences", ()))


def adopt(api: Api, cache: Cache, namespace: str, work_id: str, owner: Json) -> None:
    """Let a result that another root's work brought stay as long as this owner too."""
    patch = {"metadata": {"ownerReferences": [owner]}}
    cache.put(api.merge(CONFIG_MAP, namespace, name_of(work_id), patch))


def _read(body: Json, work_id: str) -> WorkResult:
    """What it holds; where that is no result of this work, the platform's error: it stands where the result would."""
    try:
        result = WorkResult.model_validate_json((body.get("data") or {}).get(_KEY, ""))
        if result.id == work_id:
            return result
    except ValidationError:
        pass
    name = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
    why = f"ConfigMap {name} holds no result of this work; delete it, and the work is done anew"
    return WorkResult(id=work_id, kind="unknown", outcome=Outcome.PLATFORM_ERROR, message=why)


def _work_of(body: Json) -> str:
    """The WorkId whose name it bears, '' if it bears none."""
    work_id = str(body["metadata"].get("labels", {}).get(WORK, ""))
    return work_id if body["metadata"]["name"] == name_of(work_id) else ""


def name_of(work_id: str) -> str:
    return f"r-{work_id}"
