"""The program and `fedwright kb`: examples, forms, and one line with status 2 for what cannot be."""

import json
import subprocess
import sys

import pytest
import yaml

from fedwright_agents.knowledge.__main__ import main
from fedwright_operator.cli.main import main as fedwright

LESSON = {
    "request": "digits",
    "data": "Digits",
    "partition": "IID",
    "architecture": "Mlp",
    "clients": 20,
    "rounds": 40,
    "participation": 1.0,
    "method": "fedavg",
    "metric": "Accuracy",
    "verdict": "Level",
}


@pytest.fixture
def lessons(tmp_path):
    file = tmp_path / "lessons.yaml"
    file.write_text(yaml.safe_dump([LESSON]))
    return str(file)


@pytest.mark.parametrize("command", [[], ["build"], ["search"], ["add"]])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "python -m fedwright_agents.knowledge search" in capsys.readouterr().out


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_search_in_forms_for_programs(form, read, capsys):
    assert main(["search", "few", "bits", "for", "the", "upload", "-k", "2", "--kind", "Part", "-o", form]) == 0
    found = read(capsys.readouterr().out)
    assert [one["kind"] for one in found] == ["Part", "Part"]
    assert found[0].keys() == {"id", "kind", "title", "excerpt", "source", "score"}


def test_a_search_as_a_table(capsys):
    assert main(["search", "write a codec", "--kind", "Template", "--slot", "upload"]) == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "KIND", "SCORE", "TITLE"]
    assert first.startswith("template/codec ")


def test_lessons_are_added_built_and_found(lessons, tmp_path, capsys):
    kept, snapshot = str(tmp_path / "lessons.jsonl"), str(tmp_path / "snapshot")
    assert main(["add", lessons, "--lessons", kept]) == main(["add", lessons, "--lessons", kept]) == 0
    assert main(["build", "--lessons", kept, "--output", snapshot]) == 0
    assert main(["search", "what was tried", "--kind", "Lesson", "--snapshot", snapshot]) == 0
    told = capsys.readouterr().out
    assert "1 added, 0 there already" in told and "0 added, 1 there already" in told
    assert "FedAvg on digits: did as well as FedAvg" in told


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["search", ""], "the query is empty"),
        (["search", "x", "-k", "0"], "limit is 0; choose 1 to 50"),
        (["search", "x", "--snapshot", "/nowhere"], "/nowhere is no snapshot"),
        (["search", "x", "--slot", "not a word"], "slots"),
        (["search", "x", "--qdrant-url", "http://127.0.0.1:9"], "does not serve"),
        (["add", "/nowhere", "--lessons", "/tmp/x"], "/nowhere cannot be read"),
        (["build", "--output", "/proc/snapshot"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(arguments, reason, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1
    assert reason in told.err


@pytest.mark.parametrize(
    "arguments",
    [[], ["find"], ["search"], ["search", "x", "--kind", "Thing"], ["search", "x", "-k", "many"], ["build"]],
)
def test_wrong_arguments_are_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("text", ["{a: [", "hello", "3", "[[]]", "- request: x", "\x00", "- &a [*a]", "null"])
def test_what_is_no_lesson_is_one_line(text, tmp_path, capsys):
    (tmp_path / "wrong").write_text(text)
    assert main(["add", str(tmp_path / "wrong"), "--lessons", str(tmp_path / "kept")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "kept").exists()


def test_help_is_quick_to_import():
    """Neither the index nor the model is loaded where nobody searches."""
    heavy = "{'qdrant_client', 'tokenizers', 'torch', 'litellm'}"
    script = f"import sys, fedwright_agents.knowledge.__main__; print({heavy} & sys.modules.keys())"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


# -- fedwright kb -----------------------------------------------------------------------------------------------------
def test_fedwright_kb_goes_the_whole_way(lessons, tmp_path, capfd):
    home = ["--home", str(tmp_path / "home")]
    assert fedwright(["kb", "add", lessons, *home]) == 0
    assert fedwright(["kb", "build", *home]) == 0
    capfd.readouterr()
    assert fedwright(["kb", "search", "what was tried", "--kind", "Lesson", "-o", "json", *home]) == 0
    assert [one["source"] for one in json.loads(capfd.readouterr().out)] == ["request digits"]


def test_fedwright_kb_search_finds_lessons_that_no_snapshot_has(lessons, tmp_path, capfd):
    home = ["--home", str(tmp_path / "home")]
    assert fedwright(["kb", "add", lessons, *home]) == 0
    capfd.readouterr()
    assert fedwright(["kb", "search", "what was tried", "--kind", "Lesson", "-o", "json", *home]) == 0
    assert [one["source"] for one in json.loads(capfd.readouterr().out)] == ["request digits"]


def test_fedwright_kb_search_needs_no_home(tmp_path, capfd):
    asked = [
        "kb",
        "search",
        "--purpose",
        "Bandwidth",
        "--kind",
        "Method",
        "-k",
        "3",
        "-o",
        "yaml",
        "--home",
        str(tmp_path / "none"),
    ]
    assert fedwright([*asked, "--", "fewer bytes", "--please"]) == 0
    assert len(yaml.safe_load(capfd.readouterr().out)) == 3
    assert not (tmp_path / "none").exists()


def test_fedwright_kb_passes_the_refusal_on(tmp_path, capfd):
    assert fedwright(["kb", "search", "x", "--kind", "Thing", "--home", str(tmp_path)]) == 2
    assert "invalid choice: 'Thing'" in capfd.readouterr().err


def test_fedwright_kb_help_has_examples(capfd):
    assert fedwright(["kb", "search", "--help"]) == 0
    assert "fedwright kb search" in capfd.readouterr().out
