"""The reflector: what the outcomes say, and strategies that were not tried yet, each with its hypothesis."""

from functools import partial

from fedwright_agents.catalogue_mind.evidence import gather
from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.conversation import Conversation, NoAnswer
from fedwright_agents.model_mind.drafts import DraftIdea, DraftReflection
from fedwright_agents.model_mind.ideas import cited, fresh, idea_of, same
from fedwright_agents.model_mind.model import Model
from fedwright_agents.model_mind.prompts import render
from fedwright_agents.model_mind.reading import Misread, read_json
from fedwright_crds.candidate import CandidatePhase
from fedwright_crds.documents import CandidateOutcome, Idea, ReflectInput, ReflectOutput
from fedwright_federation.catalogue import catalogue


def reflect(asked: ReflectInput, model: Model) -> ReflectOutput:
    """A critique and as many new proposals as asked for, or as there are. Raises ModelError."""
    talk = Conversation(
        model,
        context.of_request(asked.spec, asked.facts, asked.plan.model),
        render(
            "reflect",
            **context.of_tuning(asked.spec),
            asked=asked,
            within=gather(catalogue(), asked.spec, asked.outcomes).within,
        ),
    )
    try:
        output = talk.answer(partial(_read, asked))
    except NoAnswer as failure:
        output = ReflectOutput(critique=str(failure))
    return output.model_copy(update={"usage": talk.usage})


def _read(asked: ReflectInput, text: str) -> ReflectOutput:
    draft = read_json(DraftReflection, text)
    made, problems = _ideas(asked, draft.proposals)
    proposals = fresh(made, _tried(asked))[: asked.proposals]
    if asked.proposals and not proposals:
        raise Misread(problems or "Everything proposed was tried before. Propose something else.")
    return ReflectOutput(critique=draft.critique, proposals=tuple(proposals))


def _tried(asked: ReflectInput) -> list[Idea | CandidateOutcome]:
    """Without what no run has measured, which may be mended and tried after all."""
    unmeasured = [one for one in asked.outcomes if one.phase == CandidatePhase.REJECTED and not one.trials]
    planned = [one for one in asked.plan.candidates if not any(same(one, other) for other in unmeasured)]
    return [*asked.plan.baselines, *planned, *(one for one in asked.outcomes if one not in unmeasured)]


def _ideas(asked: ReflectInput, drafts: tuple[DraftIdea, ...]) -> tuple[list[Idea], str]:
    """Those that can be made; one bad proposal does not spoil the others."""
    known, names = catalogue(), {one.name for one in asked.outcomes}
    made, problems = [], []
    for draft in drafts:
        try:
            idea = idea_of(known, draft, asked.spec, asked.plan.model)
        except Misread as problem:
            problems.append(str(problem))
            continue
        parent = draft.parent if draft.parent in names else None
        made.append(idea.model_copy(update={"parent": parent, "source": cited(idea.source)}))
    return made, " ".join(problems)
