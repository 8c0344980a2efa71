"""Whether questions find their answers: recall of the entries that answer a question among the first five that are found."""

from pathlib import Path
from statistics import fmean

import pytest
import yaml

from fedwright_agents.knowledge.lessons import Lesson, Verdict
from fedwright_agents.knowledge.search import KnowledgeBase, Mode, open_knowledge
from fedwright_agents.knowledge.shipped import shipped_entries
from fedwright_agents.knowledge.snapshot import SHIPPED, build, read
from fedwright_crds.task import Architecture, DataSource, Metric, PartitionKind
from fedwright_federation.catalogue import Circumstance, catalogue

QUESTIONS = yaml.safe_load((Path(__file__).parent / "questions.yaml").read_text())
WANTED = 0.9
FIRST = 5


def share(base: KnowledgeBase, question: dict, mode: Mode = Mode.HYBRID) -> float:
    """Of its answers, how many are among the first five."""
    found = {result.id for result in base.search(question["ask"], FIRST, mode=mode)}
    return len(found & set(question["answers"])) / len(question["answers"])


def test_questions_are_many_and_name_entries():
    assert len({one["ask"] for one in QUESTIONS}) == len(QUESTIONS) >= 60
    assert {id for one in QUESTIONS for id in one["answers"]} <= {entry.id for entry in shipped_entries()}
    assert all(1 <= len(one["answers"]) <= FIRST for one in QUESTIONS)


def test_recall_of_the_hybrid_search(base, capsys):
    shares = {mode: [share(base, one, mode) for one in QUESTIONS] for mode in Mode}
    figures = {str(mode): fmean(found) for mode, found in shares.items()}
    held_out = fmean(shares[Mode.HYBRID][::2])
    with capsys.disabled():
        told = ", ".join(f"{mode} {value:.3f}" for mode, value in figures.items())
        print(f"\nrecall@{FIRST} over {len(QUESTIONS)} questions: {told}; hybrid on held-out ones {held_out:.3f}")
    assert figures["hybrid"] >= WANTED
    assert figures["hybrid"] >= max(figures["dense"], figures["keyword"])
    assert held_out >= WANTED - 0.05


def test_lessons_do_not_crowd_the_answers_out(remembering, tmp_path):
    """Sixty lessons beside the entries."""
    lessons = [lesson(k, method) for k in range(3) for method in sorted(catalogue().methods)[:20]]
    entries = [*shipped_entries(), *(one.entry for one in lessons)]
    build(entries, remembering, tmp_path / "with", known=read(SHIPPED, remembering.identity))
    crowded = open_knowledge(tmp_path / "with", remembering)
    assert fmean(share(crowded, one) for one in QUESTIONS) >= WANTED - 0.03


def lesson(k: int, method: str) -> Lesson:
    return Lesson(
        request=f"request-{k}",
        data=list(DataSource)[k],
        partition=PartitionKind.DIRICHLET,
        circumstances=(list(Circumstance)[k], Circumstance.MANY_ROUNDS),
        architecture=Architecture.MLP,
        clients=20,
        rounds=40,
        participation=0.25,
        method=method,
        parts=catalogue().methods[method].parts,
        metric=Metric.ACCURACY,
        verdict=list(Verdict)[k],
        value=0.9,
        baseline=0.88,
    )


@pytest.mark.parametrize("mode", list(Mode))
def test_the_same_question_finds_the_same(base, mode):
    asked = QUESTIONS[1]["ask"]
    assert base.search(asked, mode=mode) == base.search(asked, mode=mode)
