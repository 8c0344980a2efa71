"""Programs that build an image and put it where a cluster finds it: the commands as data, and how they are run."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
EPOCH = 1577836800
"""The date of every file and layer, in seconds: equal contents are equal images, whenever they are built."""
_BESIDE = ROOT.parent / "shared" / "devcluster" / "devcluster"


class BuildError(Exception):
    """A builder that is missing or that failed."""


@dataclass(frozen=True)
class Builder:
    """One way to build. `{reference}`, `{dockerfile}` and `{root}` stand for the image's."""

    build: tuple[str, ...]
    """The build arguments are added to it."""
    identify: tuple[str, ...]
    """Prints the id of the built image: the digest of its configuration, which names its layers."""
    load: tuple[str, ...] = ()
    """Afterwards, where `build` does not do it already."""


_DOCKER = Builder(
    build=(
        *("docker", "build", "--quiet", "--tag", "{reference}", "--file", "{dockerfile}"),
        *("--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "{root}"),
    ),
    identify=("docker", "image", "inspect", "--format", "{{.Id}}", "{reference}"),
)


def builders() -> dict[str, Builder]:
    """Those that there are, by name."""
    devcluster = os.environ.get("DEVCLUSTER", str(_BESIDE))
    return {
        "docker": _DOCKER,
        "kind": Builder(_DOCKER.build, _DOCKER.identify, load=("kind", "load", "docker-image", "{reference}")),
        "devcluster": Builder(
            build=(
                *(devcluster, "build", "{root}", "{reference}", "--file", "{dockerfile}"),
                *("--format", "docker", "--timestamp", str(EPOCH)),
            ),
            identify=("buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", "{reference}"),
        ),
    }


def at_hand() -> str:
    """The builder to take where none is named: devcluster where it is there, kind where it is installed, else docker."""
    if shutil.which(builders()["devcluster"].build[0]):
        return "devcluster"
    return "kind" if shutil.which("kind") else "docker"


def build(builder: Builder, name: str, reference: str, arguments: Sequence[str] = ()) -> str:
    """Build one image; its id, as `sha256:...`. Raises BuildError with what the builder said."""
    facts = {"{reference}": reference, "{dockerfile}": str(ROOT / "images" / name / "Dockerfile"), "{root}": str(ROOT)}
    given = [word for argument in arguments for word in ("--build-arg", argument)]
    _run([*_filled(builder.build, facts), *given])
    if builder.load:
        _run(_filled(builder.load, facts))
    return f"sha256:{_run(_filled(builder.identify, facts)).strip().removeprefix('sha256:')}"


def _filled(command: Sequence[str], facts: Mapping[str, str]) -> list[str]:
    return [facts.get(word, word) for word in command]


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]}: is not there; install it or name another with --builder") from error
    if done.returncode:
        raise BuildError(f"{' '.join(command)}: ended with {done.returncode}\n{(done.stderr or done.stdout)[-4000:]}")
    return done.stdout
