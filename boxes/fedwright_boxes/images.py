"""What a box is made of, as one digest, where there is no container image: an upgrade never mixes scores."""

import hashlib
import importlib.metadata
import platform

from fedwright_boxes import installed
from fedwright_boxes.profiles import PROFILES, Profile
from fedwright_crds.base import Digest, canonical, digest_of
from fedwright_crds.work import BoxKind

_ANSWERS_DEPEND_ON = {
    BoxKind.BENCH: ("torch", "numpy"),
    BoxKind.JUDGE: ("numpy", "scikit-learn", "flwr-datasets", "datasets", "mlxtend", "scipy", "dp-accounting"),
    BoxKind.MIND: ("optuna", "litellm", "numpy"),
    BoxKind.PLATFORM: ("flwr", "torch", "numpy"),
}


def image_digests() -> dict[BoxKind, Digest]:
    """Of the source of the packages that each kind of box sees, and the versions of what its answers depend on."""
    return {kind: _digest(profile) for kind, profile in PROFILES.items()}


def _digest(profile: Profile) -> Digest:
    sources = {package: _source(package) for package in profile.packages}
    versions = {name: _version(name) for name in (*_ANSWERS_DEPEND_ON[profile.kind], "pydantic")}
    return digest_of(canonical({"python": platform.python_version(), "sources": sources, "versions": versions}))


def _source(package: str) -> str:
    folder = installed.package_folder(package)
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")) if folder else ():
        if file.is_file() and file.suffix != ".pyc":
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(folder or file)} {content}\n".encode())
    return digest.hexdigest()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
