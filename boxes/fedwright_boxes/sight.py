"""What cells in a container may read and execute, as paths for Landlock. Knows what is installed, and no system call.

Generated code sees the same allow-list as behind bubblewrap. Trusted code sees the whole image, for a judge's image may
hold a data set wherever it likes, but nothing that the pod brings in: neither its volumes nor /proc.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

from fedwright_boxes import installed
from fedwright_boxes.bubblewrap import DEVICES, FOR_THE_NETWORK
from fedwright_boxes.profiles import Profile
from fedwright_boxes.protocol import Sight

_OF_THE_POD = {"box", "dev", "fedwright", "proc", "run", "sys"}
_LIBRARY_CACHE = Path("/etc/ld.so.cache")


def of(profile: Profile, abi: int) -> Sight:
    """Only what is there is named: a rule needs a file."""
    devices = [Path("/dev", name) for name in DEVICES]
    if not profile.hostile:
        image = [path for path in Path("/").iterdir() if path.name not in _OF_THE_POD]
        own = [*profile.code, *profile.binds]
        return Sight(abi, _there([*image, *devices, *own]), _there(image))
    packages = [folder for name in profile.packages if (folder := installed.package_folder(name))]
    read = itertools.chain(
        _standard_library(),
        _distributions(profile),
        installed.libraries(),
        map(Path, FOR_THE_NETWORK if profile.network else ()),
        (*packages, *devices, *profile.code, *profile.binds, _LIBRARY_CACHE),
    )
    listed = [installed.standard_library(), installed.site_packages(), *(folder.parent for folder in packages)]
    loaders = [path for path in installed.libraries() if path.name.startswith("ld-")]
    return Sight(abi, _there(read), _there([Path(installed.interpreter()), *loaders]), _there(listed))


def _standard_library() -> list[Path]:
    return [path for path in installed.standard_library().iterdir() if path.name not in installed.NOT_OF_THE_LIBRARY]


def _distributions(profile: Profile) -> tuple[Path, ...]:
    if profile.distributions is None:
        return (installed.site_packages(),)
    return installed.distribution_files(profile.distributions)


def _there(paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(sorted({str(path.resolve()) for path in paths if path.exists()}))
