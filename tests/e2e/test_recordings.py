"""Whole requests from recorded conversations: no model, no network but loopback, the same words again."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from whole_requests import command, processes_about, result

from fedwright_crds.transcript import Transcript

RECORDINGS = Path(__file__).parent.parent / "recordings"
NAMES = sorted(folder.name for folder in RECORDINGS.iterdir() if folder.is_dir())


def replay(request: Path, home: Path, recording: Path) -> subprocess.CompletedProcess[str]:
    given = {
        "FEDWRIGHT_PROFILES": str(RECORDINGS / "profiles.yaml"),
        "FEDWRIGHT_REPLAY": str(recording / "transcripts"),
    }
    return subprocess.run(
        command(request, home), env={**os.environ, **given}, capture_output=True, text=True, timeout=600, check=False
    )


def transcripts(folder: Path) -> list[Transcript]:
    return [Transcript.model_validate_json(file.read_bytes()) for file in sorted(folder.rglob("*.json"))]


def test_there_are_three_at_least_and_each_says_which_model_and_when() -> None:
    assert len(NAMES) >= 3
    for name in NAMES:
        told = transcripts(RECORDINGS / name / "transcripts")
        assert {"plan", "code", "reflect", "review"} <= {str(one.role) for one in told}
        assert all(one.model and one.endpoint and one.date and not one.replayed for one in told)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_request_runs_again_to_its_answer(name: str, tmp_path: Path) -> None:
    recording, home = RECORDINGS / name, tmp_path / "home"
    ended = replay(recording / "request.yaml", home, recording)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    # What is asked late follows from what was measured, which another processor may tip over a limit; then it is not recorded.
    answered = [one for one in transcripts(home / "models" / "transcripts") if one.answer]
    assert {"plan", "code"} <= {str(one.role) for one in answered} and all(one.replayed for one in answered)
    assert result(home)["spent"]["tokens"] > 0
    assert processes_about(home) == []


def test_one_changed_word_is_not_recorded(tmp_path: Path) -> None:
    recording, home = RECORDINGS / NAMES[0], tmp_path / "home"
    manifest = yaml.safe_load((recording / "request.yaml").read_text())
    manifest["spec"]["goal"] += " Please."
    (tmp_path / "request.yaml").write_text(yaml.safe_dump(manifest))
    ended = replay(tmp_path / "request.yaml", home, recording)
    assert ended.returncode == 1
    assert "not recorded: plan sha256:" in ended.stderr, ended.stderr
