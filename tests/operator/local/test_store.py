"""Resources as files: versions, generations, owners; specs and statuses cannot overwrite each other."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_plans import candidate_of, request

from fedwright_crds.candidate import Candidate
from fedwright_crds.request import Answer, FLStrategyRequest, RequestPhase, RequestStatus
from fedwright_operator.local.store import ConflictError, MissingError, Store, StoreError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "resources")


def with_phase(resource: FLStrategyRequest, phase: RequestPhase) -> FLStrategyRequest:
    return resource.model_copy(update={"status": RequestStatus(phase=phase)})


def with_goal(resource: FLStrategyRequest, goal: str) -> FLStrategyRequest:
    return resource.model_copy(update={"spec": resource.spec.model_copy(update={"goal": goal})})


def test_a_new_resource_gets_an_identity_and_no_status_that_was_sent_along(store: Store) -> None:
    made = store.create(with_phase(request(), RequestPhase.SUCCEEDED))
    assert made.status.phase is RequestPhase.PENDING
    assert (made.metadata.generation, made.metadata.resource_version) == (1, "1")
    assert made.metadata.uid and made.metadata.creation_timestamp
    with pytest.raises(ConflictError, match="exists already"):
        store.create(request())


def test_what_is_written_is_what_another_reader_finds(store: Store, tmp_path: Path) -> None:
    made = store.create(request())
    other = Store(tmp_path / "resources")
    assert other.get(FLStrategyRequest, "wish") == made
    store.write_status(with_phase(made, RequestPhase.PLANNING))
    found = other.get(FLStrategyRequest, "wish")
    assert found and found.status.phase is RequestPhase.PLANNING


def test_a_spec_writer_leaves_the_status_and_a_status_writer_the_spec(store: Store) -> None:
    made = store.create(request())
    store.write_spec(with_goal(made, "another"))
    store.write_status(with_phase(made, RequestPhase.PLANNING))  # from the older read, as a loop would
    end = store.get(FLStrategyRequest, "wish")
    assert end and (end.spec.goal, end.status.phase) == ("another", RequestPhase.PLANNING)


def test_generation_counts_specs_and_the_version_counts_writes(store: Store) -> None:
    made = store.create(request())
    assert store.write_spec(made).metadata.resource_version == "1", "nothing changed, nothing is written"
    changed = store.write_status(with_phase(made, RequestPhase.PLANNING))
    assert changed and (changed.metadata.generation, changed.metadata.resource_version) == (1, "2")
    after = store.write_spec(with_goal(changed, "another"))
    assert (after.metadata.generation, after.metadata.resource_version) == (2, "3")


def test_a_writer_that_read_an_older_version_is_refused(store: Store) -> None:
    made = store.create(request())
    store.write_spec(with_goal(made, "first"))
    with pytest.raises(ConflictError, match="changed meanwhile"):
        store.write_spec(with_goal(made, "second"))


def test_the_status_of_a_resource_that_was_made_anew_is_not_written(store: Store) -> None:
    first = store.create(request())
    store.remove(first)
    store.create(request())
    assert store.write_status(with_phase(first, RequestPhase.FAILED)) is None
    end = store.get(FLStrategyRequest, "wish")
    assert end and end.status.phase is RequestPhase.PENDING


def test_removing_an_owner_removes_what_it_owns_and_nothing_else(store: Store) -> None:
    owner, other = store.create(request("a")), store.create(request("b"))
    store.create(candidate_of(owner, 1))
    kept = store.create(candidate_of(other, 1))
    store.remove(owner)
    assert store.list(FLStrategyRequest) == (other,)
    assert store.list(Candidate) == (kept,)


def test_no_edit_is_lost_between_threads(store: Store) -> None:
    store.create(request())

    def add(number: int) -> None:
        def change(present: FLStrategyRequest) -> FLStrategyRequest:
            answers = (*present.spec.answers, Answer(question=f"q{number}", answer="yes"))
            return present.model_copy(update={"spec": present.spec.model_copy(update={"answers": answers})})

        store.edit_spec(FLStrategyRequest, "wish", "default", change)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    end = store.get(FLStrategyRequest, "wish")
    assert end and {one.question for one in end.spec.answers} == {f"q{n}" for n in range(24)}


def test_no_edit_is_lost_between_processes(store: Store, tmp_path: Path) -> None:
    store.create(request())
    code = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from fedwright_crds.request import Answer, FLStrategyRequest
        from fedwright_operator.local.store import Store

        store = Store(Path(sys.argv[1]))
        for number in range(20):
            def change(present):
                answers = (*present.spec.answers, Answer(question=f"{sys.argv[2]}{number}"[:20], answer="yes"))
                return present.model_copy(update={"spec": present.spec.model_copy(update={"answers": answers[-32:]})})
            store.edit_spec(FLStrategyRequest, "wish", "default", change)
        """
    )
    folder = str(tmp_path / "resources")
    writer = subprocess.Popen([sys.executable, "-c", code, folder, "other"])
    for number in range(40):
        phase = RequestPhase.PLANNING if number % 2 else RequestPhase.EXPLORING
        present = store.get(FLStrategyRequest, "wish")
        assert present
        store.write_status(with_phase(present, phase))
    assert writer.wait(30) == 0
    end = store.get(FLStrategyRequest, "wish")
    assert end and [one.question for one in end.spec.answers] == [f"other{n}" for n in range(20)]
    assert end.metadata.resource_version == str(1 + 20 + 40)


def test_editing_what_is_not_there_says_so(store: Store) -> None:
    with pytest.raises(MissingError, match="no FLStrategyRequest default/wish"):
        store.edit_spec(FLStrategyRequest, "wish", "default", lambda one: one)


def test_a_file_that_is_no_resource_names_itself_and_the_mend(store: Store, tmp_path: Path) -> None:
    store.create(request())
    path = tmp_path / "resources" / "flstrategyrequests" / "default" / "wish.json"
    path.write_text('{"kind": "FLStrategyRequest"}')
    with pytest.raises(StoreError, match=r"wish\.json is not a FLStrategyRequest: .*mend it or remove it"):
        store.get(FLStrategyRequest, "wish")


def test_stamps_change_with_every_write(store: Store) -> None:
    seen = {store.stamps()}
    made = store.create(request())
    seen.add(store.stamps())
    store.write_status(with_phase(made, RequestPhase.PLANNING))
    seen.add(store.stamps())
    store.remove(made)
    assert store.stamps() in seen and len(seen) == 3, "three states, the last as empty as the first"
