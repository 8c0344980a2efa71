"""Where nothing is better, the answer says so."""

from pathlib import Path

import pytest
from whole_requests import EXAMPLES, result, run


@pytest.mark.slow
def test_eight_fedavgs_under_other_names_are_no_improvement(tmp_path: Path) -> None:
    ended = run(EXAMPLES / "null.yaml", tmp_path / "home")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer = result(tmp_path / "home")
    assert answer["phase"] == "NoImprovement" and answer["winner"] is None
