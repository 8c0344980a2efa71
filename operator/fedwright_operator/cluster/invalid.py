"""A resource that its schema let through and that still is none: a condition says which field, and why."""

from fedwright_crds.meta import Condition, Truth
from fedwright_operator.cluster.api import Json
from fedwright_operator.shell.clock import now, stamp

INVALID = "InvalidSpec"


def refusal(body: Json, why: str) -> Json:
    """Its status with the condition Accepted false; all else stays as it is."""
    status = dict(body.get("status", {}))
    message = f"{why}; mend it and apply it again"[:1024]
    before = next((one for one in status.get("conditions", ()) if one["type"] == "Accepted"), None)
    if before and before["reason"] == INVALID and before["message"] == message:
        return status
    said = Condition(
        type="Accepted",
        status=Truth.FALSE,
        reason=INVALID,
        message=message,
        last_transition_time=stamp(now()),
        observed_generation=body["metadata"].get("generation", 0),
    )
    others = [one for one in status.get("conditions", ()) if one["type"] != "Accepted"]
    return {**status, "conditions": [*others, said.to_wire()]}
