"""The planner: what holds for the request, and which strategies to try beside tuned FedAvg and the best of the catalogue.

Baselines are no model's choice. What goal and fields leave in doubt by the catalogue's own reading is asked first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fedwright_agents.catalogue_mind import plan as by_catalogue
from fedwright_agents.catalogue_mind.doubts import Doubts, doubts
from fedwright_agents.catalogue_mind.variants import Situation
from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.conversation import Conversation, NoAnswer
from fedwright_agents.model_mind.drafts import DraftPlan
from fedwright_agents.model_mind.ideas import cited, fresh, idea_of
from fedwright_agents.model_mind.model import Model
from fedwright_agents.model_mind.prompts import render
from fedwright_agents.model_mind.reading import Misread, read_json
from fedwright_agents.model_mind.tools import PlannersTools
from fedwright_agents.model_mind.web import Web
from fedwright_crds.documents import Idea, Plan, PlanInput, PlanOutput, Subtask
from fedwright_crds.request import Question
from fedwright_crds.task import ModelSpec
from fedwright_federation.catalogue import catalogue

MOST_ANSWERS = 6
"""With so many answers of a person the planner asks nothing more."""


@dataclass(frozen=True)
class _Asked:
    """One request, and what of the plan is settled before the model is asked."""

    given: PlanInput
    doubt: Doubts

    def situation(self, model: ModelSpec) -> Situation:
        return Situation(catalogue(), self.given.facts, self.given.spec, model)

    def settled(self, model: ModelSpec) -> tuple[list[Idea], list[Idea]]:
        """Baselines, and the candidates that the request itself names."""
        at = self.situation(model)
        legal = by_catalogue.legal_matches(at, self.doubt)
        return by_catalogue.baselines(at, legal), by_catalogue.named(at, self.doubt)

    @property
    def may_ask(self) -> bool:
        return len(self.given.answers) < MOST_ANSWERS


def plan(given: PlanInput, model: Model, web: Web | None = None) -> PlanOutput:
    """Questions or a plan. Raises NoAnswer and ModelError."""
    spec, facts = given.spec, given.facts
    asked = _Asked(given, doubts(catalogue(), spec, given.answers))
    if asked.doubt.questions:
        return PlanOutput(questions=asked.doubt.questions)
    expected = spec.model or by_catalogue.choose_model(spec, facts)
    baselines, _ = asked.settled(expected)
    tools = PlannersTools(asked.situation(expected), web)
    task = render(
        "plan",
        **context.of_tuning(spec),
        spec=spec,
        criteria=(*by_catalogue.CRITERIA, *spec.review.criteria),
        answers=given.answers,
        baselines=[one.title for one in baselines],
        model=spec.model,
        may_ask=asked.may_ask,
        tools=tools.declarations(),
        web=web is not None,
    )
    talk = Conversation(model, context.of_request(spec, facts, spec.model), task, tools)
    output = talk.answer(lambda text: _read(asked, text, talk.looked_up))
    return output.model_copy(update={"usage": talk.usage})


def _read(asked: _Asked, text: str, looked_up: str) -> PlanOutput:
    draft = read_json(DraftPlan, text)
    if draft.questions and asked.may_ask:
        return PlanOutput(questions=tuple(_question(one.model_dump()) for one in draft.questions))
    return PlanOutput(plan=_plan(asked, draft, looked_up))


def _question(said: dict[str, object]) -> Question:
    """With the default among the options, so that leaving it open is an answer like any other."""
    options = tuple(map(str, said["options"])) if isinstance(said["options"], tuple) else ()
    default = str(said["default"])
    if options and default not in options:
        options = (default, *options)
    return Question(id=str(said["id"]), text=str(said["text"]), options=options, default=default)


def _plan(asked: _Asked, draft: DraftPlan, looked_up: str) -> Plan:
    spec, known = asked.given.spec, catalogue()
    model = spec.model or draft.model or by_catalogue.choose_model(spec, asked.given.facts)
    baselines, named = asked.settled(model)
    wanted = spec.search.plan_candidates
    drafts = [one.model_copy(update={"source": cited(one.source, looked_up)}) for one in draft.candidates]
    ideas = fresh((idea_of(known, one, spec, model) for one in drafts), [*baselines, *named])[:wanted]
    if len(ideas) < min(wanted, 1):
        raise Misread(f"No candidate is left that differs from the baselines. Propose {wanted} others.")
    chosen: Sequence[Idea] = [*baselines, *named, *ideas]
    return Plan(
        summary=draft.summary or "The planner gave no summary.",
        model=model,
        baselines=tuple(baselines),
        candidates=(*named, *ideas),
        criteria=tuple(dict.fromkeys([*by_catalogue.CRITERIA, *spec.review.criteria, *draft.criteria]))[:11],
        subtasks=tuple(Subtask.model_validate(one.model_dump()) for one in draft.subtasks),
        fallback=draft.fallback,
        sources=by_catalogue.sources(known, [*baselines, *named])
        + tuple(dict.fromkeys(one.source for one in drafts if one.source)),
        estimated_rounds=by_catalogue.estimated_rounds(spec, len(chosen)),
    )


__all__ = ["NoAnswer", "plan"]
