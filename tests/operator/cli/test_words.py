"""What a person reads before they approve: what is tried, why, between which values, and where it comes from."""

from fedwright_crds.candidate import Part, Range
from fedwright_crds.documents import Idea, Plan, Subtask
from fedwright_crds.task import ModelSpec
from fedwright_operator.cli.words import plan_in_words


def idea(title: str, **more: object) -> Idea:
    return Idea.model_validate({"title": title, "method": "fedavg", "hypothesis": "it helps", **more})


def words(*candidates: Idea, subtasks: tuple[Subtask, ...] = ()) -> list[str]:
    baseline = idea("FedAvg")
    return plan_in_words(
        Plan(
            summary="Skew first.",
            model=ModelSpec(),
            baselines=(baseline,),
            candidates=candidates,
            criteria=(),
            subtasks=subtasks,
        )
    )


def test_a_choice_is_told_with_its_reasons_values_and_source() -> None:
    told = words(
        idea(
            "Anchored",
            parts=(Part(slot="gradients", name="Anchor", reason="long local work"),),
            hyperparameters=(
                Range(name="lr", default=0.1, grid=(0.03, 0.1, 0.3)),
                Range(name="pull", default=0.5, low=0.0, high=1.0),
                Range(name="tau", default=0.001),
            ),
            fixed={"momentum": 0.9},
            source="Li et al. 2020",
        )
    )
    at = told.index("First candidates:")
    assert told[at + 1 :] == [
        "  - Anchored (fedavg; gradients: Anchor): it helps",
        "    Anchor: long local work",
        "    Values: momentum 0.9, lr 0.1 (0.03 0.1 0.3), pull 0.5 (0 to 1), tau 0.001",
        "    Source: Li et al. 2020",
    ]


def test_the_roadmap_says_what_each_step_takes_and_when_it_holds() -> None:
    steps = (
        Subtask(
            name="anchor", goal="Keep clients near", interface="gradients: mu -> Tensors", validation="mu 0 is FedAvg"
        ),
        Subtask(name="report", goal="Say what was found", validation=""),
    )
    told = words(subtasks=steps)
    assert told[-3:] == [
        "Roadmap:",
        "  - anchor: Keep clients near [gradients: mu -> Tensors]; holds when: mu 0 is FedAvg",
        "  - report: Say what was found",
    ]


def test_what_a_plan_does_not_have_is_not_told() -> None:
    assert words() == [
        "Skew first.",
        "Model: Mlp, hidden 32",
        "Baselines, tuned like the candidates:",
        "  - FedAvg (fedavg): it helps",
    ]
