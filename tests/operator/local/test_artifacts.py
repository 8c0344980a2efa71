"""Artifacts are what their name says or they are nothing; garbage goes, named things stay."""

import json
from pathlib import Path

import pytest
from small_plans import IMAGES, request, work

from fedwright_crds.base import digest_of
from fedwright_crds.request import RequestStatus
from fedwright_crds.work import Outcome, WorkResult
from fedwright_operator.local import artifacts as module
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.collect import collect_garbage
from fedwright_operator.local.store import Store
from fedwright_operator.local.works import AlreadyFinishedError, Works


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def test_bytes_come_back_under_their_digest(artifacts: Artifacts, tmp_path: Path) -> None:
    digest = artifacts.write(b"hello")
    assert digest == digest_of(b"hello") == artifacts.write(b"hello")
    assert artifacts.read(digest) == Artifacts(tmp_path / "artifacts").read(digest) == b"hello"
    assert artifacts.digests() == {digest}


def test_bytes_that_were_changed_on_disk_are_not_handed_out(artifacts: Artifacts, tmp_path: Path) -> None:
    digest = artifacts.write(b"hello")
    artifacts.path(digest).write_bytes(b"hullo")
    with pytest.raises(KeyError, match="changed on disk"):
        Artifacts(tmp_path / "artifacts").read(digest)


@pytest.mark.parametrize("name", ["sha256:" + "0" * 64, "sha256:../../etc/passwd", "x", "sha256:" + "Z" * 64])
def test_what_is_not_there_is_a_key_error(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(KeyError):
        artifacts.read(name)


def test_what_is_too_large_is_refused(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 10)
    with pytest.raises(ValueError, match="over the limit of 10"):
        artifacts.write(b"x" * 11)


def test_a_work_is_finished_once_and_then_never_started(tmp_path: Path) -> None:
    works, (one, _) = Works(tmp_path), work("goal", 1, 1, None)
    works.start(one)
    works.start(one)  # again after a crash: it had not finished
    works.finish(result_of(one.id, {}))
    with pytest.raises(AlreadyFinishedError):
        works.finish(result_of(one.id, {}).model_copy(update={"outcome": Outcome.FAILED}))
    with pytest.raises(AlreadyFinishedError):
        Works(tmp_path).start(one)
    assert Works(tmp_path)[one.id].outcome is Outcome.SUCCEEDED
    assert len(works.starts.read_text().splitlines()) == 2


def test_garbage_goes_and_all_that_is_named_stays(artifacts: Artifacts, tmp_path: Path) -> None:
    store, works = Store(tmp_path / "resources"), Works(tmp_path / "works")
    owner = store.create(request())
    inner = artifacts.write(b"named by a document")
    plan = artifacts.write(json.dumps({"code": inner}).encode())
    store.write_status(owner.model_copy(update={"status": RequestStatus(plan=plan, images=IMAGES)}))
    kept, lost = (finished(works, artifacts, number) for number in (1, 2))
    works.want(owner.metadata.uid or "", [kept.id])
    works.want("someone-gone", [lost.id])
    stray = artifacts.write(b"stray")

    collect_garbage(store, artifacts, works)

    assert set(works) == {kept.id}
    assert {inner, plan, kept.outputs["sum"]} <= artifacts.digests()
    assert not {stray, lost.outputs["sum"]} & artifacts.digests()


def result_of(work_id: str, outputs: dict[str, str]) -> WorkResult:
    return WorkResult(id=work_id, kind="small", outcome=Outcome.SUCCEEDED, outputs=outputs)


def finished(works: Works, artifacts: Artifacts, number: int) -> WorkResult:
    one, order = work("goal", number, 1, None)
    artifacts.write(order)
    works.start(one)
    result = result_of(one.id, {"sum": artifacts.write(f"result {number}".encode())})
    works.finish(result)
    return result
