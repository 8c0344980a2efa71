"""Helm, as far as federations need it. The one module that knows pyhelm3, and what of it does not work with Helm 4.

Not used, for they fail or warn there: `force`, `server_side`, `atomic`, `all`, `disable_validation`, and the diffs, which need
a plugin. Each call runs the `helm` program, for seconds; calls may be made from any thread.
"""

import asyncio
import os
import subprocess
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pyhelm3 import Client, ReleaseNotFoundError, ReleaseRevision  # type: ignore[import-untyped]
from pyhelm3.errors import Error  # type: ignore[import-untyped]

T = TypeVar("T")

TIMEOUT = "2m"
"""For the API's answers, and for a release that was left half done to be gone."""
LONGEST_MESSAGE = 2000


class HelmError(Exception):
    """Helm did not do it; in its own words."""


@dataclass(frozen=True)
class Revision:
    """Where a release stands."""

    number: int
    status: str


class Helm:
    """Releases of one chart."""

    def __init__(self, chart: Path, kubeconfig: Path | None = None) -> None:
        """Without `kubeconfig`, as $KUBECONFIG or the pod's own account says. Raises HelmError where there is no helm."""
        self._chart = chart
        os.environ["HELM_DRIVER"] = "configmap"  # its records hold no secret, and nobody needs to list Secrets for them
        try:
            self._client = Client(kubeconfig=kubeconfig, default_timeout=TIMEOUT)
        except (AssertionError, subprocess.CalledProcessError, OSError) as problem:
            raise HelmError(f"the program helm cannot be used: {problem}; it must be on the PATH") from problem

    def ensure(self, release: str, namespace: str, values: Mapping[str, Any]) -> Revision:
        """Installed or upgraded to this chart and these values, if it is not so already; it does not wait for pods.

        What another left half done is first undone. A release of another chart is not touched: HelmError.
        """
        return _run(self._ensure(release, namespace, dict(values)))

    def revision(self, release: str, namespace: str) -> Revision | None:
        """None where there is no such release."""
        return _run(self._revision(release, namespace))

    def rollback(self, release: str, namespace: str, number: int | None = None) -> Revision:
        """To that revision, else to the one before."""
        return _run(self._rollback(release, namespace, number))

    async def _ensure(self, release: str, namespace: str, values: dict[str, Any]) -> Revision:
        chart = await self._client.get_chart(self._chart)
        try:
            present = await self._client.get_current_revision(release, namespace=namespace)
        except ReleaseNotFoundError:
            pass
        else:
            name = (await present.chart_metadata()).name
            if name != chart.metadata.name:
                raise HelmError(f"{release} is a release of the chart {name}; rename the federation or that release")
        return _seen(
            await self._client.ensure_release(
                release, chart, values, namespace=namespace, create_namespace=False, timeout=TIMEOUT
            )
        )

    async def _revision(self, release: str, namespace: str) -> Revision | None:
        try:
            return _seen(await self._client.get_current_revision(release, namespace=namespace))
        except ReleaseNotFoundError:
            return None

    async def _rollback(self, release: str, namespace: str, number: int | None) -> Revision:
        present = await self._client.get_current_revision(release, namespace=namespace)
        return _seen(await present.release.rollback(number, timeout=TIMEOUT))


def _seen(revision: ReleaseRevision) -> Revision:
    return Revision(revision.revision, revision.status.value)


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except Error as problem:
        raise HelmError(str(problem).strip()[:LONGEST_MESSAGE] or type(problem).__name__) from problem
    except (KeyError, ValueError) as problem:  # pyhelm3 reads what helm prints and takes it for granted
        raise HelmError(f"helm's answer is not understood: {problem!r}") from problem
