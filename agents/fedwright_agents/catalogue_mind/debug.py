"""The debugger: mends faults of known kinds in a draft's source, one at a time, and says `cannot` to all others.

A mend is a function from (draft, failure) to files, or None where it does not apply. A draft that a mend left unparsable, or
that was there before, is no mend. Nothing is executed.
"""

import ast
from collections.abc import Callable, Mapping

from fedwright_agents.catalogue_mind.code import write
from fedwright_agents.catalogue_mind.ideas import NoSuchIdeaError, composition_of
from fedwright_agents.catalogue_mind.imports import drop_import, fix_member, import_name, rename_close
from fedwright_agents.catalogue_mind.slips import mend_syntax
from fedwright_crds.documents import CandidateCode, CheckFailure, CodeOutput, DebugInput
from fedwright_federation.catalogue import Composition, PartsClashError, catalogue, compose

Files = Mapping[str, str]
Mend = Callable[[Files, CheckFailure], Files | None]


def debug(asked: DebugInput) -> CodeOutput:
    """The next draft, or why there is none."""
    if not asked.report.failures:
        return CodeOutput(cannot="the report names no failure to mend")
    first = asked.report.failures[0]
    if first.check == "Legality":
        return _without_offender(asked, first)
    for mend in MENDS.get(first.check, ()):
        files = mend(asked.code.files, first)
        if files is not None and files != asked.code.files and _parses(files, first.file):
            return CodeOutput(code=CandidateCode(files=dict(files)))
    return CodeOutput(cannot=_why(asked, first))


MENDS: dict[str, tuple[Mend, ...]] = {
    "Syntax": (mend_syntax,),
    "Import": (fix_member, import_name, rename_close),
    "ForbiddenImport": (drop_import,),
    "Build": (import_name, rename_close, fix_member),
    "OwnTests": (import_name, rename_close, fix_member),
    "Simulation": (import_name, rename_close, fix_member),
}


def _parses(files: Files, file: str) -> bool:
    try:
        ast.parse(files.get(file, ""))
    except SyntaxError:
        return False
    return True


def _why(asked: DebugInput, first: CheckFailure) -> str:
    again = sum(other.check == first.check and other.message == first.message for other in asked.earlier)
    place = f" in {first.file}{f', line {first.line}' if first.line else ''}" if first.file else ""
    repeated = f" (for the {again + 1}. time)" if again else ""
    return f"the catalogue knows no mend for {first.check}{place}{repeated}: {first.message}"[:8000]


# -- illegal compositions ---------------------------------------------------------------------------------------------
def _without_offender(asked: DebugInput, first: CheckFailure) -> CodeOutput:
    """The candidate written anew without the added part, or the method's own part, that breaks a rule."""
    known, order = catalogue(), asked.code_input
    try:
        wanted = {one.name for one in order.hyperparameters} | order.fixed.keys()
        composition = composition_of(known, order.method, order.parts, wanted)
    except (NoSuchIdeaError, PartsClashError) as error:
        return CodeOutput(cannot=f"{first.message}; and {error}")
    legal = _legal_without(composition, [part.name for part in order.parts], asked)
    if legal is None:
        return CodeOutput(cannot=f"no single part can be dropped to make it legal: {first.message}"[:8000])
    return write(known, legal, order)


def _legal_without(composition: Composition, added: list[str], asked: DebugInput) -> Composition | None:
    """The composition less one part, an added one before a method's own; None if none will do."""
    order = asked.code_input
    unit = str(order.privacy.unit) if order.privacy else None
    if composition.legal(order.model, unit, len(order.task.heads)):
        return None
    for name in [*reversed(added), *reversed(composition.parts)]:
        rest = compose(composition.catalogue, [part for part in composition.parts if part != name])
        if rest.legal(order.model, unit, len(order.task.heads)) and _whole(rest):
            return rest
    return None


def _whole(composition: Composition) -> bool:
    """Whether something is left beside plain FedAvg."""
    return any(not part.neutral for part in composition.entries)
