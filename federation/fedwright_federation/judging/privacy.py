"""Membership inference on matched probes: how well answers tell training rows from others.

Three signals of an answer, on the rows themselves and on their noisy twins, of the global model and of the clients' own;
what is reported is the strongest of all of them. The intervals hold for all of them together (Bonferroni), else the
strongest of so many would seem to leak by luck. No attack was trained: a small figure shows that these tests fail, not
that every test would.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fedwright_crds.documents import PrivacyProbe
from fedwright_federation.judging.labels import Labels
from fedwright_federation.judging.probes import Role

FALSE_POSITIVES = 0.01
LEVEL = 0.95
LOOKUP_RATIO, LOOKUP_LEAST = 3.0, 0.02
"""Suspected where members' answers move more than this under noise, and so many times as far as strangers'."""

_PAIRS = ((Role.MEMBER, Role.STRANGER), (Role.MEMBER_TWIN, Role.STRANGER_TWIN))
Floats = NDArray[np.float64]


def probe(answers: Mapping[str, NDArray[np.floating]], labels: Labels) -> PrivacyProbe | None:
    """`answers`: [n, classes] of each kind of model that answered. None where nothing was probed."""
    members = labels.of(Role.MEMBER)
    if not len(members):
        return None
    found = [
        _attack(signal[labels.of(inside)], signal[labels.of(outside)])
        for p in answers.values()
        for signal in signals(p.astype(np.float64), labels.y)
        for inside, outside in _PAIRS
    ]
    doubt = (1 - LEVEL) / len(found)
    areas, rates = zip(*((one.area_interval(doubt), one.rate_interval(doubt)) for one in found), strict=True)
    return PrivacyProbe(
        members=len(members),
        auc=max(one.auc for one in found),
        auc_low=max(low for low, _ in areas),
        auc_high=max(high for _, high in areas),
        tpr_at_1_fpr=max(one.hits for one in found) / len(members),
        tpr_low=max(low for low, _ in rates),
        tpr_high=max(high for _, high in rates),
        lookup_suspected=any(_lookup(p, labels) for p in answers.values()),
    )


def signals(p: Floats, y: NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
    """[n] each, greater for likelier members: log-probability of the label, confidence (-entropy), margin of the label."""
    own = p[np.arange(len(y)), y]
    others = p.copy()
    others[np.arange(len(y)), y] = 0.0
    safe = np.maximum(p, 1e-12)
    return np.log(np.maximum(own, 1e-12)), (safe * np.log(safe)).sum(1), own - others.max(1)


@dataclass(frozen=True)
class Attack:
    """One signal as a test of membership, read in the direction that tells more."""

    inside: Floats
    outside: Floats
    auc: float
    hits: int
    """Members above the threshold that lets at most 1% of strangers pass."""

    def area_interval(self, doubt: float = 1 - LEVEL) -> tuple[float, float]:
        """DeLong, DeLong and Clarke-Pearson (1988); it fails to cover with chance `doubt`."""
        below = _mid_ranks_below(self.inside, self.outside)
        above = 1.0 - _mid_ranks_below(self.outside, self.inside)
        variance = _variance(below) / len(below) + _variance(above) / len(above)
        half = float(stats.norm.ppf(1 - doubt / 2)) * variance**0.5
        return max(0.0, self.auc - half), min(1.0, self.auc + half)

    def rate_interval(self, doubt: float = 1 - LEVEL) -> tuple[float, float]:
        """Of the share of members above the threshold.

        Of all strangers more than 1% may pass a threshold that 1% of these pass. The lower end is what remains at 1% if as
        many do as may be, on a concave ROC curve.
        """
        low, high = clopper_pearson(self.hits, len(self.inside), doubt)
        passing = clopper_pearson(_passing(self.outside), len(self.outside), doubt)[1]
        return low * FALSE_POSITIVES / passing, high


def _attack(inside: Floats, outside: Floats) -> Attack:
    area = float(_mid_ranks_below(inside, outside).mean())
    if area < 0.5:
        inside, outside, area = -inside, -outside, 1.0 - area
    threshold = np.sort(outside)[::-1][_passing(outside)]
    return Attack(inside, outside, area, int((inside > threshold).sum()))


def _passing(outside: Floats) -> int:
    """How many strangers may be above the threshold."""
    return int(FALSE_POSITIVES * len(outside))


def _mid_ranks_below(values: Floats, others: Floats) -> Floats:
    """For each value the share of the others below it, ties by half."""
    ranked = np.sort(others)
    less, at_most = np.searchsorted(ranked, values, "left"), np.searchsorted(ranked, values, "right")
    return np.asarray((less + at_most) / (2 * len(others)))


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.25


def clopper_pearson(hits: int, trials: int, doubt: float = 1 - LEVEL) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper and Pearson 1934)."""
    tail = doubt / 2
    low = float(stats.beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def _lookup(p: NDArray[np.floating], labels: Labels) -> bool:
    """Answers to members move far more under a small noise than answers to strangers."""
    members, strangers = (_moved(p, labels, role) for role in (Role.MEMBER_TWIN, Role.STRANGER_TWIN))
    return members > max(LOOKUP_LEAST, LOOKUP_RATIO * strangers)


def _moved(p: NDArray[np.floating], labels: Labels, role: Role) -> float:
    """Mean total-variation distance between the answers to twins and to their originals."""
    rows = labels.of(role)
    return float(0.5 * np.abs(p[rows] - p[labels.original[rows]]).sum(1).mean())
