"""A server that dies at any moment goes on from its last complete round, to the same model."""

from pathlib import Path

import pytest
import small_app

from fedwright_crds.documents import DeploymentMetrics
from fedwright_federation.packaging import files
from fedwright_federation.packaging.rehearse import main, rehearse


class Death(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("writes_before_death", [2, 3, 4, 7, 9])
@pytest.mark.parametrize("method", ["scaffold", "fedrep"])
def test_killed_at_a_write(
    method: str, writes_before_death: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = small_app.shards()
    app = small_app.unpack(tmp_path / "app", method)
    shards = small_app.write_shards(tmp_path / "shards", given)
    left, replace = [writes_before_death], files._replace

    def mortal(*arguments: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Death
        replace(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_replace", mortal)
    with pytest.raises(Death):
        rehearse(app, shards, tmp_path)
    monkeypatch.setattr(files, "_replace", replace)
    folder = rehearse(app, shards, tmp_path)
    metrics = DeploymentMetrics.model_validate_json((folder / "metrics.json").read_bytes())
    assert metrics.model_digest == small_app.model_digest_of(small_app.simulated(method, given))
    assert [one.round for one in metrics.rounds] == [1, 2, 3]
    assert metrics.restarts == 1
    assert len(list(folder.glob("checkpoint-*.npz"))) == 2


def test_the_program_in_its_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDWRIGHT_BOX", str(tmp_path))
    for name in ("in", "out", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "app.zip").write_bytes(small_app.package("fedpaq"))
    given = small_app.shards()
    small_app.write_shards(tmp_path / "from" / "shards", given)
    assert main(["--rounds", "2"]) == 0
    metrics = DeploymentMetrics.model_validate_json((tmp_path / "out" / "metrics.json").read_bytes())
    assert metrics.model_digest == small_app.model_digest_of(small_app.simulated("fedpaq", given, rounds=2))
