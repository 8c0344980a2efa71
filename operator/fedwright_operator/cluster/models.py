"""What minds behind a model are given on a cluster. The gateway is the chart's; keys are known to it alone."""

from collections.abc import Callable, Mapping

from fedwright_crds.allowance import read_secret
from fedwright_crds.candidate import Candidate
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import Work
from fedwright_operator.cluster.config import OperatorConfig
from fedwright_operator.shell.allowances import allowance_for, given, profile_of
from fedwright_operator.shell.kinds import AnyResource


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
        candidate = work.labels["name"] if work.labels.get("kind") == Candidate.__name__ else None
        allowance = allowance_for(work, step, root, candidate, config.boxes.deadline_slack_seconds)
        return given(allowance, config.models.url, read_secret(config.models.secret))

    return secrets
