"""A candidate's code: {coder <-> debugger}^k over real runs of its tests, to green, to the end of the attempts, or stuck."""

from fedwright_crds.candidate import Attempt, CandidatePhase, CandidateSpec, Origin
from fedwright_crds.documents import (
    CandidateCode,
    CheckFailure,
    CodeInput,
    CodeOutput,
    Contract,
    DebugInput,
    ParentCode,
    TestReport,
)
from fedwright_crds.request import CATALOGUE
from fedwright_crds.work import Input, Outcome, WorkResult
from fedwright_operator.reconcile import works
from fedwright_operator.reconcile.desk import Desk, GaveUp, Unfinished
from fedwright_operator.reconcile.journey import Ended, Pass


def write_until_green(at: Pass) -> Input:
    """{coder <-> debugger}^k over real runs. Returns the code that passed, as an input."""
    document = _code_input(at)
    at.journey.phase, at.journey.reason = CandidatePhase.WRITING, "Writing"
    coder, debugger = _minds(at)
    code = _written(at, "code", coder, at.desk.put("code-input.json", document))
    earlier: list[CheckFailure] = []
    tried: set[str] = set()
    for number in range(at.brief.spec.search.debug_attempts + 1):
        draft = at.desk.put("code.json", code)
        if draft.digest in tried:
            raise Ended(
                CandidatePhase.REJECTED,
                "Stuck",
                f"the debugger came back to draft {draft.digest[7:15]}: {earlier[-1].message}",
            )
        tried.add(draft.digest)
        report = _tested(at, draft, number)
        if report.passed:
            at.journey.code = draft.digest
            return draft
        if number < at.brief.spec.search.debug_attempts:
            at.journey.phase, at.journey.reason = CandidatePhase.DEBUGGING, "Debugging"
            left = at.brief.spec.search.debug_attempts - number - 1
            order = DebugInput(
                code_input=document, code=code, report=report, attempt=number, earlier=tuple(earlier), left=left
            )
            earlier.append(report.failures[0])
            code = _written(at, "debug", debugger, at.desk.put("debug-input.json", order))
    first = report.failures[0]
    raise Ended(CandidatePhase.REJECTED, "TestsFailed", f"{first.check}: {first.message}")


def _minds(at: Pass) -> tuple[str, str]:
    """Who writes and who mends. What all are compared with is the catalogue's own, whoever writes the candidates."""
    minds = at.brief.spec.minds
    return (CATALOGUE, CATALOGUE) if at.spec.origin is Origin.BASELINE else (minds.coder, minds.debugger)


def _written(at: Pass, role: str, profile: str, document: Input) -> CandidateCode:
    result = at.desk.succeeded(works.mind_work(role, profile, document, at.brief.images))
    output = at.desk.document(CodeOutput, result, f"{role}.json")
    if output.code is None:
        raise Ended(CandidatePhase.REJECTED, "CannotMend" if role == "debug" else "CannotWrite", output.cannot)
    at.journey.deviations += [output.deviation] if output.deviation else []
    return output.code


def _tested(at: Pass, draft: Input, number: int) -> TestReport:
    at.journey.phase, at.journey.reason = CandidatePhase.TESTING, "Testing"
    contract = at.desk.put("contract.json", _contract(at))
    at.journey.attempts.append(Attempt(number=number, code=draft.digest))
    result = at.desk.result(works.candidate_tests(draft, contract, at.brief.images))
    if result is None:
        raise Unfinished
    report = _report(at.desk, result)
    failure = "" if report.passed else "; ".join(f"{one.check}: {one.message}" for one in report.failures)
    at.journey.attempts[-1] = Attempt(number=number, code=draft.digest, passed=report.passed, failure=failure[:16000])
    return report


def _report(desk: Desk, result: WorkResult) -> TestReport:
    """What the tests said; a box that ended otherwise is a failure like any other, for the debugger to read."""
    if result.outcome is Outcome.PLATFORM_ERROR:
        raise GaveUp(result)
    try:
        if result.outcome is Outcome.FAILED:
            raise GaveUp(result)
        report = desk.document(TestReport, result, "test-report.json")
    except GaveUp as failure:
        return TestReport(passed=False, failures=(CheckFailure(check="Box", message=str(failure)),))
    if not report.passed and not report.failures:
        return TestReport(
            passed=False, failures=(CheckFailure(check="Box", message="the tests failed without a word"),)
        )
    return report


def _code_input(at: Pass) -> CodeInput:
    spec, brief = at.spec, at.brief
    return CodeInput(
        title=spec.title,
        method=spec.method,
        parts=spec.parts,
        hyperparameters=spec.hyperparameters,
        fixed=spec.fixed,
        hypothesis=spec.hypothesis,
        model=brief.plan.model,
        task=brief.spec.task,
        privacy=brief.spec.privacy,
        parent=_parent(at),
    )


def _parent(at: Pass) -> ParentCode | None:
    """The code that passed its tests, else the last draft and what it failed by: an idea that was never measured may be mended."""
    parent = at.brief.parent
    if parent is None or not parent.status.attempts:
        return None
    last, passed = parent.status.attempts[-1], parent.status.code
    code = CandidateCode.model_validate_json(at.desk.read(passed or last.code))
    failure = "" if passed else last.failure
    return ParentCode(title=parent.spec.title, parts=parent.spec.parts, code=code, failure=failure)


def _contract(at: Pass) -> Contract:
    return Contract(
        model=at.brief.plan.model,
        task=at.brief.spec.task,
        input_shape=at.brief.facts.input_shape,
        classes=at.brief.facts.classes,
        hyperparameters=_defaults(at.spec),
        privacy=at.brief.spec.privacy,
    )


def _defaults(spec: CandidateSpec) -> dict[str, float]:
    return {**{one.name: one.default for one in spec.hyperparameters}, **spec.fixed}
