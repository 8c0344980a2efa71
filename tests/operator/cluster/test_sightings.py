"""What becomes of a work, told from API objects alone: a scenario for every way in which a pod can wait, run or end."""

import json
from datetime import timedelta
from typing import Any

import pytest
from api_objects import (
    FAILED,
    LATE,
    START,
    Json,
    at,
    completed,
    condition,
    ended,
    ending,
    event,
    job,
    lost,
    pod,
    running,
    told,
    waiting,
)
from hypothesis import given
from hypothesis import strategies as st
from some_works import a_deployment, a_judging

from fedwright_boxes.pod.contract import EXIT_CODES
from fedwright_crds.work import Outcome, Reason, Work, WorkResult
from fedwright_operator.cluster.sightings import Finished, Running, Sighting, Waiting, seen, undelivered

WORK = a_judging()
NOTE = json.dumps({"outputs": {"score.json": {"digest": "sha256:" + "0" * 64, "bytes": 1}}})
PATIENCE = 300.0


def look(
    states: list[Json],
    phase: str = "",
    *,
    work: Work = WORK,
    job_is: tuple[Json, ...] = (),
    events: tuple[tuple[str, str], ...] = (),
    after: float = 10,
    **about_pod: Any,
) -> Sighting:
    """The work's pod with these containers, so many seconds after its start."""
    body = pod(work, states, phase, **about_pod)
    said = [event(body, *one) for one in events]
    return seen(work, job(work, *job_is), [body], said, START + timedelta(seconds=after), PATIENCE)


def look_without_pod(*conditions: Json, events: tuple[str, ...] = ()) -> Sighting:
    body = job(WORK, *conditions)
    said = [event(body, "FailedCreate", message, place) for place, message in enumerate(events)]
    return seen(WORK, body, [], said, START + timedelta(seconds=10), PATIENCE)


def end_of(sighting: Sighting) -> WorkResult:
    assert isinstance(sighting, Finished), sighting
    return sighting.result


def is_the_platforms(sighting: Sighting, words: str, step: str) -> bool:
    result = end_of(sighting)
    assert words in result.message, result.message
    assert (result.verdicts[-1].step, result.reason) == (step, Reason.PLATFORM)
    return result.outcome is Outcome.PLATFORM_ERROR


def is_its_own(sighting: Sighting, reason: Reason, step: str) -> bool:
    result = end_of(sighting)
    assert (result.verdicts[-1].step, result.reason) == (step, reason), result
    assert [one.reason for one in result.verdicts[:-1]] == [Reason.COMPLETED] * (len(result.verdicts) - 1)
    return result.outcome is Outcome.FAILED


# -- on its way ------------------------------------------------------------------------------------------------
def test_a_job_without_a_pod_yet_waits() -> None:
    assert look_without_pod() == Waiting("Starting")


def test_a_pod_that_the_kubelet_has_just_taken_waits() -> None:
    assert look([]) == Waiting("Starting")


def test_the_step_that_runs_is_told() -> None:
    assert look([*completed(WORK, 1), running()]) == Running("simulate")


def test_between_two_steps_the_next_is_told() -> None:
    assert look(completed(WORK, 1)) == Running("simulate")


def test_after_the_last_step_the_outputs_are_delivered() -> None:
    assert look([*completed(WORK, 4), running(5)], "Running") == Running("deliver")


# -- result ----------------------------------------------------------------------------------------------------
def test_a_work_whose_last_container_completed_has_succeeded_and_its_log_is_to_be_read() -> None:
    sighting = look([*completed(WORK, 4), ended(0, NOTE, begin=6, end=7)], "Succeeded")
    assert isinstance(sighting, Finished) and sighting.delivered == NOTE
    result = sighting.result
    assert (result.id, result.kind, result.outcome, result.message) == (WORK.id, "judge", Outcome.SUCCEEDED, "")
    assert [(one.step, one.wall_seconds) for one in result.verdicts] == [(step.name, 1.25) for step in WORK.steps]
    assert (
        result.started_at == "2026-11-25T12:00:01.000+00:00" and result.finished_at == "2026-11-25T12:00:07.000+00:00"
    )
    assert not result.outputs


def test_a_result_counts_even_if_the_pod_is_taken_away_afterwards() -> None:
    gone = condition("DisruptionTarget", reason="EvictionByEvictionAPI")
    sighting = look([*completed(WORK, 4), ended(0, NOTE)], "Succeeded", conditions=[gone])
    assert end_of(sighting).outcome is Outcome.SUCCEEDED


def test_what_a_quiet_step_printed_is_dropped_and_what_another_printed_is_kept() -> None:
    said = [ending(step.name, Reason.COMPLETED, text=f"{step.name} saw 7") for step in WORK.steps]
    result = end_of(look([*said, ended(0, NOTE)], "Succeeded"))
    assert [one.text for one in result.verdicts] == ["", "simulate saw 7", "", ""]


def test_a_result_whose_log_cannot_be_read_is_the_platforms_error() -> None:
    result = undelivered(end_of(look([*completed(WORK, 4), ended(0, NOTE)], "Succeeded")), "the log was cut")
    assert (result.outcome, result.reason, result.message) == (
        Outcome.PLATFORM_ERROR,
        Reason.PLATFORM,
        "step deliver: the log was cut",
    )


# -- admission and quota -----------------------------------------------------------------------------------------
PSA = 'Error creating: pods "w-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
QUOTA = 'Error creating: pods "w-1" is forbidden: exceeded quota: q, requested: requests.memory=1Gi, used: 4Gi, limited: 4Gi'
UNKNOWN_QUOTA = 'Error creating: pods "w-1" is forbidden: status unknown for quota: q, resources: requests.memory'
RANGE = 'Error creating: pods "w-1" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 2Gi'
HOOK = 'Error creating: Internal error occurred: failed calling webhook "x": context deadline exceeded'


NEW = 'Error creating: pods "w-1" is forbidden: error looking up service account a/default: serviceaccount "default" not found'


@pytest.mark.parametrize("said", [PSA, RANGE])
def test_a_pod_that_the_cluster_does_not_admit_is_the_platforms_error_at_once(said: str) -> None:
    assert is_the_platforms(look_without_pod(events=(said,)), said, "prepare")


@pytest.mark.parametrize(
    ("said", "reason"),
    [(QUOTA, "QuotaExceeded"), (UNKNOWN_QUOTA, "QuotaExceeded"), (HOOK, "FailedCreate"), (NEW, "FailedCreate")],
)
def test_a_full_quota_a_hook_in_trouble_or_a_new_namespace_is_waiting_and_never_failure(said: str, reason: str) -> None:
    assert look_without_pod(events=(said,)) == Waiting(reason, said)


def test_of_several_refusals_the_last_counts() -> None:
    assert look_without_pod(events=(PSA, QUOTA)) == Waiting("QuotaExceeded", QUOTA)


def test_a_job_whose_time_was_over_before_there_was_room_is_made_anew() -> None:
    assert look_without_pod(LATE, events=(QUOTA,)) == Waiting("QuotaExceeded", QUOTA, over=True)
    assert look_without_pod(LATE) == Waiting("Starting", over=True)


def test_a_job_that_failed_and_has_no_pod_lost_its_evidence() -> None:
    assert is_the_platforms(look_without_pod(FAILED), "the pod was deleted", "prepare")
    assert is_the_platforms(look_without_pod(condition("Complete")), "the pod was deleted", "prepare")


def test_what_was_said_of_another_job_is_not_heard() -> None:
    other = event({"kind": "Job", "metadata": {"name": "w-2", "uid": "other"}}, "FailedCreate", PSA)
    assert seen(WORK, job(WORK), [], [other], START, PATIENCE) == Waiting("Starting")


# -- no room -----------------------------------------------------------------------------------------------------
NO_ROOM = condition("PodScheduled", "False", "Unschedulable", "0/2 nodes are available: 2 Insufficient memory.")


def test_a_pod_for_which_no_node_has_room_waits_however_long() -> None:
    sighting = look([], conditions=[NO_ROOM], accepted=False, after=10**5)
    assert sighting == Waiting("Unschedulable", NO_ROOM["message"])


def test_if_its_job_ends_meanwhile_it_is_made_anew() -> None:
    sighting = look([], conditions=[NO_ROOM], accepted=False, job_is=(LATE,))
    assert isinstance(sighting, Waiting) and sighting.over


# -- taken away --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "reason", ["EvictionByEvictionAPI", "DeletionByTaintManager", "TerminationByKubelet", "PreemptionByScheduler"]
)
def test_a_drained_lost_or_preempted_pod_is_the_platforms_error_while_it_still_seems_to_run(reason: str) -> None:
    taken = condition("DisruptionTarget", reason=reason, message="by a drain")
    sighting = look([*completed(WORK, 1), running()], conditions=[taken])
    assert is_the_platforms(sighting, reason, "simulate")
    assert [one.step for one in end_of(sighting).verdicts] == ["prepare", "simulate"]


def test_what_a_launcher_said_when_it_was_evicted_changes_nothing() -> None:
    taken = condition("DisruptionTarget", reason="EvictionByEvictionAPI")
    states = [*completed(WORK, 1), ending("simulate", Reason.PLATFORM, "stopped")]
    assert is_the_platforms(look(states, conditions=[taken], job_is=(FAILED,)), "taken away", "simulate")


@pytest.mark.parametrize("about", [{"phase": "Unknown"}, {"phase": "Failed", "reason": "NodeLost"}])
def test_a_pod_whose_node_does_not_answer_is_lost(about: dict[str, str]) -> None:
    assert is_the_platforms(look([running()], **about), "is lost", "prepare")


def test_a_deleted_pod_that_does_not_go_is_lost_after_a_time() -> None:
    body = pod(WORK, [running()])
    body["metadata"]["deletionTimestamp"] = at(1)
    soon, late = (seen(WORK, job(WORK), [body], [], START + timedelta(seconds=s), PATIENCE) for s in (10, 100))
    assert soon == Running("prepare") and is_the_platforms(late, "is lost", "prepare")


# -- eviction ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "message",
    [
        'Container 1-simulate exceeded its local ephemeral storage limit "64Mi". ',
        "Pod ephemeral local storage usage exceeds the total limit of containers 320Mi. ",
        'Usage of EmptyDir volume "box-1" exceeds the limit "64Mi". ',
    ],
)
def test_a_step_that_filled_the_nodes_disk_past_its_own_limit_is_at_fault(message: str) -> None:
    states = [*completed(WORK, 1), lost()]
    assert is_its_own(look(states, reason="Evicted", message=message), Reason.OUTPUT_FLOOD, "simulate")


def test_the_container_that_an_eviction_names_is_at_fault_even_if_it_completed() -> None:
    named = 'Container 1-simulate exceeded its local ephemeral storage limit "64Mi". '
    states = [*completed(WORK, 2), lost()]
    assert is_its_own(look(states, reason="Evicted", message=named), Reason.OUTPUT_FLOOD, "simulate")


def test_a_node_in_need_evicts_whom_it_likes() -> None:
    said = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi."
    states = [*completed(WORK, 1), lost()]
    assert is_the_platforms(look(states, reason="Evicted", message=said), "low on resource", "simulate")


def test_a_last_container_that_fills_the_disk_is_ours() -> None:
    said = 'Container deliver exceeded its local ephemeral storage limit "64Mi". '
    states = [*completed(WORK, 4), ended(137)]
    assert is_the_platforms(look(states, reason="Evicted", message=said), "evicted", "deliver")


# -- images, volumes, starts -------------------------------------------------------------------------------------
PULL = 'Back-off pulling image "docker.io/fedwright/bench:dev"'


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_cannot_be_pulled_is_waited_for_and_then_is_the_platforms_error(reason: str) -> None:
    states = [*completed(WORK, 1), waiting(reason, PULL)]
    assert look(states) == Waiting(reason, PULL)
    assert is_the_platforms(look(states, after=400), PULL, "simulate")


def test_an_image_that_never_can_be_had_is_not_waited_for() -> None:
    assert is_the_platforms(look([waiting("ErrImageNeverPull", "not present")]), "not present", "prepare")


def test_at_the_deadline_an_image_that_was_missing_is_known_from_what_was_said() -> None:
    sighting = look(
        [*completed(WORK, 1), lost()],
        reason="DeadlineExceeded",
        message="Pod was active on the node longer than the specified deadline",
        events=(("BackOff", PULL),),
    )
    assert is_the_platforms(sighting, PULL, "simulate")


def test_a_container_that_was_never_started_is_never_the_works_fault() -> None:
    sighting = look([*completed(WORK, 1), lost()], reason="DeadlineExceeded", message="Pod was active too long")
    assert is_the_platforms(sighting, "1-simulate was never started: Pod was active too long", "simulate")


MOUNT = 'MountVolume.SetUp failed for volume "in-0" : configmap "a-1" not found'


@pytest.mark.parametrize(
    ("reason", "message"), [("FailedMount", MOUNT), ("FailedCreatePodSandBox", "no user namespaces")]
)
def test_a_volume_or_sandbox_that_cannot_be_made_is_waited_for_and_then_is_the_platforms_error(
    reason: str, message: str
) -> None:
    said = ((reason, message),)
    assert look([], events=said) == Waiting(reason, message)
    assert is_the_platforms(look([], events=said, after=400), message, "prepare")


def test_a_mount_that_failed_before_a_step_ran_is_forgotten() -> None:
    body = pod(WORK, [ending("prepare", Reason.COMPLETED, begin=60, end=70)])
    said = [event(body, "FailedMount", MOUNT, 5)]
    assert seen(WORK, job(WORK), [body], said, START + timedelta(seconds=71), PATIENCE) == Running("simulate")


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_container_that_cannot_be_made_is_waited_for_and_then_is_the_platforms_error(reason: str) -> None:
    states = [waiting(reason, 'secret "w-1" not found')]
    assert look(states) == Waiting(reason, 'secret "w-1" not found')
    assert is_the_platforms(look(states, after=400), "not found", "prepare")


def test_a_container_whose_program_cannot_be_started_is_the_platforms_error() -> None:
    states = [ended(128, "exec: python: not found", reason="StartError")]
    assert is_the_platforms(look(states, job_is=(FAILED,)), "could not start: exec: python: not found", "prepare")


# -- memory ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", [137, 72, 0])
def test_a_step_that_was_out_of_memory_is_at_fault_at_once_whatever_its_exit_code(code: int) -> None:
    """With 0 the pod would hang in PodInitializing until its deadline."""
    states = [*completed(WORK, 1), ended(code, reason="OOMKilled")]
    assert is_its_own(look(states, "Pending"), Reason.OUT_OF_MEMORY, "simulate")


def test_out_of_memory_stands_against_a_launcher_that_says_otherwise() -> None:
    states = [*completed(WORK, 1), ended(0, told("simulate"), reason="OOMKilled")]
    result = end_of(look(states, "Pending"))
    assert result.reason is Reason.OUT_OF_MEMORY and result.verdicts[-1].wall_seconds == 1.25


def test_a_last_container_that_was_out_of_memory_is_ours() -> None:
    states = [*completed(WORK, 4), ended(137, reason="OOMKilled")]
    assert is_the_platforms(look(states), "out of memory", "deliver")


# -- time --------------------------------------------------------------------------------------------------------
POD_LATE: dict[str, Any] = {
    "reason": "DeadlineExceeded",
    "message": "Pod was active on the node longer than the specified deadline",
}


def test_a_step_whose_launcher_ended_it_in_time_is_at_fault() -> None:
    states = [*completed(WORK, 1), ending("simulate", Reason.DEADLINE_EXCEEDED, text="round 3")]
    sighting = look(states, job_is=(FAILED,))
    assert is_its_own(sighting, Reason.DEADLINE_EXCEEDED, "simulate")
    assert (
        end_of(sighting).message == "step simulate: DeadlineExceeded"
        and end_of(sighting).verdicts[-1].text == "round 3"
    )


def test_a_step_that_ran_into_the_pods_deadline_past_its_own_is_at_fault() -> None:
    states = [*completed(WORK, 1), ended(137, begin=5, end=5 + 100)]
    assert is_its_own(look(states, **POD_LATE), Reason.DEADLINE_EXCEEDED, "simulate")


def test_a_step_that_the_pods_deadline_stopped_within_its_own_time_is_not() -> None:
    states = [*completed(WORK, 1), ending("simulate", Reason.PLATFORM, "stopped", begin=5, end=40)]
    assert is_the_platforms(look(states, **POD_LATE), "the step's own was not", "simulate")


def test_a_step_that_failed_by_itself_as_the_pods_time_ended_is_at_fault() -> None:
    states = [*completed(WORK, 1), ending("simulate", Reason.CRASHED, begin=5, end=40)]
    assert is_its_own(look(states, **POD_LATE), Reason.CRASHED, "simulate")


def test_a_job_that_ran_out_of_time_while_a_step_ran_is_the_platforms_error() -> None:
    assert is_the_platforms(look([running()], job_is=(LATE,)), "the pod's time was over", "prepare")


# -- how steps end -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "reason",
    [Reason.CRASHED, Reason.KILLED_BY_SIGNAL, Reason.OUTPUT_FLOOD, Reason.OUT_OF_MEMORY, Reason.BAD_OUTPUT],
)
def test_how_a_step_failed_is_what_its_launcher_saw(reason: Reason) -> None:
    states = [*completed(WORK, 1), ending("simulate", reason, "as seen", exit_code=1, text="Traceback: ...")]
    sighting = look(states, job_is=(FAILED,))
    assert is_its_own(sighting, reason, "simulate")
    result = end_of(sighting)
    assert result.message == "step simulate: as seen"
    assert (result.verdicts[-1].exit_code, result.verdicts[-1].text) == (1, "Traceback: ...")


def test_the_step_is_named_once_in_the_message() -> None:
    states = [*completed(WORK, 1), ending("simulate", Reason.CRASHED, "step simulate: Crashed")]
    assert end_of(look(states)).message == "step simulate: Crashed"


@pytest.mark.parametrize("reason", [Reason.PLATFORM, Reason.NO_SANDBOX])
def test_what_a_launcher_calls_the_platforms_fault_is(reason: Reason) -> None:
    result = end_of(look([*completed(WORK, 1), ending("simulate", reason, "the network is not closed")]))
    assert (result.outcome, result.reason) == (Outcome.PLATFORM_ERROR, reason)
    assert result.message == "step simulate: the network is not closed"


@pytest.mark.parametrize(
    "reason", [one for one in Reason if one not in {Reason.COMPLETED, Reason.PLATFORM, Reason.NO_SANDBOX}]
)
def test_a_launcher_whose_message_is_lost_is_known_by_its_exit_code(reason: Reason) -> None:
    states = [*completed(WORK, 1), ended(EXIT_CODES[reason], told("simulate", reason)[:50])]
    assert is_its_own(look(states), reason, "simulate")


@pytest.mark.parametrize("code", [1, 2, 64, 137, 143, 255])
def test_an_exit_code_that_no_launcher_has_is_the_platforms_error(code: int) -> None:
    assert is_the_platforms(look([*completed(WORK, 1), ended(code)]), f"ended with {code}", "simulate")


@pytest.mark.parametrize(
    "message",
    [
        told("predict", Reason.COMPLETED),
        told("simulate", Reason.COMPLETED),
        told("simulate", Reason.OUT_OF_MEMORY),
        told("simulate", Reason.CRASHED, rounds=7),
        told("simulate", Reason.CRASHED).replace("1.25", "-1.25"),
        told("simulate", Reason.CRASHED).replace("1.25", "NaN"),
        told("simulate", Reason.CRASHED).replace("1.25", "9" * 4000),
        "[" * 4096,
        "\ud800",
    ],
)
def test_a_message_that_does_not_fit_its_container_does_not_count(message: str) -> None:
    states = [*completed(WORK, 1), ended(EXIT_CODES[Reason.CRASHED], message, begin=2, end=7)]
    result = end_of(look(states))
    assert (result.reason, result.outcome) == (Reason.CRASHED, Outcome.FAILED)
    assert result.verdicts[-1].wall_seconds == 5.0 and result.verdicts[-1].rounds is None


def test_a_completed_step_whose_message_is_lost_is_known_by_its_times() -> None:
    states = completed(WORK, 4)
    states[1] = ended(0, "", begin=2, end=9)
    result = end_of(look([*states, ended(0, NOTE)], "Succeeded"))
    assert result.outcome is Outcome.SUCCEEDED and result.verdicts[1].wall_seconds == 7.0


def test_but_not_if_it_is_a_fleet_for_its_messages_are_counted_there_alone() -> None:
    fleet = WORK.steps[1].model_copy(update={"fleet": 3})
    work = WORK.model_copy(update={"steps": (WORK.steps[0], fleet, *WORK.steps[2:])})
    states = completed(work, 4)
    assert end_of(look([*states, ended(0, NOTE)], "Succeeded", work=work)).verdicts[1].bytes_up == 10
    states[1] = ended(0)
    assert is_the_platforms(look([*states, ended(0, NOTE)], "Succeeded", work=work), "how it ended is lost", "simulate")


def test_a_judge_that_fails_is_named_so_that_no_candidate_is_blamed() -> None:
    states = [*completed(WORK, 3), ending("score", Reason.CRASHED, text="labels")]
    assert is_its_own(look(states), Reason.CRASHED, "score")
    assert end_of(look(states)).verdicts[-1].text == ""


@pytest.mark.parametrize(
    ("reason", "again"), [(Reason.CRASHED, True), (Reason.BAD_OUTPUT, True), (Reason.DEADLINE_EXCEEDED, False)]
)
def test_a_platform_box_that_falls_over_is_tried_again_unless_its_time_was_over(reason: Reason, again: bool) -> None:
    result = end_of(look([ending("deploy", reason)], work=a_deployment()))
    assert (result.outcome is Outcome.PLATFORM_ERROR) == again and result.reason is reason


def test_a_step_is_not_judged_before_the_pod_has_ended() -> None:
    """Its end may turn out to be an eviction or the pod's deadline."""
    states = [*completed(WORK, 1), ending("simulate", Reason.PLATFORM, "stopped")]
    assert look(states, "Pending") == Running("simulate")


# -- delivery ----------------------------------------------------------------------------------------------------
def test_an_output_that_cannot_be_delivered_is_the_steps_fault_that_left_it() -> None:
    states = [*completed(WORK, 4), ended(EXIT_CODES[Reason.BAD_OUTPUT], json.dumps({"error": "score.json is a link"}))]
    sighting = look(states)
    assert is_its_own(sighting, Reason.BAD_OUTPUT, "score")
    assert end_of(sighting).message == "step score: score.json is a link"


@pytest.mark.parametrize("message", ["", "no JSON", "[" * 4096, '{"error": 1}'])
def test_whatever_it_says_about_it(message: str) -> None:
    states = [*completed(WORK, 4), ended(EXIT_CODES[Reason.BAD_OUTPUT], message)]
    assert is_its_own(look(states), Reason.BAD_OUTPUT, "score")


@pytest.mark.parametrize("code", [1, 65, 78, 137])
def test_a_last_container_that_fails_otherwise_is_ours(code: int) -> None:
    assert is_the_platforms(look([*completed(WORK, 4), ended(code, "bug")]), f"ended with {code}: bug", "deliver")


# -- whatever the API says -----------------------------------------------------------------------------------------
STATES = st.one_of(
    st.builds(ended, st.integers(0, 255), st.text(max_size=60), reason=st.sampled_from(["", "OOMKilled", "StartError"])),
    st.sampled_from([running(), waiting(), waiting("ErrImagePull", "x"), lost(), {}]),
    st.builds(lambda step, reason: ending(step, reason), st.sampled_from([one.name for one in WORK.steps]), st.sampled_from(Reason)),
)  # fmt: skip


@given(
    st.lists(STATES, max_size=5),
    st.sampled_from(["Pending", "Running", "Failed", "Succeeded", "Unknown", "New"]),
    st.sampled_from(["", "Evicted", "DeadlineExceeded", "Other"]),
    st.text(max_size=40),
    st.sampled_from([(), (FAILED,), (LATE,)]),
    st.integers(0, 10**6),
)
def test_any_state_has_an_answer_that_can_be_kept(
    states: list[Json], phase: str, reason: str, message: str, job_is: tuple[Json, ...], after: int
) -> None:
    sighting = look(states, phase, reason=reason, message=message, job_is=job_is, after=after)
    if isinstance(sighting, Finished):
        result = sighting.result
        assert WorkResult.model_validate_json(result.model_dump_json()) == result
        assert result.message.isascii() and result.verdicts
        assert (result.outcome is Outcome.SUCCEEDED) == (sighting.delivered is not None)
        assert (result.outcome is Outcome.SUCCEEDED) == (result.reason is Reason.COMPLETED)


@given(st.lists(STATES, max_size=5), st.sampled_from(["", "Evicted", "DeadlineExceeded"]))
def test_nothing_succeeds_whose_last_container_has_not_completed(states: list[Json], reason: str) -> None:
    sighting = look([*states[:4], *[waiting()] * (4 - len(states[:4])), ended(1)], "Failed", reason=reason)
    assert end_of(sighting).outcome is not Outcome.SUCCEEDED
