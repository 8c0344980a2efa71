"""What the committee thought of each proposal."""

from collections.abc import Sequence
from statistics import fmean

from fedwright_crds.committee import agreement, kendall_tau
from fedwright_crds.documents import Grade, ReportCandidate
from fedwright_federation.report.looks import Look, clean
from fedwright_federation.report.page import Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import ABSENT


def section(story: Story) -> Section | None:
    graded = [(look, one) for look, one in story.in_order() if one.grades]
    if not graded:
        return None
    dimensions = sorted({grade.dimension for _, one in graded for grade in one.grades})
    rows = tuple(_row(look, one, dimensions) for look, one in graded)
    head = ("Proposal", *map(clean, dimensions), "All", "Reasons")
    figures = frozenset(range(1, len(dimensions) + 2))
    return Section(
        id="grades",
        title="The committee's grades",
        words=(
            "Means over the reviewers, each on a scale of mean 0.5. Grades decide which proposals are tried, never who wins.",
            _agreement([one for _, one in graded]),
            _prediction([one for _, one in graded]),
        ),
        tables=(Table("Grades of the proposals", head, rows, figures),),
    )


def _agreement(graded: Sequence[ReportCandidate]) -> str:
    reviews: dict[int, list[Grade]] = {}
    for number, one in enumerate(graded):
        for grade in one.grades:
            reviews.setdefault(grade.reviewer, []).append(grade.model_copy(update={"proposal": number}))
    tau = agreement(list(reviews.values()), len(graded))
    if tau is None:
        return "There is no second opinion to compare."
    return f"The {len(reviews)} reviewers agree by Kendall's tau {tau:+.2f} (1: the same order, 0: none in common)."


def _prediction(graded: Sequence[ReportCandidate]) -> str:
    """Whether what the committee liked did better. Only those that were let through have a score."""
    tried = [(_total(one), one.outcome.score) for one in graded if one.outcome.score is not None]
    tau = kendall_tau([liked for liked, _ in tried], [score for _, score in tried])
    if tau is None:
        return f"{len(tried)} of them were tried, too few or too much alike to say how well the committee foresaw the outcome."
    return f"Of the {len(tried)} that were tried, its order agrees with that of the scores by Kendall's tau {tau:+.2f}."


def _total(one: ReportCandidate) -> float:
    dimensions = {grade.dimension for grade in one.grades}
    return fmean(fmean(_scores(one.grades, name)) for name in dimensions)


def _row(look: Look, one: ReportCandidate, dimensions: list[str]) -> tuple[str, ...]:
    means = {name: fmean(found) for name in dimensions if (found := _scores(one.grades, name))}
    cells = [f"{means[name]:.2f}" if name in means else ABSENT for name in dimensions]
    reasons = dict.fromkeys(clean(f"{grade.dimension}: {grade.reason}") for grade in one.grades if grade.reason)
    return look.label, *cells, f"{fmean(means.values()):.2f}", "\n".join(reasons)


def _scores(grades: tuple[Grade, ...], dimension: str) -> list[float]:
    return [grade.score for grade in grades if grade.dimension == dimension]
