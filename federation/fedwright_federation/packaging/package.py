"""The program that makes the winner's Flower app: /box/in/package.json and /box/in/code.json -> /box/out/app.zip.

The candidate's code is copied as text and never imported. Equal inputs give equal bytes.
"""

import io
import sys
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files

from fedwright_crds.base import canonical
from fedwright_crds.box import Box
from fedwright_crds.documents import CandidateCode, PackageInput
from fedwright_federation.packaging.files import write_whole

APP = "fedwright_app"
CANDIDATE = "candidate"
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0.0"
description = "{title}"
license = "Apache-2.0"
requires-python = ">=3.11"
dependencies = ["flwr>={flower}", "fedwright[federation]"]

[tool.hatch.build.targets.wheel]
packages = ["{app}", "{candidate}"]

[tool.flwr.app]
publisher = "fedwright"

[tool.flwr.app.components]
serverapp = "{app}.server_app:app"
clientapp = "{app}.client_app:app"

[tool.flwr.app.config]
job = "{name}"
rounds = {rounds}
clients = {clients}
out-dir = ""
round-seconds = 0.0
give-up-seconds = 1800.0
"""
README = """\
# {title}

A federated strategy as a Flower app, made for the request `{request}`. The strategy itself is `candidate/`; around it,
`fedwright_app/` has `client_app.py` and `server_app.py`, `data.py` (how a node loads its own data), `privacy.py`, `logs.py`
and `settings.json` (task, model, hyperparameters). Nodes are told where their data are by their node config:
`partition-id`, `data-path` (an .npz with x and y) or `data-entry-point`, and `state-dir`.
"""


def main(argv: Sequence[str] | None = None) -> int:
    del argv
    box = Box.here()
    settings = PackageInput.model_validate_json(box.input("package.json").read_bytes())
    code = CandidateCode.model_validate_json(box.input("code.json").read_bytes())
    write_whole(box.output("app.zip"), zipped(app_files(settings, code)))
    return 0


def app_files(settings: PackageInput, code: CandidateCode) -> dict[str, bytes]:
    """The app's files by path."""
    facts = {
        "name": project_name(settings.name),
        "title": _plain(settings.title),
        "request": settings.request,
        "rounds": settings.rounds,
        "clients": settings.task.clients,
        "flower": version("flwr"),
        "app": APP,
        "candidate": CANDIDATE,
    }
    own = files(f"fedwright_federation.packaging.{APP}")
    found = {
        "pyproject.toml": PROJECT.format(**facts).encode(),
        "README.md": README.format(**facts).encode(),
        f"{APP}/settings.json": canonical(settings.to_wire()),
        f"{CANDIDATE}/__init__.py": b"",
    }
    found |= {f"{APP}/{one.name}": one.read_bytes() for one in own.iterdir() if one.name.endswith(".py")}
    return found | {f"{CANDIDATE}/{name}": text.encode() for name, text in code.files.items()}


def project_name(name: str) -> str:
    """A name that Flower takes: at most 32 of letters, digits and dashes."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)[:32].strip("-") or "app"


def zipped(contents: Mapping[str, bytes]) -> bytes:
    """In one order, with one date, so that the same files are the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(contents):
            entry = zipfile.ZipInfo(path, ZIP_DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, contents[path], zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def _plain(title: str) -> str:
    """Fit for a TOML string."""
    return "".join(letter for letter in title if letter.isprintable() and letter not in '"\\')


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
