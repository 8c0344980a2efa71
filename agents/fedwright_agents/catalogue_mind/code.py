"""The coder: code of a candidate out of the catalogue's parts, with the papers cited and tests of its own."""

from fedwright_agents.catalogue_mind.ideas import NoSuchIdeaError, composition_of, label
from fedwright_agents.catalogue_mind.render import render
from fedwright_crds.candidate import Range
from fedwright_crds.documents import CodeInput, CodeOutput
from fedwright_federation.catalogue import Catalogue, Composition, catalogue


def code(asked: CodeInput) -> CodeOutput:
    """The candidate's files, or why the catalogue cannot write it."""
    known = catalogue()
    wanted = {one.name for one in asked.hyperparameters} | asked.fixed.keys()
    try:
        composition = composition_of(known, asked.method, asked.parts, wanted)
    except NoSuchIdeaError as error:
        return CodeOutput(cannot=str(error))
    return write(known, composition, asked)


def write(known: Catalogue, composition: Composition, asked: CodeInput) -> CodeOutput:
    """Code of this composition for this candidate, or the rule that forbids it."""
    unit = str(asked.privacy.unit) if asked.privacy else None
    fatal = [one for one in composition.objections(asked.model, unit, len(asked.task.heads)) if one.fatal]
    if fatal:
        return CodeOutput(cannot=f"[{fatal[0].rule}] {fatal[0].reason}")
    name = label(known, asked.method, asked.parts)
    return CodeOutput(code=render(composition, _ranges(composition, asked), name, asked.title, _text(known, asked)))


def _ranges(composition: Composition, asked: CodeInput) -> list[Range]:
    """The composition's hyperparameters, with the candidate's own defaults and fixed values."""
    own = {one.name: one.default for one in asked.hyperparameters} | asked.fixed
    return [one.model_copy(update={"default": own.get(one.name, one.default)}) for one in composition.ranges]


def _text(known: Catalogue, asked: CodeInput) -> str:
    method = known.method(asked.method)
    changed = [
        f"With {part.name} as {part.slot}: {part.reason or known.part(part.name).purpose}" for part in asked.parts
    ]
    paragraphs = [asked.hypothesis, method.purpose, *changed, f"Source: {method.paper.citation}"]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
