"""The coder: a candidate's files, written by a model against the algorithm interface where it has parts of its own."""

from collections.abc import Mapping, Sequence

from fedwright_agents.catalogue_mind import code as by_catalogue
from fedwright_agents.model_mind import context
from fedwright_agents.model_mind.conversation import Conversation, NoAnswer
from fedwright_agents.model_mind.ideas import own_parts
from fedwright_agents.model_mind.model import Model
from fedwright_agents.model_mind.prompts import render
from fedwright_agents.model_mind.reading import Misread, apply_edits, deviation, read_files
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
    modules = Modules(parent.code.files if parent else {})
    try:
        output = talk.answer(modules.read)
    except NoAnswer as failure:
        output = CodeOutput(cannot=str(failure))
    return output.model_copy(update={"usage": talk.usage})


class Modules:
    """A candidate's files over the answers of one conversation, which may be edits of the parent's: once, those that are wrong are
    asked for alone."""

    def __init__(self, parent: Mapping[str, str]) -> None:
        self._parent = parent
        self._kept: dict[str, str] = {}
        self._deviation = ""

    def read(self, text: str) -> CodeOutput:
        """With all files. Raises Misread, with the modules to write again."""
        edited = bool(self._parent) and not self._kept
        files = apply_edits(text, self._parent) if edited else {**self._kept, **read_files(text)}
        broken = _broken(files)
        self._deviation = deviation(text) or self._deviation
        if not broken:
            return CodeOutput(code=CandidateCode(files=files), deviation=self._deviation)
        wrong = {one.file for one in broken}
        whole = bool(self._kept) or not wrong < files.keys()
        self._kept = {} if whole else {name: source for name, source in files.items() if name not in wrong}
        if whole:
            raise Misread(_told(broken))
        raise Misread(_told(broken), f"Answer with {', '.join(sorted(wrong))} alone, whole; the other files are kept.")


def require_clean(files: Mapping[str, str]) -> None:
    """What static checks refuse is told at once: no box need run for it. Raises Misread."""
    if broken := _broken(files):
        raise Misread(_told(broken))


def _broken(files: Mapping[str, str]) -> Sequence[CheckFailure]:
    return static.check(CandidateCode(files=dict(files)))


def _told(broken: Sequence[CheckFailure]) -> str:
    lines = [
        f"{one.file or 'all files'}{f', line {one.line}' if one.line else ''}: {one.check}: {one.message}"
        for one in broken
    ]
    return "Static checks refuse it:\n" + "\n".join(lines[:MOST_TOLD])
