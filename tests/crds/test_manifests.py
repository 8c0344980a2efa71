"""Manifests: what a person writes is read as kubectl reads it, and every mistake gets one line that says how to mend it."""

import json
from pathlib import Path

import pytest
import yaml
from wrong_requests import GOOD, WRONG, Wrong, with_field

from fedwright_crds.manifests import MOST_BYTES, ManifestError, dump_yaml, load_manifests
from fedwright_crds.request import FLStrategyRequest, Stage

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*.yaml"))
HEAD = "apiVersion: fedwright.dev/v1alpha1\nkind: FLStrategyRequest\nmetadata: {name: a}\n"
SPEC = "spec: {goal: g, task: {data: {source: Digits}}}\n"


def refused(text: str | Path) -> str:
    with pytest.raises(ManifestError) as refusal:
        load_manifests(text)
    return str(refusal.value)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_read_and_written_back(file: Path) -> None:
    (request,) = load_manifests(file)
    assert isinstance(request, FLStrategyRequest)
    assert load_manifests(dump_yaml(request)) == [request]


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_mistake_gets_one_line_with_the_field_and_the_mend(wrong: Wrong) -> None:
    line = refused(yaml.safe_dump(wrong.document))
    assert line.partition(": ")[2] == wrong.message


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 1]], "groups of odd leave one class; make at least two groups"),
        ([[0, 1], [0, 2]], "groups of odd hold class 0 twice; put each class into one group"),
    ],
    ids=["one group", "a class twice"],
)
def test_groups_that_are_no_grouping_are_refused(groups: list[list[int]], message: str) -> None:
    line = refused(yaml.safe_dump(with_field(GOOD, "spec.task.heads", [{"name": "odd", "groups": groups}])))
    assert line.partition(": ")[2] == f"spec.task.heads[0].{message}"


def test_all_mistakes_are_told_at_once_in_their_lines() -> None:
    text = HEAD + "spec:\n  goal: ''\n  task:\n    data: {source: Digits}\n    clients: many\n  serach: {}\n"
    assert refused(text).splitlines() == [
        'line 5: spec.goal is ""; give text of 1 to 16,384 characters',
        'line 8: spec.task.clients is "many"; give a whole number from 2 to 1,000',
        "line 9: spec.serach is not a field; write search",
    ]


def test_more_than_a_screen_of_mistakes_is_counted() -> None:
    problems = refused(yaml.safe_dump({**GOOD, "kind": "Deployment", "spec": {f"x{i}": i for i in range(40)}}))
    assert len(problems.splitlines()) == 9
    assert problems.splitlines()[-1] == "and 34 more like these"


@pytest.mark.parametrize("text", ["", "\n\n", "# later\n", "---\n---\n", "null\n"])
def test_an_empty_file_says_so(text: str, tmp_path: Path) -> None:
    file = tmp_path / "wish.yaml"
    file.write_text(text)
    assert refused(file) == f"{file}: there is nothing in it; write a resource, such as FLStrategyRequest"


def test_two_documents_with_one_name_are_refused() -> None:
    one = HEAD + SPEC
    assert refused(f"{one}---\n{one}") == (
        "line 8: metadata.name a is already that of the FLStrategyRequest at line 1; rename one of the two"
    )


LIST = "apiVersion: v1\nkind: List\nitems:\n"


def test_a_list_is_its_items_each_with_its_line() -> None:
    good, bad = json.dumps(GOOD), json.dumps(with_field(with_field(GOOD, "metadata.name", "b"), "spec.serach", {}))
    assert [one.metadata.name for one in load_manifests(f"{LIST}- {good}\n")] == ["good"]
    assert refused(f"{LIST}- {good}\n- {bad}\n") == "line 5: spec.serach is not a field; write search"
    assert refused(f"{LIST}- 1\n") == "line 4: a document is no mapping; write apiVersion, kind, metadata and spec"


def test_one_name_twice_on_one_line_is_refused() -> None:
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [GOOD, GOOD]})
    assert refused(listed).endswith("metadata.name good is already that of the FLStrategyRequest at line 1; "
                                    "rename one of the two")  # fmt: skip


def test_one_name_in_two_namespaces_is_two_resources() -> None:
    one = yaml.safe_dump(GOOD)
    other = yaml.safe_dump(with_field(GOOD, "metadata.namespace", "lab"))
    assert [found.metadata.namespace for found in load_manifests(f"{one}---\n{other}")] == ["default", "lab"]


@pytest.mark.parametrize(
    ("text", "message"),
    {
        "no kind": ("apiVersion: fedwright.dev/v1alpha1\n", "kind is missing; give FLStrategyRequest or"),
        "kind of wrong case": (HEAD.replace("FLS", "FlS"), 'kind is "FlStrategyRequest"; give FLStrategyRequest'),
        "kind that is a list": (HEAD.replace("FLStrategyRequest", "[1]"), "kind is [1]; give FLStrategyRequest or"),
        "old version": (
            HEAD.replace("v1alpha1", "v1"),
            'apiVersion is "fedwright.dev/v1"; give fedwright.dev/v1alpha1',
        ),
        "a list": ("- 1\n", "a document is no mapping; write apiVersion, kind, metadata and spec"),
        "a key twice": (HEAD + SPEC + "spec: {}\n", "spec is given twice; remove one"),
        "a deep key twice": (HEAD + "spec: {task: {clients: 2, clients: 3}}", "spec.task.clients is given twice"),
        "an open bracket": ("a: [1\n", "this is not YAML: "),
        "a tab": ("a:\n\tb: 1\n", "this is not YAML: "),
        "a NUL": ("a: \0", "this is not YAML: "),
        "an object by its tag": ("!!python/object/apply:os.system [id]\n", "the tag python/object/apply:os.system"),
        "a key with words of its own": (
            HEAD + 'spec: {goal: g, task: {data: {source: Digits}}, "a\\n\\e[2Jfedwright: all is well": 1}',
            'line 4: spec."a\\n\\u001b[2Jfedwright: all is well" is not a field',
        ),
        "a number that YAML 1.1 takes for octal": (
            HEAD + "spec: {goal: g, task: {data: {source: Digits}, clients: 020}}",
            'spec.task.clients is "020"; give a whole number',
        ),
        "a key that is a list": ("? [a, b]\n: c\n", "a key is no text; write plain keys"),
        "an alias in itself": ("a: &a [*a]\n", "values are nested too deep; write a flat manifest"),
        "deep nesting": ("[" * 600, "values are nested too deep; write a flat manifest"),
        "half a surrogate": (
            HEAD.replace("{name: a}", '{name: "\\ud800"}') + SPEC,
            "line 3: text holds half of a character",
        ),
        "a large text": ("#" * (MOST_BYTES + 1), "more than 256 KiB; split the file"),
    }.values(),
)
def test_text_that_is_no_manifest_is_refused(text: str, message: str) -> None:
    assert message in refused(text)


def test_aliases_cannot_blow_up() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]\n" for i in range(1, 12)
    )
    assert "more than 50,000 values, aliases written out" in refused(bomb)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.yaml").endswith("No such file or directory; name a file that can be read")
    assert refused(tmp_path).endswith("Is a directory; name a file that can be read")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert refused(tmp_path / "bytes").endswith("this is not UTF-8 text; write YAML")


def test_scalars_are_those_of_kubectl() -> None:
    text = HEAD.replace("a}", '"2026-01-01", labels: {on: "off"}}')
    (request,) = load_manifests(text + SPEC.replace("}}}", "}}, privacy: {epsilon: 2, delta: 1e-5}}"))
    assert isinstance(request, FLStrategyRequest) and request.spec.privacy
    assert request.spec.privacy.delta == 1e-5
    assert request.metadata.labels == {"on": "off"}
    assert 'spec.abort is "yes"; give true or false' in refused(HEAD + SPEC.replace("{goal", "{abort: yes, goal"))


def test_a_written_status_is_left_out_as_on_a_cluster() -> None:
    (request,) = load_manifests(HEAD + SPEC + "status: {phase: Succeeded, nonsense: 1}\n")
    assert request.status == FLStrategyRequest.model_fields["status"].default


def test_text_that_looks_like_something_else_survives_a_round_trip() -> None:
    for goal in (
        "on",
        "1e5",
        "null",
        "2026-01-01",
        "~",
        "a: b",
        "- x",
        "#",
        "é\u2028\n\ttab",
        "=",
        "<<",
        "1_000",
        "0o7",
    ):
        (request,) = load_manifests(json.dumps(with_field(GOOD, "spec.goal", goal)))
        assert isinstance(request, FLStrategyRequest) and request.spec.goal == goal
        assert load_manifests(dump_yaml(request)) == [request]


def test_words_of_a_person_are_one_for_each_question_and_digest() -> None:
    word = {"stage": Stage.PLAN.value, "digest": "sha256:" + "0" * 64, "approved": True}
    line = refused(yaml.safe_dump(with_field(GOOD, "spec.approvals", [word, {**word, "approved": False}])))
    assert f"spec.approvals: entries 0 and 1 are both Plan/{word['digest']}; rename or remove one" in line
