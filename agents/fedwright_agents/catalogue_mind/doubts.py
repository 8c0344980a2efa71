"""What the planner cannot decide by itself: where the goal's words and the request's fields do not say the same."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fedwright_agents.catalogue_mind.ideas import NoSuchIdeaError, composition_of
from fedwright_crds.request import MEMBERSHIP, Answer, Question, RequestSpec
from fedwright_crds.task import Metric, Scope
from fedwright_federation.catalogue import Catalogue, Composition

BYTES = {Metric.UPLOAD_MEBIBYTES, Metric.DOWNLOAD_MEBIBYTES, Metric.SIMULATED_SECONDS}
TELLING = frozenset({"payload", "measures-data", "synthetic-data"})
"""Features of parts that send more about one client than its update."""


@dataclass(frozen=True)
class Doubt:
    """A question, when it arises, and what each answer but the first forbids and says."""

    question: Question
    arises: Callable[[RequestSpec], bool]
    forbids: frozenset[str] = frozenset()
    """Features that compositions may not have once the second option is chosen."""
    note: str = ""


def _speaks(pattern: str) -> Callable[[RequestSpec], bool]:
    words = re.compile(pattern, re.IGNORECASE)
    return lambda spec: bool(words.search(spec.goal))


_privacy = _speaks(r"\b(privacy|private(ly)?|confidential|anonym\w*|gdpr|hipaa|leak\w*)\b")
_personal = _speaks(r"\b(personali[sz]\w*|own model|model of (its|their) own|each with its own)\b")
_one_for_all = _speaks(r"\b(one|single|common|shared|global) model\b")
_bandwidth = _speaks(r"\b(bandwidth|few(er|est)? bytes|slow (uplink|network|link)s?|metered|traffic)\b")


def _measured(spec: RequestSpec) -> set[Metric]:
    return {spec.objective.metric, *(one.metric for one in spec.constraints)}


DOUBTS = (
    Doubt(
        Question(
            id="privacy",
            text="The goal speaks of privacy and spec.privacy is absent: data stay on the devices, and updates carry no formal "
            "guarantee. For differential privacy, abort and set spec.privacy. What may clients send?",
            options=("any update that a method needs", "nothing beside the model's update"),
            default="any update that a method needs",
        ),
        lambda spec: _privacy(spec) and spec.privacy is None and not MEMBERSHIP & _measured(spec),
        TELLING,
        "Methods that send more than an update were left out.",
    ),
    Doubt(
        Question(
            id="personal-models",
            text="The objective is judged per client and the goal speaks of one model. May clients keep parts of the model "
            "to themselves?",
            options=("clients may keep parts of their own", "one model for all"),
            default="clients may keep parts of their own",
        ),
        lambda spec: _one_for_all(spec) and not _personal(spec) and spec.objective.scope is Scope.PER_CLIENT,
        frozenset({"private-keys"}),
        "Methods with private parts of the model were left out.",
    ),
    Doubt(
        Question(
            id="global-model",
            text="The goal speaks of models of the clients' own and the objective judges one global model. To judge each "
            "client's, abort and set objective.scope to PerClient. Go on with a global model?",
            options=("go on, private parts included", "go on with methods that have a whole global model"),
            default="go on with methods that have a whole global model",
        ),
        lambda spec: _personal(spec) and spec.objective.scope is Scope.GLOBAL,
        frozenset({"private-keys"}),
        "Methods with private parts of the model were left out: the objective judges the global one.",
    ),
    Doubt(
        Question(
            id="bandwidth",
            text="The goal speaks of traffic, and neither the objective nor a constraint measures bytes, so that sending less "
            "earns nothing. To count bytes, abort and set objective or constraints. May methods send more than FedAvg?",
            options=("methods may send more than FedAvg", "no method may send more than FedAvg"),
            default="methods may send more than FedAvg",
        ),
        lambda spec: _bandwidth(spec) and not BYTES & _measured(spec),
        frozenset({"payload"}),
        "Methods that send more than FedAvg were left out.",
    ),
)


@dataclass(frozen=True)
class Doubts:
    """Open questions, and what the answers so far mean."""

    questions: tuple[Question, ...]
    forbidden: frozenset[str]
    left_out: frozenset[str]
    """Names of the request's own candidates that cannot be."""
    notes: tuple[str, ...]

    def allows(self, composition: Composition) -> bool:
        return not self.forbidden & composition.features


def doubts(known: Catalogue, spec: RequestSpec, answers: Sequence[Answer]) -> Doubts:
    """All doubts that this request raises, less those that are answered."""
    given = {one.question: one.answer for one in answers}
    open_, forbidden, notes = list[Question](), set[str](), list[str]()
    for doubt in DOUBTS:
        if not doubt.arises(spec):
            continue
        answer = given.get(doubt.question.id)
        if answer is None:
            open_.append(doubt.question)
        elif _same(answer, doubt.question.options[1]):
            forbidden |= doubt.forbids
            notes.append(doubt.note)
    impossible = dict(_impossible(known, spec))
    open_ += [_leave_out(name, why) for name, why in impossible.items() if _id(name) not in given]
    notes += [f"Candidate {name} was left out: {why}" for name, why in impossible.items()]
    return Doubts(tuple(open_), frozenset(forbidden), frozenset(impossible), tuple(notes))


def _same(answer: str, option: str) -> bool:
    """People answer by an option's words, or by its number, counted from 1."""
    return answer.strip().lower() in {option.lower(), "2"}


def _impossible(known: Catalogue, spec: RequestSpec) -> Iterable[tuple[str, str]]:
    for one in spec.search.candidates:
        try:
            composition_of(known, one.method, (), one.hyperparameters)
        except NoSuchIdeaError as error:
            yield one.name, str(error)


def _leave_out(name: str, why: str) -> Question:
    text = f"search.candidates {name} cannot be: {why}. Abort and mend it, or leave it out?"
    return Question(id=_id(name), text=text[:1024], options=("leave it out",), default="leave it out")


def _id(name: str) -> str:
    return f"candidate-{name}"
