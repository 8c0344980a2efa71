"""Settings of the literature where a method is known to win: it does, or a composition with it."""

import json
from pathlib import Path

import pytest
from whole_requests import EXAMPLES, result, run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "method"),
    [("scaffold-label-skew", "scaffold"), ("fedbn-feature-shift", "fedbn"), ("fedpaq-bytes", "fedpaq")],
)
def test_methods_known_to_win_win(example: str, method: str, tmp_path: Path) -> None:
    ended = run(EXAMPLES / f"{example}.yaml", tmp_path / "home", seconds=800)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    winner = result(tmp_path / "home")["winner"]
    assert winner is not None, ended.stdout
    assert method in json.dumps(winner).lower()
