"""`python -m images`: what it says and writes; that it builds is seen on a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from images.builders import Builder, BuildError, build, builders

ROOT = Path(__file__).parents[2]


def _images(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "images", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_locks_that_are_checked_in_are_current() -> None:
    assert _images("locks", "--check").returncode == 0


def test_a_builder_that_is_missing_is_one_clear_error() -> None:
    done = _images("build", "--builder", "devcluster", "--only", "bench", DEVCLUSTER="/nonexistent/devcluster")
    assert done.returncode == 1
    assert done.stderr == "/nonexistent/devcluster: is not there; install it or name another with --builder\n"


def test_a_builder_that_fails_is_quoted() -> None:
    failing = Builder(build=("sh", "-c", "echo no space left >&2; exit 3"), identify=("true",))
    with pytest.raises(BuildError, match=r"ended with 3\nno space left"):
        build(failing, "bench", "docker.io/fedwright/bench:dev")


def test_an_unknown_image_is_refused_with_those_that_there_are() -> None:
    done = _images("build", "--only", "scorer")
    assert done.returncode == 2 and "choose from" in done.stderr and "operator" in done.stderr


def test_what_was_built_is_written_as_values_of_the_chart_beside_what_was_built_before(tmp_path: Path) -> None:
    """With a builder that only says an id: what is under test is what becomes of it."""
    script = tmp_path / "devcluster"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    (tmp_path / "buildah").write_text("#!/bin/sh\necho " + "a" * 64 + "\n")
    (tmp_path / "buildah").chmod(0o755)
    out = tmp_path / "built.yaml"
    for image in ("bench", "judge"):
        done = _images(
            *("build", "--builder", "devcluster", "--only", image, "--tag", "v1", "--out", str(out)),
            DEVCLUSTER=str(script),
            PATH=f"{tmp_path}:{os.environ['PATH']}",
        )
        assert done.returncode == 0, done.stderr
    digest = f"sha256:{'a' * 64}"
    assert yaml.safe_load(out.read_text()) == {
        "images": {
            "bench": {"repository": "docker.io/fedwright/bench", "tag": "v1", "digest": digest},
            "judge": {"repository": "docker.io/fedwright/judge", "tag": "v1", "digest": digest},
        }
    }


def test_every_builder_gives_an_image_its_reference_its_dockerfile_and_the_whole_context() -> None:
    for builder in builders().values():
        assert {"{reference}", "{dockerfile}", "{root}"} <= set(builder.build)
        assert "{reference}" in builder.identify
