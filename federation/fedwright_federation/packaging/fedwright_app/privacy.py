"""Differential privacy of a deployed run. Clipping, noise and accounting are the platform's, in the two runtimes.

Unit Client: the server clips and adds noise. Unit Example: each node does, on its own gradients, before anything is sent.
"""

from fedwright_crds.documents import PackageInput
from fedwright_federation.simulation.privacy import PrivacySpec


def protection(settings: PackageInput) -> PrivacySpec | None:
    """What the request asked for, or None."""
    asked = settings.privacy
    if asked is None:
        return None
    return PrivacySpec(unit=str(asked.unit), epsilon=asked.epsilon, delta=asked.delta, clip_norm=asked.clip_norm)
