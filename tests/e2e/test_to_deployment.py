"""From the wish to a model on a real federation, in real boxes."""

import json
from pathlib import Path

import numpy as np
import pytest
from whole_requests import processes_about, result, run, write_request


@pytest.mark.slow
def test_a_request_goes_all_the_way_to_a_model_from_a_real_federation(tmp_path: Path) -> None:
    home = tmp_path / "home"
    request = write_request(tmp_path, deployment={"enabled": True, "nodes": 2, "rounds": 2})
    ended = run(request, home)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer = result(home)
    assert answer["winner"] and answer["primary"]["difference"] > 0 and answer["primary"]["freshSeeds"] == 10
    assert answer["verdict"] == ended.stdout.strip().splitlines()[-1]
    metrics = json.loads((home / "deployment" / "metrics.json").read_text())
    assert [one["round"] for one in metrics["rounds"]] == [1, 2]
    with np.load(home / "model.npz", allow_pickle=False) as model:
        assert all(np.isfinite(model[key]).all() for key in model.files)
    assert "<svg" in (home / "report.html").read_text()
    assert answer["spent"]["roles"] == [] and "No model was asked" in (home / "report.html").read_text()
    taught = [json.loads(line) for line in (home / "knowledge" / "lessons.jsonl").read_text().splitlines()]
    assert [one["request"] for one in taught] == ["small"] * len(taught)
    assert {"fedavg", answer["winner"]["method"]} <= {one["method"] for one in taught}
    assert [one["method"] for one in taught if one["verdict"] == "Won"] == [answer["winner"]["method"]]
    assert (home / "code" / answer["winner"]["candidate"] / "strategy.py").exists()
    assert processes_about(home) == []
