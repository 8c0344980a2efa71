"""The bench's `test` program: static checks, the candidate's own tests, then the contract tests.

`/box/in/code.json`, `/box/in/contract.json` -> `/box/out/test-report.json`. Whatever candidate code does short of killing
the process is a failure in the report. Not a test module, in spite of its name.
"""

import json
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from fedwright_crds.box import Box
from fedwright_crds.documents import CandidateCode, CheckFailure, Contract, TestReport
from fedwright_federation.candidates import static
from fedwright_federation.candidates.contract import verdict
from fedwright_federation.candidates.failures import CandidateError, blame, failure
from fedwright_federation.candidates.loader import import_candidate, import_more

OWN_TESTS = static.TESTS.removesuffix(".py")
MOST_FAILURES = 32


def report(code: CandidateCode, contract: Contract) -> TestReport:
    """What holds of the code, and what does not. Own tests that fail do not hide what the contract says: each run is dear."""
    broken = static.check(code)
    if broken:
        return _failed((), broken)
    own = own_tests(code)
    found = verdict(code, contract)
    held = ("Static", *(() if own else ("OwnTests",)), *found.held)
    failures = tuple(dict.fromkeys((*own, *found.failures)))
    if failures:
        return _failed(held, failures)
    return TestReport(passed=True, checks=held, features=found.features)


def own_tests(code: CandidateCode) -> tuple[CheckFailure, ...]:
    """Failures of the candidate's plain functions named test_*, which take nothing."""
    if lacking := static.lacking_tests(code):
        return lacking
    try:
        import_candidate(code)
        tests = _tests(import_more(OWN_TESTS))
    except CandidateError as error:
        return error.failures
    if not tests:
        return (failure("OwnTests", "no function is named test_*; write at least one", static.TESTS),)
    return tuple(broken for name, test in tests.items() for broken in _run(name, test))


def _tests(module: ModuleType) -> dict[str, Callable[[], object]]:
    return {name: one for name, one in vars(module).items() if name.startswith("test_") and callable(one)}


def _run(name: str, test: Callable[[], object]) -> tuple[CheckFailure, ...]:
    try:
        with blame("OwnTests"):
            test()
    except CandidateError as error:
        return tuple(one.model_copy(update={"message": f"{name}: {one.message}"}) for one in error.failures)
    return ()


def _failed(held: tuple[str, ...], failures: Sequence[CheckFailure]) -> TestReport:
    return TestReport(passed=False, checks=held, failures=tuple(failures[:MOST_FAILURES]))


def main(argv: Sequence[str]) -> int:
    del argv
    box = Box.here()
    code = CandidateCode.model_validate_json(box.input("code.json").read_bytes())
    contract = Contract.model_validate_json(box.input("contract.json").read_bytes())
    box.output("test-report.json").write_text(json.dumps(report(code, contract).to_wire()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
