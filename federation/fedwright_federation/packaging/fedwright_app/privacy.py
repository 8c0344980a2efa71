"""Differential privacy of a deployed run. Clipping, noise and accounting are the platform's, in the two runtimes.

Unit Client: the server clips and adds noise. Unit Example: each node does, on its own gradients, before anything is sent. Both
draw noise and samples from the package's seed, which everyone knows, and a secret of their own, which is drawn at random
once a job and kept on disk, so that a round that is repeated does not spend twice.
"""

import secrets
from pathlib import Path

from fedwright_crds.documents import PackageInput
from fedwright_federation.packaging.files import write_whole
from fedwright_federation.simulation.privacy import PrivacySpec

FILE = "noise.secret"
SECRET_BITS = 128


def protection(settings: PackageInput) -> PrivacySpec | None:
    """What the request asked for, or None."""
    asked = settings.privacy
    if asked is None:
        return None
    return PrivacySpec(asked.unit.value, asked.epsilon, asked.delta, asked.clip_norm)


def secret_of(folder: Path) -> int:
    """This side's secret for the job whose folder that is."""
    path = folder / FILE
    if not path.exists():
        write_whole(path, str(secrets.randbits(SECRET_BITS)).encode(), private=True)
    return int(path.read_text())
