"""Each image's part of requirements.lock: the lines of its roots and of all that they require.

What requires what is read from the distributions installed here, so it runs where the whole lock is installed.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from images.contents import BUILD_ROOTS, IMAGES, NOT_LOCKED, Image

ROOT = Path(__file__).parent.parent
WHOLE = ROOT / "requirements.lock"
FOLDER = ROOT / "images" / "requirements"
BUILD = "build"


class LockError(Exception):
    """A requirement that the lock cannot meet."""


def locks() -> dict[str, str]:
    """The text of each lock by its name: the images', and `build`, of what makes the project's wheel."""
    whole = read(WHOLE)
    wanted = {**IMAGES, BUILD: Image(packages=(), roots=BUILD_ROOTS)}
    return {name: _text(name, lines(image, whole)) for name, image in wanted.items()}


def stale() -> list[Path]:
    """Files that are not what `write` would make them."""
    return [path for path, text in _files() if not path.is_file() or path.read_text() != text]


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path, text in _files():
        path.write_text(text)


def read(path: Path) -> dict[str, str]:
    """The lines of a lock by canonical name."""
    found = [line.strip() for line in path.read_text().splitlines()]
    return {canonicalize_name(line.split("==")[0]): line for line in found if line and not line.startswith("#")}


def lines(image: Image, whole: Mapping[str, str]) -> list[str]:
    """The lines that an image needs, in the lock's order. Raises LockError for a requirement that is not there."""
    wanted = _closure(image) | set(_names(image.alone))
    missing = sorted(wanted - whole.keys())
    if missing:
        raise LockError(
            f"requirements.lock: has no {', '.join(missing)}; lock them, or name them in images/contents.py"
        )
    return [line for name, line in whole.items() if name in wanted]


def _closure(image: Image) -> set[str]:
    ignored = {*_names(image.without), *NOT_LOCKED}
    waiting = [(name, "") for name in _names(image.roots)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        one = waiting.pop()
        if one not in seen and one[0] not in ignored:
            seen.add(one)
            waiting += _required(*one)
    return {name for name, _ in seen}


def _required(name: str, extra: str) -> list[tuple[str, str]]:
    """What a distribution requires here, under one of its extras or none (""): names, each with every extra asked of it."""
    wanted = [Requirement(text) for text in requires(name) or ()]
    here = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": extra})]
    return [(canonicalize_name(one.name), asked) for one in here for asked in ("", *sorted(one.extras))]


def _names(names: Iterable[str]) -> list[str]:
    return [canonicalize_name(name) for name in names]


def _files() -> list[tuple[Path, str]]:
    return [(FOLDER / f"{name}.lock", text) for name, text in locks().items()]


def _text(name: str, found: Iterable[str]) -> str:
    return "\n".join([f"# What {name} needs of requirements.lock; made by `python -m images locks`.", *found, ""])
