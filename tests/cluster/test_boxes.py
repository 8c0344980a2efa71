"""Works in pods of a real cluster come to the same as on one machine, and how they end is told as it was."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain import FEDAVG, judge_of, spec_of
from kubectl import Kubectl
from pod_boxes import PodBoxes, settings_for
from some_works import a_deployment, a_judging, a_mind

from fedwright_boxes import LocalBoxes
from fedwright_crds.base import canonical, digest_of
from fedwright_crds.documents import CandidateCode, JudgeSpec, Score
from fedwright_crds.judging_work import judging_work, verification_work
from fedwright_crds.work import Input, Outcome, Reason, Work
from fedwright_operator.cluster.jobs import Given, Whose, manifests
from fedwright_operator.cluster.networks import policies
from fedwright_operator.cluster.settings import Gateway, Image, Networks
from fedwright_operator.cluster.sightings import Running, Waiting

pytestmark = pytest.mark.cluster

SPEC = spec_of({"data": {"source": "Digits"}, "clients": 4, "partition": {"kind": "Pathological"}}, sequential=True)
GREEDY = "KEPT = []\ndef build(hyperparameters):\n    while True:\n        KEPT.append(bytearray(2**24))\n"
ENDLESS = "def build(hyperparameters):\n    while True:\n        pass\n"
LOUD = "def build(hyperparameters):\n    for _ in range(50):\n        print('x' * 2**20)\n"
"""50 MB."""
FORGER = """
import os


def build(hyperparameters):
    score = b'{"ok": true, "primary": 1.0}'
    ending = b'{"verdict": {"step": "simulate", "reason": "Completed"}}'
    for place in ("/box/out/score.json", "/fedwright/out/score.json", "/fedwright/out/score/score.json", "score.json"):
        put(place, score)
    put("/dev/termination-log", ending)
    for descriptor in range(1, 64):
        try:
            os.write(descriptor, ending + b"\\n" + score + b"\\n")
        except OSError:
            pass
    os._exit(0)


def put(place, content):
    try:
        with open(place, "wb") as stream:
            stream.write(content)
    except OSError:
        pass
"""
WRONG = "def build(hyperparameters):\n    raise ValueError('no such strategy')\n"


@pytest.fixture(scope="module")
def boxes(module_space: Kubectl) -> PodBoxes:
    return PodBoxes(module_space, settings_for(module_space))


Judge = Callable[..., Work]


@pytest.fixture(scope="module")
def judge(boxes: PodBoxes) -> Judge:
    """A work of judging whose inputs are in the namespace."""

    def made(
        source: str = FEDAVG, builder: Callable[..., Work] = judging_work, spec: JudgeSpec = SPEC, **simulate: Any
    ) -> Work:
        code = CandidateCode(files={"strategy.py": source})
        work = judge_of(spec, code, builder)
        documents = {"judge.json": spec, "code.json": code}
        inputs = tuple(
            Input(name=one.name, digest=boxes.write(canonical(documents[one.name].to_wire()))) for one in work.inputs
        )
        steps = tuple(step.model_copy(update=simulate) if step.name == "simulate" else step for step in work.steps)
        return work.model_copy(update={"inputs": inputs, "steps": steps})

    return made


# -- the same ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("builder", [judging_work, verification_work], ids=["judging", "verification"])
def test_a_work_in_a_pod_leaves_the_bytes_that_it_leaves_on_one_machine(
    builder: Callable[..., Work], boxes: PodBoxes, judge: Judge, tmp_path: Path
) -> None:
    work = judge(builder=builder)
    in_pod = boxes.run(work)
    assert in_pod.outcome is Outcome.SUCCEEDED, in_pod.model_dump_json(indent=1)

    class Kept:
        def read(self, digest: str) -> bytes:
            return boxes.kept[digest]

        def write(self, data: bytes) -> str:
            return digest_of(data)

    with LocalBoxes(Kept(), scratch=tmp_path) as local:
        here = local.run(work, threading.Event())
    assert here.outcome is Outcome.SUCCEEDED
    assert in_pod.outputs == here.outputs
    assert Score.model_validate_json(boxes.kept[in_pod.outputs["score.json"]]).ok

    def figures(result: Any) -> list[tuple[Any, ...]]:
        return [(one.step, one.reason, one.rounds, one.bytes_up, one.bytes_down) for one in result.verdicts]

    assert figures(in_pod) == figures(here)


# -- ends ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("source", "limits", "reason", "words"),
    [
        (WRONG, {}, Reason.CRASHED, "no such strategy"),
        (ENDLESS, {"wall_seconds": 10.0}, Reason.DEADLINE_EXCEEDED, ""),
        (GREEDY, {"memory_mib": 256}, Reason.OUT_OF_MEMORY, ""),
        (LOUD, {}, Reason.OUTPUT_FLOOD, "x"),
    ],
    ids=["wrong", "endless", "greedy", "loud"],
)
def test_a_candidate_that_fails_is_told_as_it_failed(
    source: str, limits: dict[str, Any], reason: Reason, words: str, boxes: PodBoxes, judge: Judge
) -> None:
    result = boxes.run(judge(source, **limits))
    assert (result.outcome, result.reason) == (Outcome.FAILED, reason), result.model_dump_json(indent=1)
    assert [one.step for one in result.verdicts] == ["prepare", "simulate"]
    assert words in result.verdicts[-1].text


def test_a_forged_result_is_none(boxes: PodBoxes, judge: Judge) -> None:
    """It writes a score wherever one could lie, says what a launcher says by every way out, and leaves as if all were well."""
    result = boxes.run(judge(FORGER))
    assert result.outcome is Outcome.FAILED, result.model_dump_json(indent=1)
    assert result.reason in {Reason.CRASHED, Reason.BAD_OUTPUT}
    assert (result.verdicts[-1].step, result.outputs) == ("simulate", {})


# -- waits ---------------------------------------------------------------------------------------------------
def test_a_work_that_no_node_has_room_for_waits(boxes: PodBoxes, judge: Judge) -> None:
    work = boxes.start(judge(wall_seconds=11.0), node_selector={"nowhere": "here"})
    assert "node" in boxes.waits(work, "Unschedulable")


def test_a_work_beyond_the_quota_waits_until_there_is_room(boxes: PodBoxes, judge: Judge) -> None:
    boxes.kubectl("create", "quota", "none", "--hard=pods=0")
    try:
        work = boxes.start(judge(wall_seconds=12.0))
        assert "exceeded quota: none" in boxes.waits(work, "QuotaExceeded")
    finally:
        boxes.kubectl("delete", "quota", "none")
    boxes.until(work, lambda one: isinstance(one, Running) or (isinstance(one, Waiting) and one.reason == "Starting"))


def test_a_work_whose_input_is_not_there_waits_and_then_is_the_platforms_error(boxes: PodBoxes, judge: Judge) -> None:
    work = judge(wall_seconds=13.0)
    nowhere = Input(name="judge.json", digest=digest_of(b"nowhere"))
    work = boxes.start(work.model_copy(update={"inputs": (nowhere, *work.inputs[1:])}))
    assert "not found" in boxes.waits(work, "FailedMount")
    result = boxes.end(work)
    assert result.outcome is Outcome.PLATFORM_ERROR and "FailedMount" in result.message


def test_a_work_whose_image_is_not_there_waits_and_then_is_the_platforms_error(boxes: PodBoxes, judge: Judge) -> None:
    nowhere = {kind: Image(repository="localhost/nowhere", tag="none") for kind in boxes.settings.images}
    images = boxes.settings.model_copy(update={"images": nowhere, "pull_policy": "IfNotPresent"})
    elsewhere = PodBoxes(boxes.kubectl, images)
    elsewhere.kept |= boxes.kept
    work = elsewhere.start(judge(wall_seconds=14.0))
    result = elsewhere.end(work)
    assert (result.outcome, result.reason) == (Outcome.PLATFORM_ERROR, Reason.PLATFORM)
    assert "the image of container 0-prepare cannot be had" in result.message


def test_a_pod_that_is_drained_is_the_platforms_error(boxes: PodBoxes, judge: Judge) -> None:
    work = boxes.start(judge(ENDLESS, wall_seconds=60.0))
    boxes.until(work, lambda one: one == Running("simulate"))
    (pod,) = boxes.kubectl.get("pods", f"-lfedwright.dev/work={work.id}")["items"]
    boxes.kubectl(
        *("create", "--raw", f"/api/v1/namespaces/{boxes.kubectl.namespace}/pods/{pod['metadata']['name']}/eviction"),
        *("-f", "-"),
        document={"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["metadata"]["name"]}},
    )
    result = boxes.end(work)
    assert result.outcome is Outcome.PLATFORM_ERROR, result


def test_a_box_whose_network_is_open_does_not_run(boxes: PodBoxes, judge: Judge) -> None:
    closed = policies(boxes.kubectl.namespace, boxes.settings.networks)
    for policy in closed:
        boxes.kubectl("delete", "networkpolicy", policy["metadata"]["name"])
    try:
        result = boxes.run(judge(wall_seconds=15.0))
    finally:
        for policy in closed:
            boxes.kubectl("apply", "--server-side", "-f", "-", document=policy)
    assert result.outcome is Outcome.PLATFORM_ERROR and "the network is not closed" in result.message, result


# -- what is made ----------------------------------------------------------------------------------------------
def test_the_server_takes_all_that_is_made_of_works_and_admits_their_pods(boxes: PodBoxes) -> None:
    namespace, settings = boxes.kubectl.namespace, boxes.settings
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "5e6fa4cc-4f0d-4ab3-9b9c-7ab2f0a6a111"}
    items = []
    for work in (a_judging(settings.pins), a_mind("fast"), a_mind("catalogue"), a_deployment("h" * 200)):
        pinned = work.model_copy(update={"images": {kind: settings.pins[kind] for kind in work.images}})
        secret = {"gateway.json": b"{}"} if "fast" in work.steps[0].program else {}
        given = Given({one.digest: ("a", "b") for one in work.inputs}, secret)
        made = manifests(pinned, Whose(namespace, "root", owner), given, settings)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": made.job["metadata"],
            "spec": made.job["spec"]["template"]["spec"],
        }
        items += [one for one in (made.config_map, made.secret, made.job, pod) if one]
    gateway = Gateway(namespace_labels={"a": "b"}, pod_labels={"c": "d"}, port=8000)
    reached = Networks(gateway=gateway, dns_cidrs=("169.254.20.10/32",))
    items += policies(namespace, reached)
    boxes.kubectl(
        "apply",
        "--server-side",
        "--dry-run=server",
        "-f",
        "-",
        document={"apiVersion": "v1", "kind": "List", "items": items},
    )
