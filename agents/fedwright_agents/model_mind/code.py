"""The coder: a candidate's files, written by a model against the algorithm interface where it has parts of its own."""

from collections.abc import Mapping, Sequence

from fedwright_agents.catalogue_mind import code as by_catalogue
from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.conversation import Conversation, NoAnswer
from fedwright_agents.model_mind.ideas import own_parts
from fedwright_agents.model_mind.model import Model
from fedwright_agents.model_mind.planned import unplanned
from fedwright_agents.model_mind.prompts import render
from fedwright_agents.model_mind.reading import Misread, apply_edits, deviation, read_files
from fedwright_crds.candidate import Part
from fedwright_crds.documents import CandidateCode, CheckFailure, CodeInput, CodeOutput
from fedwright_federation.candidates import static

MOST_TOLD = 6


def code(asked: CodeInput, model: Model) -> CodeOutput:
    """The files, or why there are none. What the catalogue's parts alone make is composed from them: no model need write it
    again. Raises ModelError."""
    if not own_parts(asked.parts) and (composed := by_catalogue.code(asked)).code:
        return composed
    parent = asked.parent if asked.parent and own_parts(asked.parent.parts) else None
    talk = Conversation(model, context.of_code(asked), render("code", asked=asked, parent=parent))
    modules = Modules(asked.parts, parent.code.files if parent else {})
    try:
        output = talk.answer(modules.read)
    except NoAnswer as failure:
        output = CodeOutput(cannot=str(failure))
    return output.model_copy(update={"usage": talk.usage})


class Modules:
    """A candidate's files over the answers of one conversation, which may be edits of the parent's: once, those that are wrong are
    asked for alone."""

    def __init__(self, planned: Sequence[Part], parent: Mapping[str, str]) -> None:
        self._planned, self._parent = planned, parent
        self._kept: dict[str, str] = {}
        self._deviation = ""
        self._asked = False

    def read(self, text: str) -> CodeOutput:
        """With all files. Raises Misread, with the modules to write again."""
        edited = bool(self._parent) and not self._kept
        files = apply_edits(text, self._parent) if edited else {**self._kept, **read_files(text)}
        self._deviation = deviation(text) or self._deviation
        code = CandidateCode(files=files)
        broken = self._refused(code)
        if not broken:
            return CodeOutput(code=code, deviation=self._deviation)
        wrong = {one.file for one in broken}
        again = not self._kept and "" not in wrong
        self._kept = {name: source for name, source in files.items() if name not in wrong} if again else {}
        if not self._kept:
            raise Misread(_told(broken))
        raise Misread(_told(broken), f"Answer with {', '.join(sorted(wrong))} alone, whole; the other files are kept.")

    def _refused(self, code: CandidateCode) -> list[CheckFailure]:
        """All that can be told without a box, so that nothing of it costs another turn."""
        broken = [*static.check(code), *static.lacking_tests(code)]
        parses = all(one.check != "Syntax" for one in broken)
        return broken + (self._otherwise(code) if parses and not self._deviation else [])

    def _otherwise(self, code: CandidateCode) -> list[CheckFailure]:
        """What is not as planned: asked about once, then noted for those who judge, since it may be a good strategy all the same."""
        found = list(unplanned(self._planned, code.files))
        if found and self._asked:
            self._deviation = "; ".join(one.message.partition(";")[0] for one in found)[:1024]
            return []
        self._asked = bool(found)
        return found


def require_clean(code: CandidateCode) -> None:
    """What static checks refuse is told at once: no box need run for it. Raises Misread."""
    if broken := static.check(code):
        raise Misread(_told(broken))


def _told(broken: Sequence[CheckFailure]) -> str:
    lines = [
        f"{one.file or 'all files'}{f', line {one.line}' if one.line else ''}: {one.check}: {one.message}"
        for one in broken
    ]
    return "It is refused as it stands:\n" + "\n".join(lines[:MOST_TOLD])
