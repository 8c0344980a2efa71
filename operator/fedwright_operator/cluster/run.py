"""The operator's life: wait for the lease, watch, make passes, and leave in order.

A process that loses its lease ends: what it remembers may be old, and a new one begins from what is.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import kopf
import prometheus_client

from fedwright_operator.cluster import collection, handlers, health, sweeps, watches
from fedwright_operator.cluster.api import CONFIG_MAP, LEASE, Api, ApiError, AwayError, configuration
from fedwright_operator.cluster.artifacts import ClusterArtifacts
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.config import OperatorConfig
from fedwright_operator.cluster.costs import Bills
from fedwright_operator.cluster.federation_values import Images
from fedwright_operator.cluster.helm import Helm
from fedwright_operator.cluster.intake import Intake
from fedwright_operator.cluster.labels import PULSE, managed
from fedwright_operator.cluster.lease import CALL_SECONDS, Leadership, NotLeaderError, Seat
from fedwright_operator.cluster.lessons import Lessons
from fedwright_operator.cluster.metrics import Metrics
from fedwright_operator.cluster.models import planners, secrets_for
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.cluster.passes import Passes
from fedwright_operator.cluster.queues import Queues
from fedwright_operator.cluster.releases import Releases
from fedwright_operator.cluster.settings import BoxSettings
from fedwright_operator.cluster.stored import Store
from fedwright_operator.cluster.works import Works
from fedwright_operator.shell.clock import now, stamp

PULSE_SECONDS = 20.0
RETRY_SECONDS = 1.0
SWITCH_SECONDS = 0.0005
"""How long a thread that computes keeps those waiting that have an answer of the API to read; the interpreter's own is ten times
that, and each call waits several times."""
RARELY = (20_000, 20, 20)
"""Thresholds of Python's search for rings of objects. Ours are few, and each search of the third kind stops all threads for as
long as it takes to look through the whole cache: a tenth of the time with the interpreter's own."""
EVERYWHERE = ""
"""As a namespace: all of them."""

log = logging.getLogger(__name__)


@dataclass
class Parts:
    """What one operator is put together from."""

    api: Api
    cache: Cache
    metrics: Metrics
    health: health.Health
    passes: Passes
    store: Store | None


def run(config: OperatorConfig, seat: Seat, chart: Path, store: Store | None) -> int:
    """The exit status: 0 when told to stop, 1 when the lease was lost. `chart`: of federations."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()  # what imports made stays
    gc.set_threshold(*RARELY)
    stopping, lost = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    leadership = Leadership(Api(configuration(), seconds=CALL_SECONDS), seat)
    parts = _parts(config, Api(configuration(), leadership.fence), chart, store)
    server = health.serve(parts.health, config.ports.health)
    prometheus_client.start_http_server(config.ports.metrics, registry=parts.metrics.registry)
    parts.health.ready = True

    def lose() -> None:
        lost.set()
        stopping.set()

    if leadership.acquire(stopping.is_set, lose):
        try:
            asyncio.run(_lead(config, seat, parts, stopping))
        finally:
            leadership.release()  # whatever ended it, another need not wait
    server.shutdown()
    return 1 if lost.is_set() else 0


def _parts(config: OperatorConfig, api: Api, chart: Path, store: Store | None) -> Parts:
    cache, boxes = Cache(), _probing(config.boxes)
    metrics = Metrics(cache, api)
    artifacts = ClusterArtifacts(api, store)
    works = Works(api, cache, artifacts, boxes, metrics.finished, secrets_for(config))
    releases = Releases(api, Helm(chart), Images.of(config.boxes), config.federations)
    plans = planners(Lessons(api), Bills(config.models) if config.models else None)
    passes = Passes(api, cache, artifacts, works, releases, plans, config.boxes.pins)
    return Parts(api, cache, metrics, health.Health(), passes, store)


def _probing(boxes: BoxSettings) -> BoxSettings:
    """Where the administrator names nothing that closed boxes must not reach, it is the API server."""
    server = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if boxes.probes or not all(server):
        return boxes
    return boxes.model_copy(update={"probes": (f"{server[0]}:{server[1]}",)})


async def _lead(config: OperatorConfig, seat: Seat, parts: Parts, stopping: threading.Event) -> None:
    queues = Queues(parts.passes.run, config.threads, parts.metrics.passed)
    parts.health.slowest_pass = queues.slowest
    parts.metrics.depth = lambda: queues.depth
    parts.health.lead(seat.holder)
    namespaces = {*config.namespaces, seat.namespace} if config.namespaces else set()
    scopes = sorted(namespaces) or [EVERYWHERE]
    kopfs, own = (Intake(parts.cache, queues.ask, partial(parts.health.beat, watch)) for watch in health.WATCHES)
    started = watches.start(parts.api, scopes, own)
    await asyncio.to_thread(_take_stock, parts.api, kopfs, scopes, started, stopping)
    queues.open()
    tasks = [asyncio.create_task(one) for one in _chores(parts, seat, kopfs, scopes)]
    registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    handlers.watch(registry, kopfs)
    handlers.settings_for(settings)
    try:
        await kopf.operator(
            registry=registry,
            settings=settings,
            identity=seat.holder,  # type: ignore[arg-type]  # else kopf asks for a user's name, which a pod has not
            standalone=True,
            clusterwide=not namespaces,
            namespaces=sorted(namespaces),
            stop_flag=stopping,
        )
    finally:
        stopping.set()  # kopf heeds signals itself, and waits for this flag in a thread that has to end
        for watch in started:
            watch.stop()
        for task in tasks:
            task.cancel()
        await queues.close()


def _chores(parts: Parts, seat: Seat, intake: Intake, scopes: Sequence[str]) -> list[Coroutine[Any, Any, None]]:
    """What is done from time to time."""
    found = [_pulse(parts.api, seat), sweeps.every(sweeps.SECONDS, parts.api, intake, scopes)]
    if parts.store:
        found.append(collection.every(_collector(parts.api, parts.store, seat), scopes))
    return found


def _take_stock(
    api: Api, intake: Intake, scopes: Sequence[str], started: Sequence[watches.Watch], stopping: threading.Event
) -> None:
    """Until all that there is is in the cache: no pass sees half of a cluster."""
    left = list(product(OURS.values(), scopes))
    while left and not stopping.is_set():
        try:
            watches.take_stock(api, *left[-1], intake)
            left.pop()
        except (ApiError, AwayError) as problem:
            log.warning("not listed: %s", problem)
            stopping.wait(RETRY_SECONDS)
    while not stopping.is_set() and not all(one.listed(RETRY_SECONDS) for one in started):
        log.info("waiting for what there is to be listed")


def _collector(api: Api, store: Store, seat: Seat) -> collection.Collector:
    """The lease outlives operators and is another in another cluster, so its uid tells installations apart."""
    return collection.Collector(api, store, lambda: str(api.get(LEASE, seat.namespace, seat.name)["metadata"]["uid"]))


async def _pulse(api: Api, seat: Seat) -> None:
    """Write what the watches must bring back."""
    while True:
        body = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {"name": f"{seat.name}-pulse", "namespace": seat.namespace, "labels": managed(PULSE)},
            "data": {"at": stamp(now()), "by": seat.holder},
        }
        try:
            await asyncio.to_thread(api.apply, CONFIG_MAP, body)
        except (ApiError, AwayError, NotLeaderError) as problem:
            log.warning("no pulse: %s", problem)
        await asyncio.sleep(PULSE_SECONDS)
