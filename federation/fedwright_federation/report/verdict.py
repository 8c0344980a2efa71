"""The verdict in words, and the few figures that it rests on: what a reader takes away who reads no further."""

from dataclasses import dataclass

from fedwright_crds.documents import Comparison, Decision
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import percent, probability, unit_of


@dataclass(frozen=True)
class Fact:
    """A figure with its name and a line of explanation."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    headline: str
    words: str
    facts: tuple[Fact, ...]


def verdict(story: Story) -> Verdict:
    decision = story.report.decision
    if decision is None:
        return Verdict("No decision was reached", story.report.verdict, ())
    primary = _primary(decision)
    headline = (
        f"{story.titled(decision.winner)} won" if decision.winner else "No strategy is proven better than tuned FedAvg"
    )
    return Verdict(headline, story.report.verdict, _facts(primary, decision, story) if primary else ())


def _primary(decision: Decision) -> Comparison | None:
    """The winner's comparison with the baseline; without a winner, that which came closest."""
    won = (one for one in decision.objective if one.candidate == decision.winner)
    return next(won, None) or min(decision.objective, key=lambda one: one.p, default=None)


def _facts(primary: Comparison, decision: Decision, story: Story) -> tuple[Fact, ...]:
    unit = unit_of(primary.metric)
    who = "Winner" if decision.winner else "Closest"
    facts = [
        Fact(f"{who}: {unit.name}", unit.value(primary.candidate_value), story.label(primary.candidate)),
        Fact("Tuned FedAvg", unit.value(primary.reference_value), "the same tuning, the same seeds"),
        Fact(
            "Difference",
            unit.difference(primary.difference),
            f"{percent(primary.level)} interval {unit.interval(primary.low, primary.high)}",
        ),
        Fact("How sure", probability(primary.p), f"paired t test on {primary.fresh_seeds} fresh seeds"),
    ]
    if against := decision.against_catalogue:
        note = f"{story.label(against.candidate)} against {story.label(against.reference)}, the best of the catalogue"
        facts.append(Fact("Over the catalogue", unit.difference(against.difference), note))
    return tuple(facts)
