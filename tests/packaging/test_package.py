"""The package program makes one zip of the same inputs, and never runs what it packs."""

import io
import tomllib
import zipfile
from pathlib import Path

import pytest
import small_app

from fedwright_crds.documents import CandidateCode, PackageInput
from fedwright_federation.packaging import package


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("in", "out", "scratch"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("FEDWRIGHT_BOX", str(tmp_path))
    return tmp_path


def pack(box: Path, settings: PackageInput, code: CandidateCode) -> bytes:
    (box / "in" / "package.json").write_text(settings.model_dump_json(by_alias=True))
    (box / "in" / "code.json").write_text(code.model_dump_json(by_alias=True))
    assert package.main([]) == 0
    return (box / "out" / "app.zip").read_bytes()


def files(app: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(app)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_equal_inputs_are_equal_bytes(box: Path) -> None:
    settings, code = small_app.settings("scaffold"), small_app.code("scaffold")
    shuffled = CandidateCode(files=dict(reversed(code.files.items())))
    assert pack(box, settings, code) == pack(box, settings, shuffled)


def test_the_app_has_a_module_for_each_concern(box: Path) -> None:
    found = files(pack(box, small_app.settings("fedrep"), small_app.code("fedrep")))
    for name in ("client_app", "server_app", "data", "logs", "privacy"):
        assert f"fedwright_app/{name}.py" in found
    assert found["candidate/strategy.py"].decode() == small_app.code("fedrep").files["strategy.py"]
    said = PackageInput.model_validate_json(found["fedwright_app/settings.json"])
    assert said == small_app.settings("fedrep")


def test_code_is_copied_and_not_run(box: Path) -> None:
    code = CandidateCode(files={"strategy.py": "raise SystemExit('it was run')\n"})
    assert files(pack(box, small_app.settings("fedrep"), code))["candidate/strategy.py"].startswith(b"raise")


def test_names_and_titles_of_any_kind_make_a_valid_project(box: Path) -> None:
    settings = small_app.settings("fedrep").model_copy(
        update={"name": "a.name-that.is-longer-than-flower.takes-it", "title": 'say "x" \\ and\n{name}'}
    )
    project = tomllib.loads(files(pack(box, settings, small_app.code("fedrep")))["pyproject.toml"].decode())
    assert len(project["project"]["name"]) <= 32 and "." not in project["project"]["name"]
    assert project["tool"]["flwr"]["app"]["config"]["rounds"] == settings.rounds
