"""Immutable ConfigMaps that are called after what they hold."""

from fedwright_operator.cluster.api import CONFIG_MAP, Api, ApiError, Json


def create(api: Api, body: Json, *marks: str) -> None:
    """One that is there already is given these marks of the new one's metadata; one that holds something else, which no name of
    ours deserves, is replaced."""
    metadata = body["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    try:
        api.create(CONFIG_MAP, body)
    except ApiError as problem:
        if not problem.conflict:
            raise
        found = api.merge(CONFIG_MAP, namespace, name, {"metadata": {key: metadata[key] for key in marks}})
        if any(found.get(key) != body.get(key) for key in ("binaryData", "data")):
            api.delete(CONFIG_MAP, namespace, name, found["metadata"]["uid"])
            api.create(CONFIG_MAP, body)
