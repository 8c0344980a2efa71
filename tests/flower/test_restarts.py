"""A SuperLink killed between doing what it was asked and saying so: the run goes on at once, to the model of an unbroken one."""

import sys
from pathlib import Path

import pytest
import small_app
from real_fleet import running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]  # an object that never comes is waited for for 180 s
ROUNDS = 2
FLEET, RUNTIME = "flwr.superlink.servicer.fleet.fleet_handlers", "flwr.superlink.servicer.runtime.runtime_handlers"
PROGRAM = str(Path(sys.modules[small_app.__name__].__file__ or "").with_name("dying_fleet.py"))


@pytest.mark.parametrize(
    ("module", "function"),
    [
        pytest.param(RUNTIME, "push_messages", id="an order is taken in"),
        pytest.param(RUNTIME, "push_object", id="an order's object is taken in"),
        pytest.param(FLEET, "pull_messages", id="an order is handed over"),
        pytest.param(FLEET, "push_messages", id="a reply is taken in"),
        pytest.param(FLEET, "push_object", id="a reply's object is taken in"),
        pytest.param(RUNTIME, "pull_messages", id="a reply is handed over"),
    ],
)
def test_it_dies_when(tmp_path: Path, module: str, function: str) -> None:
    shards, mark = small_app.shards(), tmp_path / "died"
    written = small_app.write_shards(tmp_path / "shards", shards)
    with running(tmp_path, written, [PROGRAM, str(mark), module, function]) as fleet:
        metrics = fleet.run(small_app.package("scaffold"), "dying", ROUNDS)
    assert mark.exists()
    assert metrics.model_digest == small_app.model_digest_of(small_app.simulated("scaffold", shards, ROUNDS))
    assert metrics.restarts == 0
