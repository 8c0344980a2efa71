"""Deployed through TLS on real SuperNodes, a strategy makes the model that the simulator makes, whatever dies meanwhile."""

from collections.abc import Iterator

import pytest
import small_app
from real_fleet import RealFleet, running

from fedwright_federation.flower.deploy import Job

pytestmark = pytest.mark.slow
ROUNDS = 3
SHARDS = small_app.shards(method="fedavg-on-heads")
"""Of all methods here, so that one fleet serves them; the second node has two classes."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFleet]:
    root = tmp_path_factory.mktemp("fleet")
    with running(root, small_app.write_shards(root / "shards", SHARDS)) as fleet:
        yield fleet


def expected(method: str) -> str:
    return small_app.model_digest_of(small_app.simulated(method, SHARDS, ROUNDS))


@pytest.mark.parametrize("method", ["scaffold", "fedrep", "fedavg-on-heads"])
def test_undisturbed(fleet: RealFleet, method: str) -> None:
    metrics = fleet.run(small_app.package(method), "undisturbed", ROUNDS)
    assert metrics.model_digest == expected(method)
    assert [one.round for one in metrics.rounds] == [1, 2, 3]
    assert all(one.accuracy is not None and one.failures == 0 for one in metrics.rounds)
    assert metrics.restarts == 0


@pytest.mark.parametrize("victim", ["superlink", "n0-0", "ServerApp"])
@pytest.mark.parametrize("method", ["scaffold", "fedrep"])
def test_killed_in_mid_run(fleet: RealFleet, method: str, victim: str) -> None:
    killed: list[int] = []

    def kill_after_the_first_round(job: Job) -> None:
        if not killed and job.round >= 1:
            killed.append(job.round)
            fleet.kill(victim)

    metrics = fleet.run(small_app.package(method), f"without-{victim}", ROUNDS, kill_after_the_first_round)
    assert killed and killed[0] < ROUNDS
    assert metrics.model_digest == expected(method)
    assert metrics.restarts == (victim == "ServerApp")
