"""`python -m images build`: build the images and write what was built as values of the chart; `python -m images locks`."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from images import locks
from images.builders import BuildError, at_hand, build, builders
from images.contents import IMAGES

BUILT = locks.ROOT / "images" / "built.yaml"


def main() -> int:
    chosen = _parser().parse_args()
    try:
        return _locks(chosen.check) if chosen.command == "locks" else _build(chosen)
    except (BuildError, locks.LockError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checked = commands.add_parser("locks", help="derive each image's lock from requirements.lock")
    checked.add_argument("--check", action="store_true", help="write nothing; exit 1 if one is not what it should be")
    made = commands.add_parser("build", help="build images and load them where the builder's cluster finds them")
    made.add_argument("--builder", choices=[*builders()], default=at_hand(), help="default here: %(default)s")
    made.add_argument("--only", choices=[*IMAGES], action="append", help="this image; may be said again")
    made.add_argument("--repository", default="docker.io/fedwright", help="what goes before an image's name")
    made.add_argument("--tag", default="dev", help="a tag other than `latest`, so that nodes do not pull it again")
    made.add_argument(
        "--build-arg",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="for example PIP_EXTRA_INDEX_URL=<an index of CPU wheels of torch>, or BASE=<another Python 3.11>",
    )
    made.add_argument("--out", type=Path, default=BUILT, help="where the chart's values go; default %(default)s")
    return parser


def _locks(check: bool) -> int:
    if not check:
        locks.write()
        return 0
    for path in locks.stale():
        print(f"{path}: is not what the lock says; run `python -m images locks`", file=sys.stderr)
    return 1 if locks.stale() else 0


def _build(chosen: argparse.Namespace) -> int:
    """After each image the file is written, so that it tells the truth when a later one fails."""
    for name in chosen.only or IMAGES:
        began, repository = time.monotonic(), f"{chosen.repository}/{name}"
        digest = build(builders()[chosen.builder], name, f"{repository}:{chosen.tag}", chosen.build_arg)
        _note(chosen.out, name, {"repository": repository, "tag": chosen.tag, "digest": digest})
        print(f"{repository}:{chosen.tag} {digest} in {time.monotonic() - began:.0f} s", flush=True)
    return 0


def _note(path: Path, name: str, built: dict[str, str]) -> None:
    """The other images stay as they were built before."""
    said: Any = yaml.safe_load(path.read_text()) if path.is_file() else None
    known = (said or {}).get("images", {})
    path.write_text(yaml.safe_dump({"images": {**known, name: built}}, sort_keys=True))


if __name__ == "__main__":
    sys.exit(main())
