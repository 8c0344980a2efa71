"""Figures for Prometheus. Names of resources are labels only of what a person asks of one of them."""

from collections import Counter as Counts
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.kinds import KINDS
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import WorkResult
from fedwright_operator.cluster.api import Api
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.shell.kinds import AnyResource

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WORK_SECONDS = (1, 2, 5, 10, 20, 60, 120, 300, 900, 3600)


class Metrics:
    """All figures of one operator."""

    def __init__(self, cache: Cache, api: Api) -> None:
        self.depth: Callable[[], int] = lambda: 0
        """How many roots wait; nobody does before this process leads."""
        self.registry = CollectorRegistry()
        known = {"registry": self.registry, "namespace": "fedwright"}
        self.passes = Histogram("reconcile_seconds", "Of a pass.", ["outcome"], buckets=_SECONDS, **known)  # type: ignore[arg-type]
        self.waits = Histogram("queue_wait_seconds", "From the first ask to the pass.", buckets=_SECONDS, **known)  # type: ignore[arg-type]
        self.works = Counter("works", "Finished works.", ["kind", "outcome"], **known)  # type: ignore[arg-type]
        self.work_seconds = Histogram(
            "work_seconds",
            "From start to end of a work.",
            ["kind"],
            buckets=_WORK_SECONDS,
            **known,  # type: ignore[arg-type]
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(_Seen(cache, api, lambda: self.depth()))

    def passed(self, outcome: str, waited: float, took: float) -> None:
        self.passes.labels(outcome).observe(took)
        self.waits.observe(waited)

    def finished(self, result: WorkResult, seconds: float) -> None:
        self.works.labels(result.kind, str(result.outcome)).inc()
        self.work_seconds.labels(result.kind).observe(seconds)


class _Seen(Collector):
    """What the cache holds at the moment that somebody asks."""

    def __init__(self, cache: Cache, api: Api, depth: Callable[[], int]) -> None:
        self._cache, self._api, self._depth = cache, api, depth

    def collect(self) -> Iterable[Metric]:
        bodies = [body for body in self._cache if body["kind"] in KINDS]
        found = [one for one in map(self._cache.resource, bodies) if not isinstance(one, str)]
        phases = Counts[tuple[str, ...]]((one.kind, str(one.status.phase)) for one in found)
        yield _gauge("fedwright_resources", "By kind and phase.", ("kind", "phase"), phases)
        requests = [one for one in found if isinstance(one, FLStrategyRequest)]
        yield _gauge("fedwright_spent", "By the requests that are there.", ("what",), _sum(map(_spent, requests)))
        yield _gauge(
            "fedwright_reserved", "For the requests that are there.", ("what",), _sum(map(_reserved, requests))
        )
        yield _named("fedwright_best_score", "Of a request.", ((one, one.status.best_score) for one in requests))
        fleets = ((one, one.status.nodes_connected) for one in found if isinstance(one, Federation))
        yield _named("fedwright_federation_nodes_connected", "Of a federation.", fleets)
        rollouts = ((one, one.status.round) for one in found if isinstance(one, Deployment))
        yield _named("fedwright_deployment_round", "Reached by a deployment.", rollouts)
        yield GaugeMetricFamily("fedwright_queue_depth", "Roots that wait for a pass.", value=self._depth())
        yield GaugeMetricFamily("fedwright_api_calls", "Since the start.", value=self._api.calls)


def _spent(request: FLStrategyRequest) -> dict[str, float]:
    spent = request.status.spent
    return {"tokens": spent.tokens, "money_usd": spent.money_usd, "simulated_rounds": spent.simulated_rounds}


def _reserved(request: FLStrategyRequest) -> dict[str, float]:
    """What a request that goes on may still spend."""
    if request.status.phase.terminal:
        return {}
    spent, budgets = request.status.spent, request.spec.budgets
    return {
        "tokens": max(0, budgets.tokens - spent.tokens),
        "money_usd": max(0.0, budgets.money_usd - spent.money_usd),
        "simulated_rounds": max(0, budgets.simulated_rounds - spent.simulated_rounds),
    }


def _sum(figures: Iterable[dict[str, float]]) -> Counts[tuple[str, ...]]:
    total = Counts[tuple[str, ...]]()
    for one in figures:
        total.update({(what,): value for what, value in one.items()})
    return total


def _gauge(name: str, words: str, labels: tuple[str, ...], counts: Counts[tuple[str, ...]]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _named(name: str, words: str, values: Iterable[tuple[AnyResource, float | None]]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=("namespace", "name"))
    for one, value in values:
        if value is not None:
            family.add_metric((one.metadata.namespace, one.metadata.name), value)
    return family
