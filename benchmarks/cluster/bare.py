"""The least that could be done: a loop that creates the same Jobs, as many at one time, and waits until each is complete."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

from kubernetes import client

from benchmarks.cluster.kube import events

Json = dict[str, Any]

THREADS = 8
"""As many as the operator has."""


def create_all(jobs: Sequence[Json], namespaces: Sequence[str], parallel: int) -> None:
    """In every namespace the same Jobs in their order, `parallel` of them open at one time."""
    batch = client.BatchV1Api()
    left = {namespace: iter(jobs) for namespace in namespaces}
    open_ = len(jobs) * len(namespaces)
    resource_version = batch.list_job_for_all_namespaces(limit=1).metadata.resource_version

    def create(namespace: str) -> None:
        if job := next(left[namespace], None):
            batch.create_namespaced_job(namespace, job, _preload_content=False)

    with ThreadPoolExecutor(THREADS) as threads:
        for namespace in namespaces:
            for _ in range(parallel):
                threads.submit(create, namespace)
        for namespace in _completed(batch, left, resource_version):
            threads.submit(create, namespace)
            open_ -= 1
            if not open_:
                return


def bare(job: Json) -> Json:
    """What one has to say to have that Job again."""
    spec = deepcopy(job["spec"])
    for field in ("selector", "manualSelector"):
        spec.pop(field, None)
    labels = spec["template"]["metadata"]["labels"]
    for label in [one for one in labels if "controller-uid" in one or "job-name" in one]:
        del labels[label]
    metadata = {"name": job["metadata"]["name"], "labels": job["metadata"]["labels"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _completed(batch: client.BatchV1Api, namespaces: Mapping[str, object], since: str) -> Iterator[str]:
    """The namespace of each Job that completes, once."""
    seen = set[str]()
    answer = batch.list_job_for_all_namespaces(
        watch=True, resource_version=since, timeout_seconds=7200, _preload_content=False
    )
    for event in events(answer):
        metadata, status = event["object"]["metadata"], event["object"].get("status", {})
        if metadata["namespace"] in namespaces and status.get("succeeded") and metadata["uid"] not in seen:
            seen.add(metadata["uid"])
            yield metadata["namespace"]
