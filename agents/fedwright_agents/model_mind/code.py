"""The coder: a candidate's files, written by a model against the algorithm interface."""

from collections.abc import Mapping

from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.conversation import Conversation, NoAnswer
from fedwright_agents.model_mind.model import Model
from fedwright_agents.model_mind.prompts import render
from fedwright_agents.model_mind.reading import Misread, read_files
from fedwright_crds.documents import CandidateCode, CodeInput, CodeOutput
from fedwright_federation.candidates import static

MOST_TOLD = 6


def code(asked: CodeInput, model: Model) -> CodeOutput:
    """The files, or why there are none. Raises ModelError."""
    talk = Conversation(model, context.of_code(asked), render("code", asked=asked))
    try:
        files = talk.answer(_read)
    except NoAnswer as failure:
        return CodeOutput(cannot=str(failure), usage=talk.usage)
    return CodeOutput(code=CandidateCode(files=files), usage=talk.usage)


def _read(text: str) -> dict[str, str]:
    files = read_files(text)
    require_clean(files)
    return files


def require_clean(files: Mapping[str, str]) -> None:
    """What static checks refuse is told at once: no box need run for it. Raises Misread."""
    broken = static.check(CandidateCode(files=dict(files)))
    if broken:
        told = [
            f"{one.file or 'all files'}{f', line {one.line}' if one.line else ''}: {one.check}: {one.message}"
            for one in broken
        ]
        raise Misread("Static checks refuse it:\n" + "\n".join(told[:MOST_TOLD]))
