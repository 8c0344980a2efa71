"""The box contract: what a step sees, what it hands on, and what its end says about the work."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

from fedwright_boxes import image_digests, sandbox_available
from fedwright_crds.base import digest_of
from fedwright_crds.work import MIB, BoxKind, Handover, Input, Outcome, Output, Reason, Step, WorkResult

Rig = Any
SEEN = (Output(name="seen", max_bytes=MIB),)


def step(*program: str, box: BoxKind = BoxKind.BENCH, **more: Any) -> Step:
    return Step(name=program[0], box=box, program=("parts", *program), **{"wall_seconds": 30.0, **more})


def answer(rig: Rig, result: WorkResult, name: str = "seen") -> Any:
    assert result.outcome == Outcome.SUCCEEDED, result
    return json.loads(rig.artifacts.read(result.outputs[name]))


def test_a_judgement_passes_on_to_each_step_only_what_it_names(rig: Rig) -> None:
    code = rig.artifacts.write(b"the code")
    result = rig.run(
        rig.work(
            step("prepare", box=BoxKind.JUDGE, inputs=("code",), writes=("shards", "labels")),
            step("simulate", "first", reads=("shards",), writes=("checkpoint",), outputs=("first",)),
            step("score", box=BoxKind.JUDGE, reads=("labels", "checkpoint"), outputs=("score",), quiet=True),
            inputs=(Input(name="code", digest=code),),
            handovers=tuple(Handover(name=name, max_bytes=MIB) for name in ("shards", "labels", "checkpoint")),
            outputs=tuple(Output(name=name, max_bytes=MIB) for name in ("first", "score")),
        )
    )
    shards = {"from/shards/client-0.txt": "shard of 0", "from/shards/client-1.txt": "shard of 1"}
    assert answer(rig, result, "first").items() >= shards.items()
    assert "the labels" not in str(answer(rig, result, "first"))
    assert answer(rig, result, "score")["from/labels/labels.txt"] == "the labels"
    assert "from/shards/client-0.txt" not in answer(rig, result, "score")
    assert [verdict.reason for verdict in result.verdicts] == [Reason.COMPLETED] * 3
    assert result.verdicts[-1].text == ""


def test_inputs_and_arguments_reach_the_program(rig: Rig) -> None:
    data = rig.artifacts.write(b"some bytes")
    work = rig.work(
        step("look", inputs=("data",), outputs=("seen",)), inputs=(Input(name="data", digest=data),), outputs=SEEN
    )
    assert answer(rig, rig.run(work)) == {"in/data": "some bytes"}
    work = rig.work(step("arguments", "a b", "", "--c", outputs=("seen",)), outputs=SEEN)
    assert answer(rig, rig.run(work)) == ["a b", "", "--c"]


def test_torch_learns_in_the_bench_and_is_there_from_the_start(rig: Rig) -> None:
    work = rig.work(step("use_torch", outputs=("seen",)), outputs=SEEN)
    loss, threads = answer(rig, rig.run(work))
    assert loss < 1.1
    assert threads == 1


def test_the_judge_has_the_packages_that_carry_data(rig: Rig) -> None:
    work = rig.work(step("imported", box=BoxKind.JUDGE, outputs=("seen",)), outputs=SEEN)
    assert {"sklearn", "flwr_datasets"} <= set(answer(rig, rig.run(work)))


def test_the_judge_reads_the_users_folder_and_no_other(make_rig: Any, tmp_path: Path) -> None:
    shown, hidden = tmp_path / "shown", tmp_path / "hidden"
    for folder in (shown, hidden):
        folder.mkdir()
        (folder / "data.txt").write_text("rows")
        folder.chmod(0o755)
        (folder / "data.txt").chmod(0o644)
    rig = make_rig(binds=(shown,))
    work = rig.work(step("read_file", str(shown / "data.txt"), box=BoxKind.JUDGE, outputs=("seen",)), outputs=SEEN)
    assert answer(rig, rig.run(work)) == "rows"
    work = rig.work(step("read_file", str(hidden / "data.txt"), box=BoxKind.JUDGE, outputs=("seen",)), outputs=SEEN)
    assert rig.run(work).reason == Reason.CRASHED


def test_a_mind_has_its_key_and_the_network_and_no_other_box_has(make_rig: Any) -> None:
    rig = make_rig(environment={BoxKind.MIND: {"A_MODEL_KEY": "sk-1"}})
    seen = {}
    for kind in (BoxKind.MIND, BoxKind.PLATFORM):
        work = rig.work(step("environment", box=kind, outputs=("seen",)), outputs=SEEN)
        seen[kind] = answer(rig, rig.run(work)).get("A_MODEL_KEY")
    assert seen == {BoxKind.MIND: "sk-1", BoxKind.PLATFORM: None}
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with server.accept()[0] as line:
                line.sendall(b"hello")

        greeter = threading.Thread(target=greet)
        greeter.start()
        port = str(server.getsockname()[1])
        work = rig.work(step("connect", port, box=BoxKind.MIND, outputs=("seen",)), outputs=SEEN)
        assert answer(rig, rig.run(work)) == "hello"
        greeter.join()


def test_the_first_step_that_fails_is_the_last_and_what_was_handed_out_before_stays(rig: Rig) -> None:
    result = rig.run(
        rig.work(step("arguments", "kept", outputs=("seen",)), step("fail", "3"), step("nothing"), outputs=SEEN)
    )
    assert (result.outcome, result.reason, len(result.verdicts)) == (Outcome.FAILED, Reason.CRASHED, 2)
    assert result.verdicts[-1].exit_code == 3
    assert result.verdicts[-1].text == "on the way down\nreason on stderr\n"
    assert "seen" in result.outputs


def test_a_quiet_step_says_nothing_even_when_it_fails(rig: Rig) -> None:
    result = rig.run(rig.work(step("fail", "3", quiet=True)))
    assert (result.reason, result.verdicts[0].text) == (Reason.CRASHED, "")


def test_a_required_output_that_is_missing_is_bad_output(rig: Rig) -> None:
    result = rig.run(rig.work(step("nothing", outputs=("seen",)), outputs=SEEN))
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.BAD_OUTPUT)
    assert "seen is missing" in result.message
    optional = (Output(name="seen", max_bytes=9, required=False),)
    assert rig.run(rig.work(step("nothing", outputs=("seen",)), outputs=optional)).outcome == Outcome.SUCCEEDED


def test_a_handover_is_bounded_as_a_whole(rig: Rig) -> None:
    handovers = (Handover(name="h", max_bytes=10_000),)
    fits = rig.work(step("write_many", "h", "100", "100", writes=("h",)), handovers=handovers)
    assert rig.run(fits).outcome == Outcome.SUCCEEDED
    swells = rig.work(step("write_many", "h", "101", "100", writes=("h",)), handovers=handovers)
    assert rig.run(swells).reason == Reason.BAD_OUTPUT


def test_the_reader_has_room_for_all_files_that_may_be_handed_over(rig: Rig) -> None:
    """Else a bench that writes many would have the platform blamed for the judge's failure."""
    names = ("first", "second", "third")
    writers = [step("write_many", name, "4090", "1", writes=(name,)) for name in names]
    reader = step("look", box=BoxKind.JUDGE, reads=names)
    handovers = tuple(Handover(name=name, max_bytes=MIB) for name in names)
    outputs = (Output(name="seen", max_bytes=4 * MIB),)
    steps = [one.model_copy(update={"name": f"step-{place}"}) for place, one in enumerate((*writers, reader))]
    steps[-1] = steps[-1].model_copy(update={"outputs": ("seen",)})
    result = rig.run(rig.work(*steps, handovers=handovers, outputs=outputs))
    assert len(answer(rig, result)) == 3 * 4090


def test_a_program_that_is_not_there_is_named(rig: Rig) -> None:
    missing = Step(name="s", box=BoxKind.BENCH, program=("no_such_program",))
    result = rig.run(rig.work(missing))
    assert result.reason == Reason.CRASHED
    assert "No module named 'no_such_program'" in result.verdicts[0].text


def test_an_input_with_other_bytes_than_its_digest_is_refused(rig: Rig) -> None:
    wrong = digest_of(b"what was meant")
    rig.artifacts._kept[wrong] = b"what is there"
    for digest, why in ((wrong, "are not those of"), (digest_of(b"never written"), "there is no artifact")):
        work = rig.work(step("look", inputs=("data",)), inputs=(Input(name="data", digest=digest),))
        result = rig.run(work)
        assert (result.outcome, result.reason) == (Outcome.PLATFORM_ERROR, Reason.PLATFORM)
        assert why in result.message


def test_what_a_step_names_must_be_declared(rig: Rig) -> None:
    for wrong in (step("nothing", inputs=("x",)), step("nothing", reads=("x",)), step("nothing", writes=("x",))):
        result = rig.run(rig.work(wrong))
        assert result.outcome == Outcome.PLATFORM_ERROR
        assert "step nothing" in result.message and "x" in result.message


def test_a_verdict_says_what_a_step_used(rig: Rig) -> None:
    verdict = rig.run(rig.work(step("sleep", "0.2"))).verdicts[0]
    assert 0.2 <= verdict.wall_seconds < 5
    assert 0 < verdict.cpu_seconds < 2
    assert (verdict.rounds, verdict.bytes_up, verdict.bytes_down) == (None, None, None)


def test_without_a_sandbox_generated_code_is_refused_and_trusted_code_runs(make_rig: Any) -> None:
    assert sandbox_available() is None
    rig = make_rig(use_sandbox=False)
    result = rig.run(rig.work(step("nothing", box=BoxKind.MIND), step("nothing")))
    assert (result.outcome, result.reason) == (Outcome.PLATFORM_ERROR, Reason.NO_SANDBOX)
    assert "--unsafe-no-sandbox" in result.message
    work = rig.work(step("arguments", "x", box=BoxKind.MIND, outputs=("seen",)), outputs=SEEN)
    assert answer(rig, rig.run(work)) == ["x"]


def test_the_user_may_run_generated_code_without_a_sandbox(make_rig: Any, tmp_path: Path) -> None:
    rig = make_rig(use_sandbox=False, unsafe_no_sandbox=True, scratch=tmp_path / "boxes")
    work = rig.work(step("arguments", "x", outputs=("seen",)), outputs=SEEN)
    assert answer(rig, rig.run(work)) == ["x"]
    assert list((tmp_path / "boxes").iterdir()) == []
    assert rig.attack("loop", wall_seconds=0.5)[0].reason == Reason.DEADLINE_EXCEEDED
    assert rig.attack("flood_stdout")[0].reason == Reason.OUTPUT_FLOOD


def test_images_are_digests_of_what_a_box_is_made_of() -> None:
    digests = image_digests()
    assert set(digests) == set(BoxKind)
    assert digests == image_digests()
    assert len(set(digests.values())) == 4
