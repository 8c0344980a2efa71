"""The labels by which the operator knows what it made."""

MANAGED_BY = "app.kubernetes.io/managed-by"
FEDWRIGHT = "fedwright"
ROOT = "fedwright.dev/root"
"""The uid of the request, deployment or federation that something is for."""
WORK = "fedwright.dev/work"
"""The WorkId of a Job, of its pod and of its result."""
ARTIFACT = "fedwright.dev/artifact"
"""The first characters of an artifact's digest."""
CHUNKS = "fedwright.dev/chunks"
"""In how many ConfigMaps an artifact lies."""
STORED = "fedwright.dev/stored"
"""On the record of an artifact that lies at the URL of `artifacts.url`."""
ROLE = "fedwright.dev/role"
RESULT = "result"
"""The role of ConfigMaps that hold what became of a work."""
LESSONS = "lessons"
"""The role of the ConfigMap that holds what the requests of a namespace have taught."""
PULSE = "pulse"
"""The role of the ConfigMap by which the operator sees that its watches bring what was written."""


def managed(role: str = "", **more: str) -> dict[str, str]:
    return {MANAGED_BY: FEDWRIGHT, **({ROLE: role} if role else {}), **more}
