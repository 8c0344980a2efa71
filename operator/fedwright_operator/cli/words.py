"""A request in words: what its plan says, what it asks of a person, and the command that goes on. Pure."""

from collections.abc import Sequence

from fedwright_crds.candidate import Range
from fedwright_crds.documents import Idea, Plan, Subtask
from fedwright_crds.request import FLStrategyRequest, RequestPhase


def plan_in_words(plan: Plan) -> list[str]:
    """What a person approves."""
    model = plan.model
    width = f", hidden {'x'.join(map(str, model.hidden))}" if model.hidden else ""
    lines = [plan.summary, f"Model: {model.architecture}{width}{', batch norm' if model.batch_norm else ''}"]
    lines += _ideas("Baselines, tuned like the candidates:", plan.baselines)
    lines += _ideas("First candidates:", plan.candidates)
    if plan.criteria:
        lines.append(f"Criteria of the review: {', '.join(plan.criteria)}")
    if plan.estimated_rounds:
        lines.append(f"Expected: about {plan.estimated_rounds} simulated rounds")
    if plan.fallback:
        lines.append(f"If nothing is better: {plan.fallback}")
    if plan.subtasks:
        lines += ["Roadmap:", *map(_subtask, plan.subtasks)]
    return lines


def _ideas(heading: str, ideas: Sequence[Idea]) -> list[str]:
    return [heading, *(line for one in ideas for line in _idea(one))] if ideas else []


def _idea(one: Idea) -> list[str]:
    """With the reasons of its parts, what is tried of its hyperparameters, and where it comes from."""
    lines = [f"  - {one.title} ({_parts(one)}): {one.hypothesis}"]
    lines += [f"    {part.name}: {part.reason}" for part in one.parts if part.reason]
    tried = [f"{name} {value:g}" for name, value in one.fixed.items()] + list(map(_range, one.hyperparameters))
    if tried:
        lines.append(f"    Values: {', '.join(tried)}")
    if one.source:
        lines.append(f"    Source: {one.source}")
    return lines


def _range(one: Range) -> str:
    """The default, then where it is searched."""
    values = " ".join(f"{value:g}" for value in one.grid)
    bounds = f"{one.low:g} to {one.high:g}" if one.low is not None and one.high is not None else ""
    searched = values or bounds
    return f"{one.name} {one.default:g}{f' ({searched})' if searched else ''}"


def _subtask(one: Subtask) -> str:
    between = f" [{one.interface}]" if one.interface else ""
    return f"  - {one.name}: {one.goal}{between}{f'; holds when: {one.validation}' if one.validation else ''}"


def _parts(idea: Idea) -> str:
    changed = ", ".join(f"{part.slot}: {part.name}" for part in idea.parts)
    return f"{idea.method}; {changed}" if changed else idea.method


def asked(request: FLStrategyRequest, options: str) -> list[str]:
    """What the request waits for and the commands that go on; `options` are --home and --namespace as they were given."""
    name, status = request.metadata.name, request.status
    go_on = f"fedwright run {name}{options}"
    match status.phase:
        case RequestPhase.AWAITING_ANSWERS:
            questions = [
                f"  {one.id}: {one.text}"
                + (f" [{' | '.join(one.options)}]" if one.options else "")
                + f" (default: {one.default})"
                for one in status.questions
            ]
            given = " ".join(_quoted(f"{one.id}={one.default}") for one in status.questions)
            return [
                "The planner asks:",
                *questions,
                "Answer, then go on:",
                f"  fedwright answer {name} {given}{options}",
                f"  {go_on}",
            ]
        case RequestPhase.AWAITING_APPROVAL:
            return [f"The plan {status.plan} waits for approval.", *_say(name, "approve", options), f"  {go_on}"]
        case RequestPhase.AWAITING_PROMOTION:
            return [
                f"The winner {status.winner} (package {status.package}) waits for its promotion to a federation.",
                *_say(name, "promote", options),
                f"  {go_on}",
            ]
        case _:
            return []


def _say(name: str, verb: str, options: str) -> list[str]:
    return [
        f"{verb.capitalize()} or reject it, then go on:",
        f"  fedwright {verb} {name}{options}",
        f'  fedwright reject {name} --reason "..."{options}',
    ]


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
