"""What a run left in the home: how it ended, what its answer scored on the fresh seeds, what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fedwright_crds.candidate import Candidate
from fedwright_crds.documents import Score
from fedwright_crds.request import FLStrategyRequest, RequestPhase
from fedwright_crds.transcript import Charge
from fedwright_operator.bench.entries import Entry
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store
from fedwright_operator.local.transcripts import charged_in
from fedwright_operator.local.usage import Usage
from fedwright_operator.reconcile.standings import baseline_name

NAMESPACE = "default"
Scores = tuple[Score, ...]


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    entry: Entry
    request: FLStrategyRequest
    candidates: Mapping[str, Candidate]
    scores: Mapping[str, Scores]
    """On the fresh seeds, by candidate; only of those that stood in the final."""
    charged: Charge
    seconds: float
    """Of driving it. Work that an earlier run of the home had done already took none."""

    @property
    def answered(self) -> bool:
        """It ended with a judged answer: a winner, or that nothing is better than tuned FedAvg."""
        return self.request.status.phase is not RequestPhase.FAILED

    @property
    def won(self) -> bool:
        return self.request.status.phase is RequestPhase.SUCCEEDED

    @cached_property
    def answer(self) -> str:
        """The winner, else tuned FedAvg: what a person is told to use."""
        return self.request.status.winner or baseline_name(self.request)

    @property
    def title(self) -> str:
        found = self.candidates.get(self.answer)
        return found.spec.title if found and self.answered else ""

    def of_method(self, method: str) -> Scores:
        """Of the plain method, tuned; empty where it was not in the final."""
        if method == "fedavg":
            return self.scores.get(baseline_name(self.request), ())
        plain = (name for name, one in self.candidates.items() if one.spec.method == method and not one.spec.parts)
        return next((self.scores[name] for name in plain if name in self.scores), ())


def ended(home: Home, entry: Entry) -> Run | None:
    """The run as it is in the home; None while it has not ended."""
    store, artifacts = Store(home.resources), Artifacts(home.artifacts)
    request = store.get(FLStrategyRequest, entry.name, NAMESPACE)
    if request is None or not request.status.phase.terminal:
        return None
    candidates = {one.metadata.name: one for one in store.owned_by(request) if isinstance(one, Candidate)}
    uid = request.metadata.uid or ""
    return Run(
        entry=entry,
        request=request,
        candidates=candidates,
        scores={name: _scores(one, artifacts) for name, one in candidates.items() if one.status.finals},
        charged=sum(charged_in(home, uid).values(), Charge()),
        seconds=round(Usage(home.usage / f"{uid}.json").seconds, 1),
    )


def _scores(one: Candidate, artifacts: Artifacts) -> Scores:
    return tuple(Score.model_validate_json(artifacts.read(digest)) for digest in one.status.finals)
