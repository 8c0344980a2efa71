"""Whether a draft has the parts that were planned, in their slots, read from its source. What else it does is found by its tests."""

import ast
from collections.abc import Iterable, Iterator, Mapping

from fedwright_agents.catalogue_mind.render import TYPES
from fedwright_agents.model_mind.ideas import own_parts
from fedwright_crds.candidate import Part
from fedwright_crds.documents import CheckFailure

OR_SAY = 'or begin your answer with a line "DEVIATION: " that says what stands there instead, and why'


def unplanned(planned: Iterable[Part], files: Mapping[str, str]) -> Iterator[CheckFailure]:
    """Parts of one's own that fill another slot than was planned, or that nothing in these files, which parse, can be."""
    classes = [(file, node) for file, source in files.items() for node in _classes(source)]
    kinds = {kind for _, node in classes for kind in _kinds(node)}
    for part in own_parts(planned):
        wanted = TYPES[part.slot]
        named = [(file, node) for file, node in classes if node.name == part.name]
        for file, node in named:
            if (found := _kinds(node)) and wanted not in found:
                told = f"{part.name} is planned as {part.slot}, a {wanted}, and written as a {', '.join(found)}; mend it, {OR_SAY}"
                yield CheckFailure(check="Plan", file=file, line=node.lineno, message=told)
        if not named and wanted not in kinds:
            told = f"nothing is the planned {part.name}; write class {part.name}({wanted}), {OR_SAY}"
            yield CheckFailure(check="Plan", message=told)


def _classes(source: str) -> list[ast.ClassDef]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def _kinds(node: ast.ClassDef) -> list[str]:
    """Slots' types among the bases."""
    names = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    return [name for name in names if name in TYPES.values()]
