"""What every section of the report tells from: the findings, and how each candidate looks."""

from dataclasses import dataclass

from fedwright_crds.documents import CurvePoint, ReportCandidate, ReportInput
from fedwright_crds.task import Metric, Scope
from fedwright_federation.report.looks import Look, Looks, clean, looks_of
from fedwright_federation.report.units import UNITS, Unit


@dataclass(frozen=True)
class Story:
    report: ReportInput
    looks: Looks

    @classmethod
    def of(cls, report: ReportInput) -> "Story":
        return cls(report, looks_of(report))

    @property
    def objective(self) -> Unit:
        return UNITS[self.report.spec.objective.metric]

    @property
    def baseline(self) -> str | None:
        return next((name for name, look in self.looks.items() if look.baseline), None)

    @property
    def scope(self) -> Scope:
        """Of the accuracy that is shown: the global model's, or each client's own model's."""
        return self.report.spec.objective.scope

    @property
    def model_shown(self) -> str:
        own = self.scope is Scope.PER_CLIENT
        return "each client's own model on its own rows" if own else "the global model on all clients' rows"

    def in_order(self) -> list[tuple[Look, ReportCandidate]]:
        """Candidates, the most important first."""
        by_name = {one.outcome.name: one for one in self.report.candidates}
        return [(look, by_name[name]) for name, look in self.looks.items()]

    def label(self, name: str) -> str:
        return self.looks[name].label if name in self.looks else clean(name)

    def titled(self, name: str) -> str:
        """In full: the title with the name, as a reader finds it in the cluster."""
        titles = {one.outcome.name: clean(one.outcome.title) for one in self.report.candidates}
        return f"{titles[name]} ({name})" if titles.get(name) else clean(name)

    def accuracy(self, point: CurvePoint) -> float:
        return point.client_accuracy if self.scope is Scope.PER_CLIENT else point.accuracy

    def measured(self, one: ReportCandidate, metric: Metric, scope: Scope | None = None) -> float | None:
        """On the selection split; traffic and time have one value for both scopes."""
        measures = one.outcome.measures
        wanted = scope or self.scope
        other = Scope.GLOBAL if wanted is Scope.PER_CLIENT else Scope.PER_CLIENT
        keys = [f"{metric}/{wanted}", *([f"{metric}/{other}"] if scope is None else [])]
        return next((measures[key] for key in keys if key in measures), None)
