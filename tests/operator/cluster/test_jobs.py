"""A work as a Job: whatever the work, the pod is restricted, each container sees what its step names, and limits hold."""

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pod_security import containers, violations
from some_works import IMAGES, a_deployment, a_judging, a_mind, works

from fedwright_boxes.limits import SCRATCH_BYTES
from fedwright_boxes.pod.contract import GRACE_SECONDS, LAST_SECONDS
from fedwright_crds.base import digest_of
from fedwright_crds.work import MIB, BoxKind, Work
from fedwright_operator.cluster import fit, names
from fedwright_operator.cluster.fit import UnfitWorkError
from fedwright_operator.cluster.jobs import Given, Manifests, Whose, manifests, pod_seconds
from fedwright_operator.cluster.settings import BoxSettings, Image, ImageError, ReferBy, UserIds, mebibytes
from fedwright_operator.cluster.sizes import cells_mib

OWNER = {"apiVersion": "fedwright.dev/v1alpha1", "kind": "FLStrategyRequest", "name": "digits", "uid": "u-1"}
WHOSE = Whose(namespace="default", root="u-1", owner=OWNER)
SETTINGS = BoxSettings(
    images={kind: Image(repository=f"docker.io/fedwright/{kind.lower()}", digest=IMAGES[kind]) for kind in BoxKind},
    probes=("10.96.0.1:443", "10.96.0.10:53"),
)
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def made(work: Work, chosen: BoxSettings = SETTINGS, **given: Any) -> Manifests:
    pieces = {one.digest: (f"a-{one.digest[7:]}-0", f"a-{one.digest[7:]}-1") for one in work.inputs}
    if any(map(fit.asks_a_model, work.steps)):
        given.setdefault("secret", {"gateway.json": b"{}"})
    return manifests(work, WHOSE, Given(pieces=pieces, **given), chosen)


def pod_of(work: Work, chosen: BoxSettings = SETTINGS, **given: Any) -> dict[str, Any]:
    spec: dict[str, Any] = made(work, chosen, **given).job["spec"]["template"]["spec"]
    return spec


def mounts(container: dict[str, Any]) -> dict[str, str]:
    """Volume by place, with `rw:` before what may be written."""
    return {one["mountPath"]: ("" if one.get("readOnly") else "rw:") + one["name"] for one in container["volumeMounts"]}


def mib(container: dict[str, Any], which: str = "limits") -> int:
    return mebibytes(container["resources"][which]["memory"])


# -- whatever the work ---------------------------------------------------------------------------------------
@few
@given(works())
def test_any_sound_work_is_a_pod_that_a_restricted_namespace_admits(work: Work) -> None:
    spec = pod_of(work)
    assert not violations(spec)
    assert "runAsUser" in spec["securityContext"], "a runtime takes no group without a user"
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
    for container in containers(spec):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] and context["capabilities"] == {"drop": ["ALL"]}
        for which in ("limits", "requests"):
            assert set(container["resources"][which]) == {"cpu", "memory", "ephemeral-storage"}
        assert 0 < mib(container, "requests") <= mib(container)


@few
@given(works())
def test_each_container_mounts_what_its_step_names_and_nothing_else(work: Work) -> None:
    spec = pod_of(work)
    for step, container in zip(work.steps, spec["initContainers"], strict=True):
        seen = {place for place in mounts(container) if place.startswith("/fedwright")}
        named = {f"/fedwright/in/{name}" for name in step.inputs}
        named |= {f"/fedwright/from/{name}" for name in step.reads} | {f"/fedwright/to/{name}" for name in step.writes}
        named |= {"/fedwright/out"} if step.outputs else set()
        named |= {"/fedwright/secret"} if fit.asks_a_model(step) else set()
        assert seen == named | {"/fedwright/work"}
        writable = {place for place, volume in mounts(container).items() if volume.startswith("rw:")}
        assert writable == {place for place in named if place.startswith(("/fedwright/to", "/fedwright/out"))} | {
            "/box"
        }
    (deliver,) = spec["containers"]
    assert set(mounts(deliver)) == {"/fedwright/work"} | {
        f"/fedwright/out/{step.name}" for step in work.steps if step.outputs
    }
    assert not any(volume.startswith("rw:") for volume in mounts(deliver).values())


@few
@given(works())
def test_no_folder_that_one_step_writes_is_seen_by_another_but_as_the_handover_or_output_that_it_is(work: Work) -> None:
    writers: dict[str, list[str]] = {}
    for container in containers(pod_of(work)):
        for volume in mounts(container).values():
            if volume.startswith("rw:"):
                writers.setdefault(volume, []).append(container["name"])
    assert all(len(found) == 1 for found in writers.values())


@few
@given(works())
def test_names_labels_and_volumes_are_what_the_api_takes(work: Work) -> None:
    manifest = made(work)
    job, spec = manifest.job, manifest.job["spec"]["template"]["spec"]
    found = [one["name"] for one in containers(spec)]
    assert found == list(names.container_names(work)) and len(set(found)) == len(found)
    volumes = [one["name"] for one in spec["volumes"]]
    assert len(set(volumes)) == len(volumes)
    assert all(DNS_LABEL.fullmatch(name) for name in (*found, *volumes, job["metadata"]["name"]))
    assert {one["name"] for container in containers(spec) for one in container["volumeMounts"]} <= set(volumes)
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert all(LABEL_VALUE.fullmatch(value) for value in labels.values())


@few
@given(works())
def test_every_folder_in_memory_has_a_size_and_counts_towards_the_limits_of_who_may_find_it_full(work: Work) -> None:
    spec = pod_of(work)
    sizes = {}
    for volume in spec["volumes"]:
        if "emptyDir" in volume:
            assert volume["emptyDir"]["medium"] == "Memory"
            sizes[volume["name"]] = mebibytes(volume["emptyDir"]["sizeLimit"])
    kept = 0
    for step, container in zip(work.steps, spec["initContainers"], strict=True):
        own = [volume.removeprefix("rw:") for volume in mounts(container).values() if volume.startswith("rw:")]
        handed_on = sum(sizes[volume] for volume in own if not volume.startswith("box-"))
        assert mib(container) >= cells_mib(step) + kept + handed_on
        kept += handed_on
        assert sizes[f"box-{work.steps.index(step)}"] * MIB >= SCRATCH_BYTES
    assert mib(spec["containers"][0]) > kept


@few
@given(works())
def test_the_deadlines_are_one_within_the_other(work: Work) -> None:
    job = made(work).job["spec"]
    walls = sum(step.wall_seconds for step in work.steps)
    assert walls < job["template"]["spec"]["activeDeadlineSeconds"] < job["activeDeadlineSeconds"]
    assert job["backoffLimit"] == 0 and job["template"]["spec"]["restartPolicy"] == "Never"


@few
@given(works())
def test_programs_of_ours_have_time_to_leave_things_in_order_and_all_others_end_at_once(work: Work) -> None:
    grace = pod_of(work)["terminationGracePeriodSeconds"]
    ours = {step.box for step in work.steps} == {BoxKind.PLATFORM}
    assert grace == LAST_SECONDS + (GRACE_SECONDS[BoxKind.PLATFORM] if ours else 0)


@few
@given(works(), works())
def test_user_ids_are_within_their_range_and_none_is_shared_within_a_pod(work: Work, other: Work) -> None:
    spec = pod_of(work)
    users = [one["securityContext"]["runAsUser"] for one in containers(spec)]
    group = spec["securityContext"]["fsGroup"]
    assert len({*users, group}) == len(users) + 1
    ids = SETTINGS.user_ids
    assert all(ids.first <= one < ids.first + ids.count for one in (*users, group))
    if work.id != other.id:
        others = [one["securityContext"]["runAsUser"] for one in containers(pod_of(other))]
        assert not {*users} & {*others} or users[0] == others[0]


@few
@given(works())
def test_what_a_pod_is_told_is_the_work_itself(work: Work) -> None:
    told = json.loads(made(work).config_map["data"]["work.json"])
    read = Work.model_validate_json(json.dumps(told))
    assert read.id == work.id and read.steps == work.steps and not read.labels


# -- by hand -------------------------------------------------------------------------------------------------
def test_a_judging_work_is_four_steps_and_a_delivery_without_any_network() -> None:
    manifest = made(a_judging(labels={"kind": "Candidate", "name": "fedavg"}))
    spec = manifest.job["spec"]["template"]["spec"]
    assert [one["name"] for one in containers(spec)] == ["0-prepare", "1-simulate", "2-predict", "3-score", "deliver"]
    assert spec["initContainers"][1]["command"] == [
        *("python", "-I", "-B", "-m", "fedwright_boxes.pod.launch", "simulate"),
        *("--probe", "10.96.0.1:443", "--probe", "10.96.0.10:53"),
    ]
    assert mounts(spec["initContainers"][3]) == {
        "/fedwright/work": "work",
        "/fedwright/in/judge.json": "in-0",
        "/fedwright/from/labels": "hand-1",
        "/fedwright/from/answers": "hand-3",
        "/fedwright/out": "rw:out-3",
        "/box": "rw:box-3",
        "/dev/shm": "no-shm",
    }
    assert spec["dnsPolicy"] == "None" and spec["dnsConfig"] == {"nameservers": ["127.0.0.1"]}
    assert manifest.job["metadata"]["labels"][names.NETWORK] == "closed" and manifest.secret is None
    assert manifest.job["metadata"]["ownerReferences"] == [OWNER]
    images = [one["image"] for one in containers(spec)]
    judge, bench = (f"docker.io/fedwright/{kind.lower()}@{IMAGES[kind]}" for kind in (BoxKind.JUDGE, BoxKind.BENCH))
    assert images == [judge, bench, bench, judge, judge]


def test_an_input_in_pieces_is_put_together_in_their_order() -> None:
    volumes = {one["name"]: one for one in pod_of(a_judging())["volumes"]}
    digest = digest_of(b"judge.json")[7:]
    assert volumes["in-0"]["projected"]["sources"] == [
        {"configMap": {"name": f"a-{digest}-{number}", "items": [{"key": "data", "path": f"00{number}"}]}}
        for number in (0, 1)
    ]


def test_a_small_order_is_told_with_the_work_and_mounted_by_the_steps_that_read_it_alone() -> None:
    work = a_judging()
    first, *others = work.inputs
    given = Given(pieces={one.digest: ("a",) for one in others}, told={first.digest: b"{}"})
    made = manifests(work, WHOSE, given, SETTINGS)
    assert made.config_map["binaryData"] == {"in-0": base64.b64encode(b"{}").decode()}
    volumes = {one["name"]: one for one in made.job["spec"]["template"]["spec"]["volumes"]}
    (source,) = volumes["in-0"]["projected"]["sources"]
    assert source["configMap"] == {"name": f"w-{work.id}", "items": [{"key": "in-0", "path": "000"}]}
    assert volumes["work"]["configMap"]["items"] == [{"key": "work.json", "path": "work.json"}]


def test_a_mind_behind_a_model_has_dns_and_its_secret_and_one_of_the_catalogue_has_neither() -> None:
    asking = made(a_mind("fast"), secret={"gateway.json": b"{}"})
    assert asking.secret is not None and asking.secret["data"] == {"gateway.json": "e30="}
    spec = asking.job["spec"]["template"]["spec"]
    assert spec["dnsPolicy"] == "ClusterFirst" and mounts(spec["initContainers"][0])["/fedwright/secret"] == "secret"
    closed = made(a_mind("catalogue"))
    assert closed.secret is None
    assert closed.job["spec"]["template"]["spec"]["dnsPolicy"] == "None"


def test_a_platform_step_mounts_the_secret_of_its_federation() -> None:
    manifest = made(a_deployment(), federation_secret="hospital-control")
    spec = manifest.job["spec"]["template"]["spec"]
    assert {"name": "secret", "secret": {"secretName": "hospital-control", "defaultMode": 0o440}} in spec["volumes"]
    assert manifest.job["metadata"]["labels"][names.FEDERATION] == "hospital"
    assert "--probe" not in spec["initContainers"][0]["command"]


def test_a_fleet_asks_for_less_than_a_whole_box_for_each_member() -> None:
    work = a_judging()
    fleet = work.steps[1].model_copy(update={"fleet": 20})
    limit = mib(pod_of(work.model_copy(update={"steps": (work.steps[0], fleet, *work.steps[2:])}))["initContainers"][1])
    assert 1024 + 20 * 128 < limit < 21 * 1024 / 2


def test_the_request_of_memory_is_a_share_of_the_limit() -> None:
    whole = SETTINGS.model_copy(update={"memory_share": 1.0})
    assert all(mib(one) == mib(one, "requests") for one in containers(pod_of(a_judging(), whole)))
    assert all(mib(one, "requests") < mib(one) / 2 for one in pod_of(a_judging())["initContainers"])


def test_what_the_administrator_wishes_is_in_the_pod() -> None:
    wishes = SETTINGS.model_validate_json(
        json.dumps(
            SETTINGS.to_wire()
            | {
                "runtimeClassName": "gvisor",
                "nodeSelector": {"boxes": "here"},
                "tolerations": [{"key": "boxes", "operator": "Exists"}],
                "imagePullSecrets": ["registry"],
                "hostUsers": False,
            }
        )
    )
    spec = pod_of(a_judging(), wishes)
    assert spec["runtimeClassName"] == "gvisor" and spec["nodeSelector"] == {"boxes": "here"}
    assert {"key": "boxes", "operator": "Exists"} in spec["tolerations"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}] and spec["hostUsers"] is False
    assert all(one["securityContext"]["runAsUser"] < 65536 for one in containers(spec)), "ids within a user namespace"
    assert "hostUsers" not in pod_of(a_judging())


# -- refusals ------------------------------------------------------------------------------------------------
def with_step(work: Work, place: int, **fields: Any) -> Work:
    steps = list(work.steps)
    steps[place] = steps[place].model_copy(update=fields)
    return work.model_copy(update={"steps": tuple(steps), "images": IMAGES})


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (with_step(a_judging(), 1, box=BoxKind.MIND), "Mind step is in one work with steps of Bench, Judge"),
        (with_step(a_judging(), 3, box=BoxKind.PLATFORM), "Platform step"),
        (with_step(a_judging(), 1, name="predict"), "two of the work's steps are called predict"),
        (with_step(a_judging(), 0, reads=("answers",)), "reads names answers"),
        (with_step(a_judging(), 2, writes=("checkpoint",)), "writes names checkpoint"),
        (with_step(a_judging(), 2, outputs=("score.json",)), "outputs names score.json"),
        (with_step(a_judging(), 1, inputs=("labels.json",)), "inputs names labels.json"),
        (with_step(a_judging(), 1, federation="hospital"), "names a federation"),
        (a_judging().model_copy(update={"images": {}}), "pins no image"),
    ],
)
def test_a_work_that_cannot_be_one_pod_is_refused_with_the_reason(work: Work, words: str) -> None:
    with pytest.raises(UnfitWorkError, match=re.escape(words)):
        made(work)


def test_a_secret_is_given_to_minds_behind_a_model_alone() -> None:
    with pytest.raises(UnfitWorkError, match="secret"):
        made(a_judging(), secret={"gateway.json": b"{}"})
    with pytest.raises(UnfitWorkError, match="secret"):
        made(a_judging(), federation_secret="hospital-control")
    with pytest.raises(UnfitWorkError, match="secret"):
        made(a_mind("fast"), secret={})


def test_an_input_that_is_not_there_is_named() -> None:
    with pytest.raises(UnfitWorkError, match="is no artifact"):
        manifests(a_judging(), WHOSE, Given(pieces={}), SETTINGS)


def test_a_work_keeps_its_image_over_an_upgrade_or_says_that_it_cannot() -> None:
    work = a_judging()
    later = {kind: image.model_copy(update={"digest": digest_of(b"later")}) for kind, image in SETTINGS.images.items()}
    upgraded = SETTINGS.model_copy(update={"images": later})
    assert pod_of(work, upgraded)["initContainers"][0]["image"].endswith(IMAGES[BoxKind.JUDGE])
    loaded = upgraded.model_copy(update={"refer_by": ReferBy.TAG})
    with pytest.raises(ImageError, match="by its tag alone"):
        made(work, loaded)
    with pytest.raises(ImageError, match="no image is configured for Judge boxes"):
        made(work, SETTINGS.model_copy(update={"images": {}}))


def test_images_known_by_tag_are_named_by_it() -> None:
    images = {kind: Image(repository=f"docker.io/fedwright/{kind.lower()}", tag="dev") for kind in BoxKind}
    chosen = BoxSettings(images=images)
    assert pod_of(a_judging(chosen.pins), chosen)["initContainers"][0]["image"] == "docker.io/fedwright/judge:dev"


@pytest.mark.parametrize(
    "field",
    [
        {"userIds": {"first": 2**31 - 10, "count": 1000}},
        {"userIds": {"first": 0}},
        {"probes": ["api server"]},
        {"memoryShare": 0},
        {"requests": {"memory": "half"}},
        {"images": {"Bench": {"repository": "UPPER"}}},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(field))):
        BoxSettings.model_validate_json(json.dumps(SETTINGS.to_wire() | field))


def test_quantities_are_read_as_the_api_reads_them() -> None:
    assert [mebibytes(one) for one in ("256Mi", "2Gi", "1Ki", "1048577", "0")] == [256, 2048, 1, 2, 0]
    assert UserIds().first > 65536
    assert pod_seconds(a_judging(), SETTINGS) == 60 + 100 + 60 + 60 + 600
