"""Works that a pod can be made of: drawn at random, and a few by hand."""

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from fedwright_crds.base import digest_of
from fedwright_crds.work import BoxKind, Handover, Input, Output, Step, Work

NAMES = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?", fullmatch=True)
DIGESTS = st.binary(min_size=1, max_size=4).map(digest_of)
SIZED = st.dictionaries(NAMES, st.integers(1, 256 * 2**20), max_size=4)
IMAGES = {kind: digest_of(kind.encode()) for kind in BoxKind}
BOXES = st.sampled_from([(BoxKind.BENCH, BoxKind.JUDGE), (BoxKind.MIND,), (BoxKind.PLATFORM,)])


@st.composite
def works(draw: st.DrawFn) -> Work:
    """Any that is sound: handovers are written once and then read, outputs belong to one step."""
    kinds = draw(BOXES)
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    inputs = [
        Input(name=name, digest=digest) for name, digest in draw(st.dictionaries(NAMES, DIGESTS, max_size=4)).items()
    ]
    handovers = [Handover(name=name, max_bytes=size) for name, size in draw(SIZED).items()]
    outputs = [Output(name=name, max_bytes=size) for name, size in draw(SIZED).items()]
    writer = {one.name: draw(st.integers(0, len(names) - 1)) for one in handovers}
    owner = {one.name: draw(st.integers(0, len(names) - 1)) for one in outputs}
    federation = draw(st.from_regex(r"[a-z]{1,200}", fullmatch=True)) if BoxKind.PLATFORM in kinds else ""
    profile = draw(st.sampled_from(["catalogue", "fast"]))
    steps = tuple(
        Step(
            name=name,
            box=(box := draw(st.sampled_from(kinds))),
            program=("a.module", profile),
            inputs=tuple(draw(_some([one.name for one in inputs]))),
            reads=tuple(draw(_some([one for one, at in writer.items() if at < place]))),
            writes=tuple(one for one, at in writer.items() if at == place),
            outputs=tuple(one for one, at in owner.items() if at == place),
            wall_seconds=draw(st.floats(0.1, 86400)),
            memory_mib=draw(st.integers(16, 8192)),
            fleet=draw(st.sampled_from([0, 0, 20, 1024])) if box is BoxKind.BENCH else 0,
            quiet=draw(st.booleans()),
            federation=federation,
        )
        for place, name in enumerate(names)
    )
    return Work(
        kind=draw(NAMES),
        steps=steps,
        inputs=tuple(inputs),
        handovers=tuple(handovers),
        outputs=tuple(outputs),
        images=IMAGES,
        attempt=draw(st.integers(0, 100)),
        labels={"kind": "Candidate", "namespace": "default", "name": draw(NAMES)},
    )


def _some(names: Sequence[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), max_size=3, unique=True) if names else st.just([])


def a_judging(images: Mapping[BoxKind, str] = IMAGES, **fields: object) -> Work:
    """The shape of judging: a trusted step before and after two that run generated code."""
    seen = ("judge.json", "code.json")
    steps = (
        Step(name="prepare", box=BoxKind.JUDGE, program=("p",), inputs=seen[:1], writes=("shards", "labels"), quiet=True),
        Step(
            name="simulate",
            box=BoxKind.BENCH,
            program=("s",),
            inputs=seen,
            reads=("shards",),
            writes=("checkpoint",),
            wall_seconds=100,
        ),
        Step(name="predict", box=BoxKind.BENCH, program=("p",), inputs=seen, reads=("checkpoint",), writes=("answers",), quiet=True),
        Step(
            name="score",
            box=BoxKind.JUDGE,
            program=("s",),
            inputs=seen[:1],
            reads=("labels", "answers"),
            outputs=("score.json",),
            quiet=True,
        ),
    )  # fmt: skip
    work = Work(
        kind="judge",
        steps=steps,
        inputs=tuple(Input(name=name, digest=digest_of(name.encode())) for name in seen),
        handovers=tuple(Handover(name=name, max_bytes=10**6) for name in ("shards", "labels", "checkpoint", "answers")),
        outputs=(Output(name="score.json", max_bytes=2**20),),
        images={kind: images[kind] for kind in (BoxKind.BENCH, BoxKind.JUDGE)},
    )
    return work.model_copy(update=fields)


def a_mind(profile: str = "fast") -> Work:
    """One call of a role."""
    step = Step(
        name="plan", box=BoxKind.MIND, program=("plan", profile), outputs=("plan.json",), inputs=("question.json",)
    )
    return Work(
        kind="plan",
        steps=(step,),
        inputs=(Input(name="question.json", digest=digest_of(b"question")),),
        outputs=(Output(name="plan.json", max_bytes=2**20),),
        images={BoxKind.MIND: IMAGES[BoxKind.MIND]},
    )


def a_deployment(federation: str = "hospital") -> Work:
    step = Step(
        name="deploy", box=BoxKind.PLATFORM, program=("deploy",), outputs=("metrics.json",), federation=federation
    )
    return Work(
        kind="deploy",
        steps=(step,),
        outputs=(Output(name="metrics.json", max_bytes=2**20),),
        images={BoxKind.PLATFORM: IMAGES[BoxKind.PLATFORM]},
    )
