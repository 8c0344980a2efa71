"""The program of a fleet's members, as real processes that see only their own files."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fedwright_crds.documents import CandidateCode, JudgeSpec, ServerFacts, Split
from fedwright_crds.request import Objective
from fedwright_crds.task import Data, DataSource, Head, ModelSpec, Task, Training
from fedwright_federation.algorithm import on_heads
from fedwright_federation.heads import Heads
from fedwright_federation.models import build_model
from fedwright_federation.simulation.checkpoints import load_checkpoints
from fedwright_federation.simulation.engine import simulate
from fedwright_federation.simulation.fleet import SERVER, Channel
from fedwright_federation.simulation.run import Shard, run_of
from fedwright_federation.strategies import fedbn

RUN = "import sys; from fedwright_federation.simulation.fleet import main; sys.exit(main(sys.argv[1:]))"
CODE = CandidateCode(
    files={
        "strategy.py": "from fedwright_federation.strategies import fedbn\n\n\n"
        "def build(hyperparameters):\n    return fedbn(**hyperparameters)\n"
    }
)


def member(
    root: Path, spec: JudgeSpec, files: dict[str, object], argv: list[str]
) -> tuple[subprocess.Popen, socket.socket]:
    for folder in ("in", "from/shards", "to/federated"):
        (root / folder).mkdir(parents=True)
    (root / "in" / "judge.json").write_text(spec.model_dump_json(by_alias=True))
    (root / "in" / "code.json").write_text(CODE.model_dump_json(by_alias=True))
    for name, content in files.items():
        if isinstance(content, str):
            (root / "from/shards" / name).write_text(content)
        else:
            np.savez(root / "from/shards" / name, **content)
    ours, theirs = socket.socketpair()
    environment = {**os.environ, "FEDWRIGHT_BOX": str(root), "FEDWRIGHT_CHANNEL": str(theirs.fileno())}
    process = subprocess.Popen([sys.executable, "-c", RUN, *argv], env=environment, pass_fds=[theirs.fileno()])
    theirs.close()
    return process, ours


def carry(channels: dict[int, Channel]) -> None:
    """Until the server falls silent; then the clients hear it."""
    lock = threading.Lock()

    def up(client: int) -> None:
        while (frame := channels[client].receive()) is not None:
            with lock:
                channels[SERVER].send(client, frame[1], frame[2])

    carriers = [threading.Thread(target=up, args=(i,), daemon=True) for i in channels if i != SERVER]
    for carrier in carriers:
        carrier.start()
    while (frame := channels[SERVER].receive()) is not None:
        channels[frame[0]].send(SERVER, frame[1], frame[2])
    for client in channels.keys() - {SERVER}:
        channels[client].stream.shutdown(socket.SHUT_WR)
    for carrier in carriers:
        carrier.join(10)


HEADS = (Head(name="three"), Head(name="two", groups=((0, 1), (2,))))


@pytest.mark.parametrize(("heads", "outputs"), [((), (3,)), (HEADS, (3, 2))], ids=["one head", "two heads"])
def test_processes_that_hold_their_own_shard_alone_reach_the_simulations_model(
    heads: tuple[Head, ...], outputs: tuple[int, ...], tmp_path: Path
) -> None:
    rng, told = np.random.default_rng(0), Heads(outputs)
    shards = [
        Shard(rng.random((12 + i, 6), dtype=np.float32), rng.integers(0, told.count(i), 12 + i)) for i in range(2)
    ]
    spec = JudgeSpec(
        task=Task(
            data=Data(source=DataSource.DIGITS), clients=2, heads=heads, training=Training(rounds=3, local_steps=4)
        ),
        model=ModelSpec(hidden=(5,), batch_norm=True),
        objective=Objective.model_validate_json('{"metric": "Accuracy"}'),
        hyperparameters={"lr": 0.2},
        rounds=3,
        seed=5,
        split=Split.SELECTION,
    )
    facts = ServerFacts(input_shape=(6,), classes=sum(outputs), samples=(12, 13)).model_dump_json(by_alias=True)
    server, up = member(tmp_path / "server", spec, {"server.json": facts}, ["server"])
    clients = {
        i: member(
            tmp_path / f"client-{i}",
            spec,
            {f"client-{i}.npz": {"x": shard.x, "y": shard.y, "classes": np.int64(sum(outputs))}},
            ["client", str(i)],
        )
        for i, shard in enumerate(shards)
    }
    sockets = {SERVER: up, **{i: end for i, (_, end) in clients.items()}}
    processes = [server, *(process for process, _ in clients.values())]
    try:
        carry({name: Channel(end) for name, end in sockets.items()})
        assert [process.wait(30) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for end in sockets.values():
            end.close()

    (expected,) = simulate(
        on_heads(fedbn(lr=0.2), told), build_model(spec.model, (6,), sum(outputs)), shards, run_of(spec), "sequential"
    ).checkpoints
    (found,) = load_checkpoints(tmp_path / "server/to/federated")
    assert found.round == expected.round == 3
    assert all(np.array_equal(found.model[key], value) for key, value in expected.model.items())
    for client, own in expected.personal.items():
        assert own
        assert all(np.array_equal(found.personal[client][key], value) for key, value in own.items())
