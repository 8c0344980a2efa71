"""What this machine can enforce, and how it is said when it cannot."""

import os
from pathlib import Path

import pytest

from fedwright_boxes import bubblewrap, groups, trial
from fedwright_boxes.groups import Group
from fedwright_crds.work import MIB


def test_a_bubblewrap_that_does_not_work_is_named_with_the_mend() -> None:
    reason = trial.refusal(Path("/bin/false"))
    assert reason is not None
    assert "did not start" in reason and "allow user namespaces" in reason


def test_without_bubblewrap_the_answer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "installed_programs", list)
    assert "fedwright[sandbox]" in trial.working_program.__wrapped__()[1]


def test_groups_are_made_below_the_own_group_or_beside_it(tmp_path: Path) -> None:
    """In version 2 a group that holds processes may have no controllers below, so that its parent is the place."""
    own = tmp_path / "parent" / "own"
    own.mkdir(parents=True)
    for folder in (own, own.parent):
        (folder / "cgroup.procs").write_text("")
    assert groups.unified_place(own) is None
    (own / "cgroup.subtree_control").write_text("")
    (own.parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    assert groups.unified_place(own) == own.parent
    (own / "cgroup.subtree_control").write_text("memory pids\n")
    assert groups.unified_place(own) == own


def test_a_sweep_removes_the_groups_of_dead_keepers_alone() -> None:
    group = Group.make(64 * MIB, 8)
    if group is None:
        assert os.geteuid() != 0
        return
    try:
        living = [folder for folder in Path("/sys/fs/cgroup").rglob(f"fedwright-{os.getpid()}-*") if folder.is_dir()]
        assert living
        dead = [folder.with_name("fedwright-4194305-00ff") for folder in living]
        for folder in dead:
            folder.mkdir()
        groups.sweep()
        assert all(folder.exists() for folder in living)
        assert not any(folder.exists() for folder in dead)
    finally:
        group.close()
    assert not any(folder.exists() for folder in living)
