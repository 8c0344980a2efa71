"""What each kind of box sees and has imported. Data only: how it is shown and enforced is elsewhere.

The bench's is an allow-list, by distribution, of what generated code may need: no package that carries a data set is
in it, and it can name none of the host's files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedwright_crds.work import BoxKind

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS")
BASE_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "PATH": "/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    **dict.fromkeys(_THREADS, "1"),
}
IMPORT_CACHE = "/opt/cache"
"""Where libraries may write when they are imported, in a box that sees all that is installed."""
_LIBRARY_ENVIRONMENT = {
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": IMPORT_CACHE,
    "HF_HOME": IMPORT_CACHE,
    "HF_HUB_OFFLINE": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # else pyarrow starts a thread when it is imported
    "JOBLIB_MULTIPROCESSING": "0",
}


@dataclass(frozen=True)
class Profile:
    """One kind of box on one machine."""

    kind: BoxKind
    packages: tuple[str, ...]
    """The project's own packages that it sees."""
    distributions: tuple[str, ...] | None
    """The installed distributions that it sees, with all that they require; None for every one."""
    imports: tuple[str, ...]
    """Imported once, before any work."""
    programs: tuple[str, ...] = ()
    """Likewise where they can be imported; otherwise the run of such a program says why not."""
    network: bool = False
    hostile: bool = False
    """Runs generated code: where root runs it, each cell has a user of its own. Others read what the caller may read."""
    open_files: int = 1024
    code: tuple[Path, ...] = ()
    """Further folders of modules."""
    binds: tuple[Path, ...] = ()
    """Folders and files of the host that it reads at their own paths."""
    environment: Mapping[str, str] = field(default_factory=dict)


_JUDGING = "fedwright_federation.judging"
_ROLES = ("plan", "code", "debug", "reflect", "review", "tune")
_ALL = (
    "fedwright_crds",
    "fedwright_boxes",
    "fedwright_federation",
    "fedwright_agents",
)

PROFILES = {
    BoxKind.BENCH: Profile(
        kind=BoxKind.BENCH,
        packages=("fedwright_crds", "fedwright_boxes", "fedwright_federation"),
        distributions=("torch", "numpy", "pydantic", "pyyaml", "dp-accounting"),
        imports=("numpy", "torch", "fedwright_crds.documents"),
        programs=(
            f"{_JUDGING}.simulate",
            f"{_JUDGING}.predict",
            "fedwright_federation.candidates.test_program",
            "fedwright_federation.strategies",  # what candidates import
        ),
        hostile=True,
        open_files=256,
    ),
    BoxKind.JUDGE: Profile(
        kind=BoxKind.JUDGE,
        packages=("fedwright_crds", "fedwright_boxes", "fedwright_federation"),
        distributions=None,
        environment=_LIBRARY_ENVIRONMENT,
        imports=("numpy", "fedwright_crds.documents", "sklearn.datasets", "flwr_datasets.partitioner"),
        programs=(f"{_JUDGING}.prepare", f"{_JUDGING}.score"),
    ),
    BoxKind.MIND: Profile(
        kind=BoxKind.MIND,
        packages=_ALL,
        distributions=None,
        environment=_LIBRARY_ENVIRONMENT,
        imports=("optuna", "fedwright_crds.documents"),
        programs=("fedwright_agents.catalogue_mind", *(f"fedwright_agents.programs.{role}" for role in _ROLES)),
        network=True,
    ),
    BoxKind.PLATFORM: Profile(
        kind=BoxKind.PLATFORM,
        packages=_ALL,
        distributions=None,
        environment=_LIBRARY_ENVIRONMENT,
        imports=("fedwright_crds.documents",),
        network=True,
    ),
}
