"""A private deployment: noise that the package's seed does not give away, and that a repeated round does not draw again."""

import shutil
from pathlib import Path

import pytest
import small_app

from fedwright_crds.request import Privacy, PrivacyUnit
from fedwright_federation.packaging.fedwright_app.results import model_digest
from fedwright_federation.packaging.files import read_arrays
from fedwright_federation.packaging.package import app_files
from fedwright_federation.packaging.rehearse import rehearse


@pytest.mark.parametrize("unit", list(PrivacyUnit))
def test_the_noise_is_secret_and_drawn_once(unit: PrivacyUnit, tmp_path: Path) -> None:
    asked = Privacy(unit=unit, epsilon=20.0, delta=0.01)
    settings = small_app.settings("fedpaq", rounds=2).model_copy(update={"privacy": asked})
    app = tmp_path / "app"
    for name, content in app_files(settings, small_app.CandidateCode(files=PLAIN)).items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_bytes(content)
    shards = small_app.write_shards(tmp_path / "shards", small_app.shards())

    def run(where: str) -> str:
        return model_digest(read_arrays(rehearse(app, shards, tmp_path / where) / "model.npz"))

    first = run("one")
    assert run("two") != first
    (tmp_path / "one" / "results" / "rehearsal" / "checkpoint-2.npz").unlink()
    assert run("one") == first
    shutil.rmtree(tmp_path / "one")
    assert run("one") != first


PLAIN = {
    "strategy.py": "from fedwright_federation.strategies.fedavg import fedavg\n\n\n"
    "def build(hyperparameters):\n    return fedavg(lr=0.1)\n"
}
