"""How it was judged and on which data, so that a reader knows what the figures speak of."""

from collections.abc import Sequence

from fedwright_federation.report.page import Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import ABSENT, figure, percent


def section(story: Story) -> Section:
    report, judging = story.report, story.report.spec.judging
    return Section(
        id="judged",
        title="How it was judged, and on which data",
        words=(
            f"Judged on: {report.judged_on.rstrip('.')}.",
            "Clients trained on one part of their data. Everything that was chosen on the way, from hyperparameters to "
            "finalists, was chosen on a second part, the selection split. The third part, the test split, was opened once, "
            f"for the finalists and the baselines, with {judging.fresh_seeds} fresh seeds on which nothing had been chosen.",
            "A seed draws who holds which row, the first weights, who takes part and the order of the batches. Which rows are "
            "test rows it never changes, so intervals speak of other runs on these rows, not of other rows.",
            f"Tuned FedAvg and {len(report.plan.baselines) - 1} other methods of the catalogue had as many tuning trials "
            f"({report.spec.search.trials}) as each candidate. Finalists were compared with FedAvg seed by seed; intervals are "
            f"{percent(judging.level)}, and the chance to crown a strategy that is no better is at most {judging.level:.0%}.",
        ),
        tables=(_facts(story),),
        notes=("No row of a real fleet was seen here. A fleet's own data may favour another strategy.",),
    )


def _facts(story: Story) -> Table:
    facts = story.report.facts
    rows = (
        ("Rows in all", f"{facts.samples:,}"),
        ("Classes", str(facts.classes)),
        ("Shape of a row", "x".join(map(str, facts.input_shape))),
        ("Training rows of a client", _range(facts.train_samples_per_client)),
        ("Labels that a client holds", _range(facts.labels_per_client)),
        ("Label skew, from 0 (alike) to 1", figure(facts.label_skew)),
        ("Feature shift, in standard deviations", figure(facts.feature_shift)),
        ("Each client has test rows of its own", "yes" if facts.local_tests else "no"),
    )
    return Table("The data", ("", ""), rows)


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return ABSENT
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}, on average {sum(counts) / len(counts):.0f}"
