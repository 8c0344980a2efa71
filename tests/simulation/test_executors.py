"""One result whoever computes it: cohort, client by client, in another order, in other processes, or after a restart."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fedwright_boxes.memory import tree
from fedwright_federation.algorithm import Strategy, Tree, compose
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.simulation.engine import Simulation, SimulationResult, simulate
from fedwright_federation.simulation.fleet import FRAME, SERVER, Channel, attend, serve
from fedwright_federation.simulation.forked import WorkerError
from fedwright_federation.simulation.memory import ClientMemory
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies import fedadam, fedavg, fedbn, fedpaq, fedprox, scaffold

METHODS = [
    fedavg(lr=0.2, momentum=0.5),
    fedprox(mu=0.3),
    scaffold(lr=0.1),
    fedpaq(levels=3),
    fedadam(),
    compose(fedprox(), fedpaq(), fedadam()),
]


def close(left: Tree, right: Tree, tolerance: float) -> bool:
    return left.keys() == right.keys() and all(np.allclose(left[k], right[k], atol=tolerance, rtol=0) for k in left)


def model_of(result: SimulationResult) -> Tree:
    return result.checkpoints[-1].model


@pytest.mark.parametrize("strategy", METHODS, ids=lambda s: s.name)
def test_cohort_and_sequential_agree(strategy: Strategy, mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """Clients of five sizes: epochs give each its own number of steps, and one has less than a batch."""
    shards = [Shard(shards[0].x[:3], shards[0].y[:3]), *shards[1:]]
    run = replace(run, training=replace(run.training, steps=None, epochs=2.0))
    together = simulate(strategy, mlp, shards, run, "cohort")
    alone = simulate(strategy, mlp, shards, run, "sequential")
    assert close(model_of(together), model_of(alone), 1e-5)
    for one, other in zip(together.history, alone.history, strict=True):
        assert (one.steps, one.upload_bytes, one.download_bytes) == (
            other.steps,
            other.upload_bytes,
            other.download_bytes,
        )


def test_cohort_and_sequential_agree_with_batch_norm_and_private_keys(
    normed: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    together, alone = (
        simulate(fedbn(lr=0.2), normed, shards, run, how).checkpoints[-1] for how in ("cohort", "sequential")
    )
    assert close(together.model, alone.model, 1e-5)
    assert all(close(together.personal[i], alone.personal[i], 1e-5) for i in range(run.clients))


def test_cohort_and_sequential_agree_on_images(make_shards: Callable[..., list[Shard]], run: RunSpec) -> None:
    shards, model = make_shards(5, 64, 3), Cnn((8, 8), 3, (3, 4), normalised=True)
    together = simulate(fedavg(), model, shards, run, "cohort")
    assert close(model_of(together), model_of(simulate(fedavg(), model, shards, run, "sequential")), 1e-5)


def test_equal_seeds_give_equal_bytes_and_others_do_not(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    first, again, other, salted = (
        model_of(simulate(fedavg(), mlp, shards, spec))
        for spec in (run, run, replace(run, seed=4), replace(run, salt=1))
    )
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not close(first, other, 1e-3)
    assert not close(first, salted, 1e-6)


@pytest.mark.parametrize("strategy", [fedavg(), scaffold()], ids=lambda s: s.name)
def test_the_order_of_the_uploads_changes_nothing(
    strategy: Strategy, mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    """Both by the platform's own order and by the arithmetic of the parts."""
    simulation = Simulation(strategy, mlp, shards, run)
    uploads = simulation._train(simulation.server.configure(1))
    before = simulation.server.state()
    simulation.server.aggregate(1, uploads)
    expected = simulation.server.x
    simulation.server.restore(before)
    simulation.server.configure(1)
    simulation.server.aggregate(1, dict(reversed(uploads.items())))
    assert all(np.array_equal(simulation.server.x[key], expected[key]) for key in expected)


@pytest.mark.parametrize("strategy", [fedavg(), scaffold(), fedpaq(levels=3)], ids=lambda s: s.name)
def test_forked_workers_compute_what_one_process_computes(
    strategy: Strategy, mlp: Mlp, shards: list[Shard], run: RunSpec
) -> None:
    """Client states travel to the workers and back; no child is left."""
    run = replace(run, training=replace(run.training, participation=0.6))
    before = set(tree(os.getpid()))
    forked, alone = (simulate(strategy, mlp, shards, run, how) for how in ("forked", "sequential"))
    assert close(model_of(forked), model_of(alone), 1e-5)
    assert forked.snapshot.memories.keys() == alone.snapshot.memories.keys()
    assert [report.upload_bytes for report in forked.history] == [report.upload_bytes for report in alone.history]
    assert set(tree(os.getpid())) <= before


def test_a_worker_that_dies_is_an_error_and_not_a_hang(mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    with Simulation(fedavg(), mlp, shards, run, "forked") as simulation, pytest.raises(WorkerError):
        assert simulation.workers is not None
        os.kill(simulation.workers._children[0], signal.SIGKILL)
        simulation.step()


@pytest.mark.parametrize("strategy", METHODS, ids=lambda s: s.name)
def test_a_run_resumes_to_the_same_bytes(strategy: Strategy, mlp: Mlp, shards: list[Shard], run: RunSpec) -> None:
    """From a snapshot that went through flat arrays, as on disk."""
    run = replace(run, training=replace(run.training, participation=0.6))
    unbroken = simulate(strategy, mlp, shards, run)
    half = Simulation(strategy, mlp, shards, run)
    half.step()
    half.step()
    snapshot = half.snapshot()
    memories = {i: ClientMemory.from_tree(memory.to_tree()) for i, memory in snapshot.memories.items()}
    resumed = simulate(strategy, mlp, shards, run, resume=replace(snapshot, memories=memories))
    assert [report.round for report in resumed.history] == [3, 4]
    left, right = model_of(resumed), model_of(unbroken)
    assert all(np.array_equal(left[key], right[key]) for key in left)
    assert resumed.history[-1] == unbroken.history[-1]


# -- a process for each client -----------------------------------------------------------------------------------------
class Star(threading.Thread):
    """Carries frames between the server's socket and each client's, and counts payload bytes, like the trusted parent."""

    def __init__(self, server: socket.socket, clients: dict[int, socket.socket]) -> None:
        super().__init__(daemon=True)
        self.server, self.clients = Channel(server), {i: Channel(end) for i, end in clients.items()}
        self.up = self.down = 0
        self.lock = threading.Lock()

    def run(self) -> None:
        listeners = [threading.Thread(target=self._up, args=(i,), daemon=True) for i in self.clients]
        for listener in listeners:
            listener.start()
        while (frame := self.server.receive()) is not None:
            client, number, payload = frame
            self.down += len(payload)
            self.clients[client].send(SERVER, number, payload)
        for channel in self.clients.values():
            channel.stream.shutdown(socket.SHUT_WR)
        for listener in listeners:
            listener.join()

    def _up(self, client: int) -> None:
        while (frame := self.clients[client].receive()) is not None:
            _, number, payload = frame
            with self.lock:
                self.up += len(payload)
                self.server.send(client, number, payload)


@pytest.mark.parametrize(
    ("strategy", "batch_norm"),
    [(fedavg(), False), (scaffold(), False), (fedpaq(levels=3), False), (fedbn(), True)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_fleet_computes_the_bytes_of_the_sequential_simulation(
    strategy: Strategy, batch_norm: bool, shards: list[Shard], run: RunSpec
) -> None:
    model = Mlp((8,), 3, (6,), batch_norm)
    run = replace(run, training=replace(run.training, participation=0.6))
    pooled = simulate(strategy, model, shards, run, "sequential")
    kept: dict[str, Tree] = {}
    ours, theirs = zip(*(socket.socketpair() for _ in range(run.clients + 1)), strict=True)
    star = Star(ours[-1], dict(enumerate(ours[:-1])))
    star.start()

    def keep(owner: str) -> Callable[[int, Tree], None]:
        return lambda _, tree: kept.__setitem__(owner, tree)

    members = [
        threading.Thread(
            target=attend,
            args=(strategy, model, run, i, lambda _, i=i: shards[i], Channel(theirs[i]), keep(str(i))),
        )
        for i in range(run.clients)
    ]
    for member in members:
        member.start()
    samples = [len(shard.y) for shard in shards]
    history = serve(strategy, model, run, samples, Channel(theirs[-1]), keep("server"))
    theirs[-1].close()
    for member in members:
        member.join(10)
        assert not member.is_alive()
    for end in theirs[:-1]:
        end.close()
    star.join(10)
    for end in ours:
        end.close()
    assert tuple(history) == pooled.history
    checkpoint = pooled.checkpoints[-1]
    assert all(np.array_equal(kept["server"][key], value) for key, value in checkpoint.model.items())
    for client, own in checkpoint.personal.items():
        assert all(np.array_equal(kept[str(client)][key], value) for key, value in own.items())
    assert star.up == sum(report.upload_bytes for report in history)
    assert star.down == sum(report.download_bytes for report in history)


def test_a_frame_cut_short_is_the_end_of_the_stream() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(FRAME.pack(1, 2, 100) + b"abc")
        theirs.shutdown(socket.SHUT_WR)
        assert Channel(ours).receive() is None
