"""What the committee thought of each proposal."""

from statistics import fmean

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
        words=("Means over the reviewers, from 0 to 1. Grades decide which proposals are tried, never who wins.",),
        tables=(Table("Grades of the proposals", head, rows, figures),),
    )


def _row(look: Look, one: ReportCandidate, dimensions: list[str]) -> tuple[str, ...]:
    means = {name: fmean(found) for name in dimensions if (found := _scores(one.grades, name))}
    cells = [f"{means[name]:.2f}" if name in means else ABSENT for name in dimensions]
    reasons = dict.fromkeys(clean(f"{grade.dimension}: {grade.reason}") for grade in one.grades if grade.reason)
    return look.label, *cells, f"{fmean(means.values()):.2f}", "\n".join(reasons)


def _scores(grades: tuple[Grade, ...], dimension: str) -> list[float]:
    return [grade.score for grade in grades if grade.dimension == dimension]
