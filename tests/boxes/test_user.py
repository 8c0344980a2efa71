"""The same walls hold where a plain user builds them, in user namespaces and without control groups."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOM = Path(__file__).parent
SCENARIOS = ("test_escapes.py", "test_contract.py", "test_fleet.py", "test_lifecycle.py")
NOBODY = 65534


@pytest.mark.slow
def test_every_scenario_holds_for_a_plain_user() -> None:
    """Run by a plain user, the scenarios beside this one are that already."""
    if os.geteuid() != 0:
        return
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's own, which it closes to others
        os.chown(folder, NOBODY, NOBODY)
        suite = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/tmp"]
        ran = subprocess.run(
            [sys.executable, str(ROOM / "as_user.py"), *suite, *(str(ROOM / name) for name in SCENARIOS)],
            cwd=ROOM.parents[1],
            env={**os.environ, "HOME": folder, "TMPDIR": folder, "HYPOTHESIS_STORAGE_DIRECTORY": folder},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout
