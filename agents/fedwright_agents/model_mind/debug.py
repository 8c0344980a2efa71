"""The debugger: edits to a draft that failed its tests, by a model that reads the failures."""

import re
from functools import partial

from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.code import require_clean
from fedwright_agents.model_mind.conversation import Conversation, NoAnswer
from fedwright_agents.model_mind.model import Model
from fedwright_agents.model_mind.prompts import render
from fedwright_agents.model_mind.reading import Misread, apply_edits, deviation
from fedwright_crds.documents import CandidateCode, CodeOutput, DebugInput

_CANNOT = re.compile(r"^\s*CANNOT:\s*(?P<reason>.+)", re.DOTALL)


def debug(asked: DebugInput, model: Model) -> CodeOutput:
    """The next draft, or why it cannot be mended. Raises ModelError."""
    if not asked.report.failures:
        return CodeOutput(cannot="the report names no failure to mend")
    task = render("debug", asked=asked, repeated=_repeated(asked))
    talk = Conversation(model, context.of_code(asked.code_input), task)
    try:
        output = talk.answer(partial(_read, asked))
    except NoAnswer as failure:
        output = CodeOutput(cannot=str(failure))
    return output.model_copy(update={"usage": talk.usage})


def _repeated(asked: DebugInput) -> bool:
    first = asked.report.failures[0]
    return any(one.check == first.check and one.message == first.message for one in asked.earlier)


def _read(asked: DebugInput, text: str) -> CodeOutput:
    said = _CANNOT.match(text)
    if said:
        return CodeOutput(cannot=said["reason"].strip()[:8000])
    files = apply_edits(text, asked.code.files)
    if files == asked.code.files:
        raise Misread("The edits change nothing.")
    code = CandidateCode(files=files)
    require_clean(code)
    return CodeOutput(code=code, deviation=deviation(text))
