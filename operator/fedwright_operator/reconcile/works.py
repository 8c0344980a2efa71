"""The units of work that reconcilers ask for, save judging, whose builders every side shares."""

from collections.abc import Mapping

from fedwright_crds.request import CATALOGUE
from fedwright_crds.work import MIB, BoxKind, Input, Output, Step, Work
from fedwright_operator.reconcile.learning import LEARN
from fedwright_operator.reconcile.learning import OUTPUT as LESSONS

Images = Mapping[BoxKind, str]


def _one_step(
    kind: str,
    box: BoxKind,
    program: tuple[str, ...],
    inputs: tuple[Input, ...],
    outputs: tuple[Output, ...],
    images: Images,
    *,
    wall_seconds: float,
    memory_mib: int = 1024,
    federation: str = "",
) -> Work:
    step = Step(
        name=kind,
        box=box,
        program=program,
        inputs=tuple(one.name for one in inputs),
        outputs=tuple(one.name for one in outputs),
        wall_seconds=wall_seconds,
        memory_mib=memory_mib,
        federation=federation,
    )
    return Work(kind=kind, steps=(step,), inputs=inputs, outputs=outputs, images={box: images[box]})


def mind_work(
    role: str,
    profile: str,
    document: Input,
    images: Images,
    further: tuple[Input, ...] = (),
    search: str | None = None,
) -> Work:
    """One call of a role; the profile names the mind behind it. Models may take their time, tries and waits included.

    `further` is what the mind may look up beside its document, `search` the profile by which it may search the web.
    """
    return _one_step(
        role,
        BoxKind.MIND,
        (f"fedwright_agents.programs.{role}", profile, *((search,) if search else ())),
        (document, *further),
        (Output(name=f"{role}.json", max_bytes=2 * MIB),),
        images,
        wall_seconds=600 if profile == CATALOGUE else 3600,
    )


def candidate_tests(code: Input, contract: Input, images: Images) -> Work:
    """Static checks, the candidate's own tests and the contract tests that it cannot edit."""
    return _one_step(
        "test",
        BoxKind.BENCH,
        ("fedwright_federation.candidates.test_program",),
        (code, contract),
        (Output(name="test-report.json", max_bytes=MIB),),
        images,
        wall_seconds=60,
    )


def package_work(document: Input, code: Input, images: Images) -> Work:
    """The winner as a Flower app. Its code is handled as text."""
    return _one_step(
        "package",
        BoxKind.JUDGE,
        ("fedwright_federation.packaging.package",),
        (document, code),
        (Output(name="app.zip", max_bytes=8 * MIB, media_type="application/zip"),),
        images,
        wall_seconds=60,
    )


def deploy_work(document: Input, app: Input, federation: str, images: Images, wall_seconds: float) -> Work:
    """Submit the app to a federation, follow it to its end, bring back its model and metrics."""
    outputs = (
        Output(name="model.npz", max_bytes=256 * MIB, media_type="application/octet-stream"),
        Output(name="metrics.json", max_bytes=4 * MIB),
    )
    return _one_step(
        "deploy",
        BoxKind.PLATFORM,
        ("fedwright_federation.flower.deploy",),
        (document, app),
        outputs,
        images,
        wall_seconds=wall_seconds,
        federation=federation,
    )


def learn_work(document: Input, images: Images) -> Work:
    """What the findings of a report teach later requests. No model is asked."""
    return _one_step(
        LEARN,
        BoxKind.MIND,
        ("fedwright_agents.programs.learn",),
        (document,),
        (Output(name=LESSONS, max_bytes=MIB),),
        images,
        wall_seconds=60,
    )


def report_work(document: Input, images: Images) -> Work:
    return _one_step(
        "report",
        BoxKind.JUDGE,
        ("fedwright_federation.report",),
        (document,),
        (Output(name="report.html", max_bytes=16 * MIB, media_type="text/html"),),
        images,
        wall_seconds=120,
    )
