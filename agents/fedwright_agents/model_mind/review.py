"""A reviewer: grades of all proposals in all dimensions, weighted by the model's own probabilities where it gives them.

After G-Eval (Liu et al. 2023, section 2): evaluation steps are fixed, and a score is the mean of the possible scores under
the model's probabilities. Where a model gives none, the mean of several samples takes their place. Authors are not named,
and each reviewer, in each of its samples, sees the proposals in another order.
"""

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from fedwright_agents.catalogue_mind.evidence import gather
from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.conversation import Conversation, NoAnswer
from fedwright_agents.model_mind.model import Model, ModelError, Reply, Token
from fedwright_agents.model_mind.prompts import render
from fedwright_agents.model_mind.reading import Misread
from fedwright_crds.documents import Grade, ReviewInput, ReviewOutput, Usage
from fedwright_federation.catalogue import catalogue

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
_LINE = re.compile(r"^\W*S(?P<proposal>\d{1,3})\W+D(?P<dimension>\d{1,2})\W+(?P<score>[1-5])\b", re.MULTILINE)
Scores = dict[tuple[int, str], float]
"""By the proposal's number in the input and the dimension, from 1 to 5."""


@dataclass(frozen=True)
class _Look:
    """One sample of a reviewer: the proposals in an order of its own, and the conversation about them."""

    order: tuple[int, ...]
    """Numbers of the proposals in the input, as they are shown."""
    dimensions: tuple[str, ...]
    talk: Conversation

    @property
    def pairs(self) -> int:
        return len(self.order) * len(self.dimensions)

    def lines(self, text: str) -> Iterator[tuple[tuple[int, str], re.Match[str]]]:
        """Grades in an answer, and where they stand in it."""
        for match in _LINE.finditer(text):
            shown, dimension = int(match["proposal"]), int(match["dimension"])
            if 1 <= shown <= len(self.order) and 1 <= dimension <= len(self.dimensions):
                yield (self.order[shown - 1], self.dimensions[dimension - 1]), match


def review(asked: ReviewInput, model: Model) -> ReviewOutput:
    """Grades in [0, 1]. What cannot be read is left out, never counted as zero. Raises ModelError."""
    if not asked.proposals or not asked.criteria:
        return ReviewOutput(grades=())
    looks = _looks(asked, model)
    first = looks[0].talk.ask(probabilities=True)
    weighted = _weighted(looks[0], first)
    scores, mode = (weighted, "Logprobs") if weighted else (_sampled(looks, first), "Samples")
    used = [look.talk.usage for look in looks]
    usage = Usage(tokens=sum(one.tokens for one in used), calls=sum(one.calls for one in used))
    return ReviewOutput(grades=tuple(_grades(scores)), mode=mode, usage=usage)


def _looks(asked: ReviewInput, model: Model) -> list[_Look]:
    """As many as samples may be needed; what all of them show is made once."""
    shared = context.of_request(asked.spec, asked.facts, asked.spec.model)
    within = gather(catalogue(), asked.spec, asked.outcomes).within
    dimensions = [(f"D{n}", name, STEPS.get(name, OWN_STEPS)) for n, name in enumerate(asked.criteria, 1)]
    looks = []
    for number in range(SAMPLES):
        order = list(range(len(asked.proposals)))
        random.Random(f"{asked.seed}/{asked.reviewer}/{number}").shuffle(order)
        proposals = [(place, asked.proposals[at]) for place, at in enumerate(order, 1)]
        task = render("review", asked=asked, within=within, proposals=proposals, dimensions=dimensions)
        looks.append(_Look(tuple(order), asked.criteria, Conversation(model, shared, task)))
    return looks


def _grades(scores: Scores) -> Iterator[Grade]:
    for (proposal, dimension), score in sorted(scores.items()):
        reason = f"{score:.2f} of 5"
        yield Grade(proposal=proposal, dimension=dimension, score=round((score - 1) / 4, 6), reason=reason)


# -- by the model's probabilities -------------------------------------------------------------------------------------
def _weighted(look: _Look, reply: Reply) -> Scores:
    """Empty where the model gave no probabilities for its scores."""
    places = _places(reply.tokens)
    text = "".join(token.text for token in reply.tokens)
    found = {}
    for pair, match in look.lines(text):
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
def _sampled(looks: Sequence[_Look], first: Reply) -> Scores:
    """The mean over the samples that graded a pair, the first reply among them.

    A sample that cannot be read, or that the budget refuses, is left out.
    """
    samples: list[Scores] = []
    with suppress(Misread):
        samples.append(_read(looks[0], first.text))
    for number, look in enumerate(looks[1:], 1):
        try:
            samples.append(look.talk.answer(partial(_read, look), sample=number))
        except NoAnswer:
            continue
        except ModelError:
            if not samples:
                raise
            break
    pairs = {pair for one in samples for pair in one}
    return {pair: fmean(one[pair] for one in samples if pair in one) for pair in pairs}


def _read(look: _Look, text: str) -> Scores:
    scores = {pair: float(match["score"]) for pair, match in look.lines(text)}
    if len(scores) < look.pairs / 2:
        raise Misread(f"{len(scores)} of {look.pairs} grades could be read. One line each, such as: S1 D1 3")
    return scores
