"""A search of the web that the cluster's gateway cannot make: one clear end, and no pod of a mind was started for it."""

import json

import pytest
from cluster_requests import apply, ended, manifest
from kubectl import Kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_a_request_that_wants_a_search_which_nobody_set_up_ends_before_a_mind_is_asked(
    operator: Kubectl, space: Kubectl
) -> None:
    """Of the operator that `make cluster` installs, without models; one with models and no such search names the profile."""
    apply(
        space, manifest(minds={"planner": "fast", "search": "nobodys"}, budgets={"wallSeconds": 7200, "tokens": 1000})
    )
    status = ended(space)["status"]
    (finished,) = (one for one in status["conditions"] if one["type"] == "Finished")
    assert (status["phase"], finished["reason"]) == ("Failed", "WorkFailed")
    assert "no gateway is installed" in finished["message"] or "the search profile nobodys" in finished["message"]
    assert "fedwright_agents.programs.plan" not in json.dumps(space.get("jobs,pods"))
