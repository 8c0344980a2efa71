"""A work's id: of all that can change its result, and of nothing else."""

from fedwright_crds.work import BoxKind, Step, Work

WORK = Work(
    kind="judge",
    steps=(Step(name="score", box=BoxKind.JUDGE, program=("p",)),),
    images={BoxKind.JUDGE: "sha256:" + "0" * 64},
)


def test_a_copy_for_another_attempt_has_an_id_of_its_own_although_the_first_was_asked_for_its() -> None:
    first = WORK.id
    second = WORK.model_copy(update={"attempt": 1})
    assert second.id != first == WORK.id
    assert second.id == Work.model_validate_json(second.model_dump_json()).id


def test_labels_are_no_part_of_it_nor_is_the_id_of_what_equals() -> None:
    fresh = Work.model_validate_json(WORK.model_dump_json())
    assert WORK.model_copy(update={"labels": {"name": "wish"}}).id == WORK.id
    assert fresh == WORK
    assert "id" not in WORK.to_wire()
