"""How each candidate looks throughout the report: one label, one colour, one marker, in one order."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedwright_crds.candidate import Origin
from fedwright_crds.documents import ReportCandidate, ReportInput

HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito 2008: told apart with any colour vision, on white and on black."""
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "#8a8a8a"
MOST_LETTERS = 30


@dataclass(frozen=True)
class Look:
    """Of one candidate. `role` is empty for those that did not come far."""

    name: str
    label: str
    colour: str
    marker: str
    role: str

    @property
    def baseline(self) -> bool:
        return self.role == "baseline"


Looks = dict[str, Look]
"""By name, the most important first."""


def looks_of(report: ReportInput) -> Looks:
    """The winner first, then who was compared with the baseline, then all others by score; the baseline is grey."""
    titles = Counter(clean(one.outcome.title) for one in report.candidates)
    roles = roles_of(report)
    ordered = sorted(report.candidates, key=lambda one: _rank(one, list(roles), report))
    hues: Iterator[tuple[str, str]] = iter(zip(HUES, MARKERS, strict=True))
    looks: Looks = {}
    for one in ordered:
        name, title = one.outcome.name, clean(one.outcome.title)
        role = roles.get(name, "")
        colour, marker = (GREY, "X") if role == "baseline" else next(hues, (GREY, "."))
        label = short(title) if title and titles[title] == 1 else short(name)
        looks[name] = Look(name, label, colour, marker, role)
    return looks


def roles_of(report: ReportInput) -> dict[str, str]:
    """By name, in order: winner, finalists, best of the catalogue, baseline."""
    decision = report.decision
    if decision is None:
        first = next((one.outcome.name for one in report.candidates if one.outcome.origin is Origin.BASELINE), None)
        return {first: "baseline"} if first else {}
    roles = {decision.winner: "winner"} if decision.winner else {}
    roles |= {one.candidate: "finalist" for one in decision.objective if one.candidate not in roles}
    if decision.best_catalogue and decision.best_catalogue not in {*roles, decision.baseline}:
        roles[decision.best_catalogue] = "best of the catalogue"
    return roles | {decision.baseline: "baseline"}


def _rank(one: ReportCandidate, roles: Sequence[str], report: ReportInput) -> tuple[int, float, str]:
    name, score = one.outcome.name, one.outcome.score
    place = roles.index(name) if name in roles else len(roles)
    sign = -1.0 if report.spec.objective.metric.higher_is_better else 1.0
    return place, float("inf") if score is None else sign * score, name


def clean(text: str) -> str:
    """Text of others in one line: no control character, nothing that turns the direction of writing."""
    plain = "".join(letter if letter.isprintable() else " " for letter in unicodedata.normalize("NFC", text))
    return " ".join(plain.split())


def short(text: str, most: int = MOST_LETTERS) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
