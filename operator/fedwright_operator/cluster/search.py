"""Whether the gateway can search the web for a mind that is to do so, asked before a pod starts and a model is paid."""

from fedwright_crds.profiles import Profiles
from fedwright_crds.work import Step
from fedwright_operator.shell.allowances import search_of


class NoSearchError(LookupError):
    """The web cannot be searched as the request says."""


def check_search(step: Step, profiles: Profiles) -> None:
    """Raises NoSearchError where the step is to search by a profile that the gateway does not have."""
    wanted = search_of(step)
    if wanted is None:
        return
    known = profiles.search_by_name
    if wanted not in known:
        raise NoSearchError(
            f"the request names the search profile {wanted}, and the gateway has {', '.join(known) or 'none'};"
            " add it to models.search in the chart's values, or apply the request without spec.minds.search"
        )
