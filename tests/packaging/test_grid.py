"""The packaged app on the in-process Grid is the simulated strategy, to the last bit."""

from pathlib import Path

import pytest
import small_app

from fedwright_crds.documents import CandidateCode, DeploymentMetrics
from fedwright_federation.candidates.loader import load_strategy
from fedwright_federation.packaging.fedwright_app.results import model_digest
from fedwright_federation.packaging.files import read_arrays
from fedwright_federation.packaging.rehearse import rehearse


@pytest.mark.parametrize("method", list(small_app.METHODS))
def test_the_packaged_app_makes_the_simulated_model(method: str, tmp_path: Path) -> None:
    given = small_app.shards(3, method=method)
    app = small_app.unpack(tmp_path / "app", method, rounds=3, clients=3)
    folder = rehearse(app, small_app.write_shards(tmp_path / "shards", given), tmp_path)
    model, metrics = read_arrays(folder / "model.npz"), (folder / "metrics.json").read_bytes()
    expected = small_app.simulated(method, given)
    assert model_digest(model) == model_digest(expected.checkpoints[-1].model)
    said = DeploymentMetrics.model_validate_json(metrics)
    assert [one.upload_bytes for one in said.rounds] == [one.upload_bytes for one in expected.history]
    assert said.model_digest == model_digest(model) and said.restarts == 0
    assert all(one.accuracy is not None and one.clients == 3 for one in said.rounds)


def test_a_candidate_that_this_process_has_loaded_is_not_taken_for_the_apps(tmp_path: Path) -> None:
    other = (
        "from fedwright_federation.strategies.fedavg import fedavg\n\n\ndef build(h):\n    return fedavg(lr=0.001)\n"
    )
    load_strategy(CandidateCode(files={"strategy.py": other}), {})
    test_the_packaged_app_makes_the_simulated_model("scaffold", tmp_path)
