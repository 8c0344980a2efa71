"""A reviewer: grades of all proposals in all dimensions, weighted by the model's own probabilities where it gives them.

After G-Eval (Liu et al. 2023, section 2): evaluation steps are fixed, and a score is the mean of the possible scores under
the model's probabilities. Where a model gives none, the mean of several samples takes their place. Authors are not named,
and each reviewer sees the proposals in an order of its own.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean

from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.conversation import Conversation, NoAnswer
from fedwright_agents.model_mind.model import Model, ModelError, Reply, Token
from fedwright_agents.model_mind.prompts import render
from fedwright_agents.model_mind.reading import Misread
from fedwright_crds.documents import Grade, Idea, ReviewInput, ReviewOutput

SAMPLES = 3
SCORES = {str(score): score for score in range(1, 6)}
STEPS = {
    "novelty": "name the nearest strategy that was tried or that the catalogue has; judge by what the difference would change "
    "in training, not by names; what was tried under another name is 1, a method of the catalogue as it stands 2.",
    "correctness": "check that parts and slots fit together and fit the model and task, and that the mechanism answers what "
    "the facts of the data show; what cannot run or works against the objective is 1.",
    "testability": "check that the hypothesis could be refuted by the simulation, names an effect, and that few things change "
    "at one time.",
}
OWN_STEPS = (
    "say what this criterion asks of a strategy for this request; judge each proposal by its mechanism alone; "
    "where nothing speaks for or against it, 3."
)
_LINE = re.compile(r"^\W*P(?P<proposal>\d{1,3})\W+D(?P<dimension>\d{1,2})\W+(?P<score>[1-5])\b", re.MULTILINE)
Scores = dict[tuple[int, int], float]
"""By proposal and dimension, as they were shown, from 1 to 5."""


@dataclass(frozen=True)
class _Form:
    """The order in which this reviewer sees the proposals, and its dimensions."""

    proposals: tuple[tuple[int, Idea], ...]
    """Numbers in the input, in the order shown."""
    dimensions: tuple[str, ...]

    @property
    def pairs(self) -> int:
        return len(self.proposals) * len(self.dimensions)

    def grades(self, scores: Mapping[tuple[int, int], float]) -> Iterator[Grade]:
        for (shown, dimension), score in sorted(scores.items()):
            yield Grade(
                proposal=self.proposals[shown - 1][0],
                dimension=self.dimensions[dimension - 1],
                score=round((score - 1) / 4, 6),
                reason=f"{score:.2f} of 5",
            )


def review(asked: ReviewInput, model: Model) -> ReviewOutput:
    """Grades in [0, 1]. What cannot be read is left out, never counted as zero. Raises ModelError."""
    if not asked.proposals or not asked.criteria:
        return ReviewOutput(grades=())
    form = _form(asked)
    talk = Conversation(
        model,
        context.of_request(asked.spec, asked.facts, asked.spec.model),
        render(
            "review",
            asked=asked,
            proposals=[(place, one) for place, (_, one) in enumerate(form.proposals, 1)],
            dimensions=[(f"D{n}", name, STEPS.get(name, OWN_STEPS)) for n, name in enumerate(form.dimensions, 1)],
        ),
    )
    first = talk.ask(probabilities=True)
    weighted = _weighted(form, first)
    scores, mode = (weighted, "Logprobs") if weighted else (_sampled(form, talk, first), "Samples")
    return ReviewOutput(grades=tuple(form.grades(scores)), mode=mode, usage=talk.usage)


def _form(asked: ReviewInput) -> _Form:
    numbered = list(enumerate(asked.proposals))
    random.Random(f"{asked.seed}/{asked.reviewer}").shuffle(numbered)
    return _Form(tuple(numbered), asked.criteria)


# -- by the model's probabilities -------------------------------------------------------------------------------------
def _weighted(form: _Form, reply: Reply) -> Scores:
    """Empty where the model gave no probabilities for its scores."""
    places = _places(reply.tokens)
    text = "".join(token.text for token in reply.tokens)
    found = {}
    for pair, match in _lines(form, text):
        token = places.get(match.start("score"))
        mean = _mean(token) if token else None
        if mean is not None:
            found[pair] = mean
    return found


def _places(tokens: Sequence[Token]) -> dict[int, Token]:
    """Each character's token, by its place in the whole text."""
    places: dict[int, Token] = {}
    at = 0
    for token in tokens:
        places |= dict.fromkeys(range(at, at + len(token.text)), token)
        at += len(token.text)
    return places


def _mean(token: Token) -> float | None:
    """sum_s p(s) s / sum_s p(s) over the scores among the alternatives (G-Eval, equation 1)."""
    weights = [(SCORES[word.strip()], p) for word, p in token.alternatives if word.strip() in SCORES]
    total = sum(p for _, p in weights)
    return sum(score * p for score, p in weights) / total if total > 0 else None


# -- by samples -------------------------------------------------------------------------------------------------------
def _sampled(form: _Form, talk: Conversation, first: Reply) -> Scores:
    """The mean over the samples that graded a pair, the first reply among them.

    A sample that cannot be read, or that the budget refuses, is left out.
    """
    samples: list[Scores] = []
    with suppress(Misread):
        samples.append(_read(form, first.text))
    for number in range(1, SAMPLES):
        try:
            samples.append(talk.answer(lambda text: _read(form, text), sample=number))
        except NoAnswer:
            continue
        except ModelError:
            if not samples:
                raise
            break
    pairs = {pair for one in samples for pair in one}
    return {pair: fmean(one[pair] for one in samples if pair in one) for pair in pairs}


def _read(form: _Form, text: str) -> Scores:
    scores = {pair: float(match["score"]) for pair, match in _lines(form, text)}
    if len(scores) < form.pairs / 2:
        raise Misread(f"{len(scores)} of {form.pairs} grades could be read. One line each, such as: P1 D1 3")
    return scores


def _lines(form: _Form, text: str) -> Iterator[tuple[tuple[int, int], re.Match[str]]]:
    for match in _LINE.finditer(text):
        pair = int(match["proposal"]), int(match["dimension"])
        if 1 <= pair[0] <= len(form.proposals) and 1 <= pair[1] <= len(form.dimensions):
            yield pair, match
