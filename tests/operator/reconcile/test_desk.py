"""Why work failed, in words: for a person, and for the debugger that is to mend it."""

import pytest

from fedwright_crds.work import Outcome, Reason, Verdict, WorkResult
from fedwright_operator.reconcile.desk import failure_text


def failed(message: str, text: str, reason: Reason = Reason.CRASHED) -> WorkResult:
    verdict = Verdict(step="test", reason=reason, text=text)
    return WorkResult(id="0" * 40, kind="test", outcome=Outcome.FAILED, message=message, verdicts=(verdict,))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (failed("step test: Crashed", "KeyError: 'lr'\n"), "test: Crashed in step test: KeyError: 'lr'"),
        (failed("", "KeyError: 'lr'"), "test: Crashed in step test: KeyError: 'lr'"),
        (failed("step test: Crashed", ""), "test: Crashed in step test"),
        (
            failed("step test: model.npz is a symbolic link", "done", Reason.BAD_OUTPUT),
            "test: BadOutput in step test: step test: model.npz is a symbolic link",
        ),
    ],
    ids=["the parent knows only the reason", "no message", "not a word", "the parent saw more"],
)
def test_what_a_step_printed_is_told_where_its_parent_knows_no_more_than_the_reason(
    result: WorkResult, words: str
) -> None:
    assert failure_text(result) == words


def test_of_many_words_the_last_are_told_and_fit_into_a_line() -> None:
    told = failure_text(failed("step test: Crashed", "x" * 4000 + " ValueError: too wide"))
    assert len(told) <= 1024 and told.endswith(" ValueError: too wide")
