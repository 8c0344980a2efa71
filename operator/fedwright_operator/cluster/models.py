"""What minds behind a model are given on a cluster, and what their requests are told of costs and lessons.

The gateway is the chart's; keys are known to it alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fedwright_crds.allowance import read_secret
from fedwright_crds.candidate import Candidate
from fedwright_crds.manifests import ManifestError
from fedwright_crds.profiles import Profiles, load_profiles
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import Work
from fedwright_operator.cluster.config import ModelSettings, OperatorConfig
from fedwright_operator.cluster.costs import Bills
from fedwright_operator.cluster.lessons import Lessons
from fedwright_operator.cluster.search import check_search
from fedwright_operator.reconcile import request
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.shell.allowances import allowance_for, given, profile_of
from fedwright_operator.shell.kinds import AnyResource
from fedwright_operator.shell.planning import PLANNERS, Planners


class NoGatewayError(LookupError):
    """No model can be asked."""


def secrets_for(config: OperatorConfig) -> Callable[[Work, AnyResource], Mapping[str, bytes]]:
    """By work and root. The function raises NoGatewayError where a model is wanted and none is configured."""

    def secrets(work: Work, root: AnyResource) -> Mapping[str, bytes]:
        step = next((one for one in work.steps if profile_of(one)), None)
        if step is None:
            return {}
        if config.models is None:
            raise NoGatewayError(
                f"the request names the model profile {profile_of(step)} and no gateway is installed;"
                " set models.enabled in the chart's values, or let the catalogue fill the role"
            )
        assert isinstance(root, FLStrategyRequest), "only requests have minds"
        known = _profiles(config.models)
        _check_profile(profile_of(step), known)
        check_search(step, known)
        candidate = work.labels["name"] if work.labels.get("kind") == Candidate.__name__ else None
        starts = config.boxes.waiting_seconds + config.boxes.deadline_slack_seconds
        allowance = allowance_for(work, step, root, candidate, starts)  # its pod may wait so long for room
        return given(allowance, config.models.url, read_secret(config.models.secret))

    return secrets


def _profiles(models: ModelSettings) -> Profiles:
    """Those of the gateway."""
    try:
        return load_profiles(models.profiles)
    except ManifestError as problem:
        raise NoGatewayError(
            f"the gateway's profiles cannot be read: {problem}; mend models.profiles or models.search"
        ) from None


def _check_profile(named: str | None, profiles: Profiles) -> None:
    """As the gateway would, but before a pod has been started for it."""
    if named not in profiles.by_name:
        raise NoGatewayError(
            f"the request names the model profile {named}, and the gateway has {', '.join(profiles.by_name)};"
            " name one of these in spec.minds, or add it to models.profiles in the chart's values"
        )


def planners(lessons: Lessons, bills: Bills | None) -> Planners:
    """The reconcilers, with what a namespace has learnt and what the gateway charged for the one that asks for it."""

    def plan(observed: Observed[FLStrategyRequest]) -> Plan[FLStrategyRequest]:
        asked = observed.resource
        return request.plan(
            replace(
                observed,
                charged=lambda: bills.of(asked) if bills else {},
                lessons=lambda: lessons.of(asked.metadata.namespace),
            )
        )

    return replace(PLANNERS, request=plan)
