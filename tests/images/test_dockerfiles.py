"""Dockerfiles agree with what is said of the images, and with each other where they are the same."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from images.builders import EPOCH
from images.contents import IMAGES

FOLDER = Path(__file__).parents[2] / "images"


def _instructions(image: str) -> list[str]:
    text = re.sub(r"\\\n\s*", "", (FOLDER / image / "Dockerfile").read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _stage(image: str, name: str) -> list[str]:
    """The instructions of a stage, its FROM included; `""` is the last."""
    lines = _instructions(image)
    starts = [number for number, line in enumerate(lines) if line.startswith("FROM")] + [len(lines)]
    stages = [lines[start:end] for start, end in pairwise(starts)]
    return stages[-1] if not name else next(one for one in stages if one[0].endswith(f" AS {name}"))


def test_there_is_a_dockerfile_for_each_image_and_for_nothing_else() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/Dockerfile")} == set(IMAGES)


@pytest.mark.parametrize("stage", ["bare", "wheel"])
def test_stages_that_images_share_are_the_same_so_that_they_are_built_once(stage: str) -> None:
    assert len({tuple(_stage(image, stage)) for image in IMAGES}) == 1


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_the_packages_and_the_lock_that_are_its_own(image: str) -> None:
    (unpacked,) = (line for line in _stage(image, "project") if "unpack.py" in line)
    assert unpacked.split("/project ")[1].split() == list(IMAGES[image].packages)
    assert f"COPY images/requirements/{image}.lock /packages.lock" in _stage(image, "packages")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_nobody_in_particular_and_is_made_of_the_base_as_written(image: str) -> None:
    assert _instructions(image)[0] == "ARG BASE=docker.io/library/python:3.11-slim-bookworm"
    assert [line for line in _stage(image, "") if line.startswith("USER")] == ["USER 10001:10001"]
    (command,) = (line.removeprefix("CMD ") for line in _stage(image, "") if line.startswith("CMD"))
    assert json.loads(command)[0] == "python"


@pytest.mark.parametrize("image", IMAGES)
def test_what_changes_most_often_comes_last(image: str) -> None:
    copies = [line for line in _stage(image, "") if line.startswith("COPY")]
    assert copies[-1].startswith("COPY --from=project")
    assert copies[-2].startswith("COPY --from=packages")


def test_every_file_has_the_date_that_builders_give_to_layers() -> None:
    for image in IMAGES:
        said = [line for line in _instructions(image) if "SOURCE_DATE_EPOCH" in line]
        assert len(said) == 2 and all(f"SOURCE_DATE_EPOCH={EPOCH}" in line for line in said)


def test_no_registry_of_packages_is_named() -> None:
    for image in IMAGES:
        assert "://" not in (FOLDER / image / "Dockerfile").read_text()
