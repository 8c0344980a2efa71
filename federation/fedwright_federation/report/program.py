"""The report's program: from the findings to one page of HTML that needs nothing else.

Trusted code over text that is not: titles, hypotheses and reasons come from minds. They are cleaned and escaped, and the
page forbids scripts and outside content altogether.
"""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fedwright_crds.box import Box
from fedwright_crds.documents import ReportInput
from fedwright_federation.report import (
    asked,
    clients,
    compared,
    grades,
    judged,
    pareto,
    probe,
    rollout,
    rounds,
    spent,
    tried,
    tuning,
)
from fedwright_federation.report.looks import clean
from fedwright_federation.report.page import Section
from fedwright_federation.report.story import Story
from fedwright_federation.report.verdict import verdict

SECTIONS = (asked, judged, compared, rounds, pareto, clients, tried, grades, tuning, probe, rollout, spent)


def main(argv: Sequence[str]) -> int:
    del argv
    box = Box.here()
    report = ReportInput.model_validate_json(box.input("report.json").read_bytes())
    output = box.output("report.html")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page(report), encoding="utf-8")
    return 0


def page(report: ReportInput) -> str:
    """The whole page. The same findings give the same bytes."""
    story = Story.of(report)
    sections: list[Section] = [found for module in SECTIONS if (found := module.section(story)) is not None]
    environment = Environment(
        loader=PackageLoader("fedwright_federation.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_cleaned,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.j2")
    return template.render(report=report, verdict=verdict(story), sections=sections)


def _cleaned(value: object) -> object:
    """Every line of text that the template writes, without control characters; drawings are our own."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "\n".join(clean(line) for line in value.split("\n"))
