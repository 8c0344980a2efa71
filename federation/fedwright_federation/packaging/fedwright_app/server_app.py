"""The server's side: rounds of the strategy's server runtime, each complete and on disk before the next begins.

Run config: `job` (its folder, and what clients file their memories under), `rounds`, `clients`, `out-dir` (else the server's own
FEDWRIGHT_RESULTS), `round-seconds` and `give-up-seconds` (see Courier).
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from flwr.app import Context, RecordDict
from flwr.serverapp import Grid, ServerApp

from fedwright_crds.documents import RoundMetrics
from fedwright_federation.algorithm.legality import require_legal
from fedwright_federation.algorithm.tree import Tree, pick
from fedwright_federation.simulation.messages import Download, MessageError, Upload
from fedwright_federation.simulation.server import ServerRuntime

from . import wire
from .courier import Courier, Exchange
from .logs import log
from .results import Progress, Results
from .settings import set_up
from .wire import Answer, Order

app = ServerApp()
RESULTS_VARIABLE = "FEDWRIGHT_RESULTS"


@dataclass(frozen=True)
class RunConfig:
    """What whoever started the run said."""

    job: str
    rounds: int
    clients: int
    folder: Path
    round_seconds: float
    give_up_seconds: float

    @classmethod
    def of(cls, config: Mapping[str, object]) -> "RunConfig":
        out = str(config["out-dir"]) or os.environ.get(RESULTS_VARIABLE, "")
        if not out:
            raise ValueError(f"nowhere to write to; set out-dir in the run config or {RESULTS_VARIABLE} on the server")
        job, rounds, clients = str(config["job"]), int(str(config["rounds"])), int(str(config["clients"]))
        if not job or Path(job).name != job:
            raise ValueError(f"job {job!r} cannot name a folder; use letters, digits, - and _")
        patience = float(str(config["round-seconds"])), float(str(config["give-up-seconds"]))
        return cls(job, rounds, clients, Path(out) / job, *patience)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """All rounds that are still to be done."""
    torch.set_num_threads(1)
    config = RunConfig.of(context.run_config)
    results = Results(config.folder, str(context.run_id))
    courier = Courier(grid, config.round_seconds, config.give_up_seconds)
    log("started", job=config.job, rounds=config.rounds, clients=config.clients)
    Run(config, results, courier).go()


class Run:
    """One life of one job's server."""

    def __init__(self, config: RunConfig, results: Results, courier: Courier) -> None:
        self._config, self._results, self._courier = config, results, courier
        setup = set_up(config.rounds, config.clients, config.folder)
        require_legal(setup.strategy, setup.model, setup.run.privacy)
        clients = courier.gather(config.clients)
        self._server = ServerRuntime(setup.strategy, setup.model, setup.run, clients)
        self._progress = results.resume() or Progress(0, dict.fromkeys(range(config.clients), 0), {})
        if self._progress.round:
            self._server.restore(self._progress.server)
            log("resumed", job=config.job, round=self._progress.round)

    def go(self) -> None:
        progress = self._progress
        while progress.round < self._config.rounds:
            self._round(progress.round + 1)
            self._results.keep(progress)
        self._measure_judged()
        digest = self._results.finish(self._server.judged(), progress.rounds)
        log("finished", job=self._config.job, round=progress.round, model=digest)

    def _round(self, number: int) -> None:
        """Send, wait, step. The answers also measure the model that the round before left."""
        begin, progress = time.monotonic(), self._progress
        downloads = self._server.configure(number)
        exchange = self._courier.exchange(wire.TRAIN, self._orders(number, downloads), number)
        answers = _answers(exchange)
        uploads = {client: _upload(answer) for client, answer in answers.items()}
        report = self._server.aggregate(number, uploads)
        for client, why in report.rejected.items():
            log("upload-rejected", round=number, client=client, why=why)
        _record_measures(progress.rounds, answers)
        progress.rounds.append(
            RoundMetrics(
                round=number,
                clients=len(report.reported),
                failures=exchange.failures + len(report.rejected),
                upload_bytes=report.upload_bytes,
                download_bytes=report.download_bytes,
                seconds=round(time.monotonic() - begin, 3),
            )
        )
        progress.since |= {client: number for client, upload in uploads.items() if upload is not None}
        progress.round, progress.server = number, self._server.state()
        log("round", job=self._config.job, round=number, clients=len(report.reported), failures=exchange.failures)

    def _orders(self, number: int, downloads: Mapping[int, Download]) -> dict[int, RecordDict]:
        """The judged model goes along where it is another than the one to train from."""
        judged = pick(self._server.judged(), self._server.keys)
        apart = _encoded(number - 1, judged)
        return {
            client: self._order(client, number, download.encode(), b"" if _holds(download, judged) else apart)
            for client, download in downloads.items()
        }

    def _measure_judged(self) -> None:
        """The model that the last round left, on all clients' held-out rows."""
        number = self._config.rounds
        judged = _encoded(number, pick(self._server.judged(), self._server.keys))
        orders = {client: self._order(client, number, b"", judged) for client in self._progress.since}
        exchange = self._courier.exchange(wire.EVALUATE, orders, number)
        _record_measures(self._progress.rounds, _answers(exchange))

    def _order(self, client: int, number: int, download: bytes, judged: bytes) -> RecordDict:
        since, config = self._progress.since[client], self._config
        return Order(config.job, number, config.rounds, config.clients, since, download, judged).pack()


def _answers(exchange: Exchange) -> dict[int, Answer]:
    return {client: Answer.unpack(exchange.answers[client]) for client in sorted(exchange.answers)}


def _upload(answer: Answer) -> Upload | None:
    """What cannot be read counts as not sent."""
    try:
        return Upload.decode(answer.upload) if answer.upload else None
    except MessageError as problem:
        log("upload-unreadable", why=str(problem))
        return None


def _encoded(number: int, model: Tree) -> bytes:
    return Download(number, dict(model)).encode()


def _holds(download: Download, model: Tree) -> bool:
    if download.delta or download.model.keys() != model.keys():
        return False
    return all(np.array_equal(download.model[key], value) for key, value in model.items())


def _record_measures(rounds: list[RoundMetrics], answers: Mapping[int, Answer]) -> None:
    """Give the last round its means over the clients' held-out rows."""
    measures = [answer.measures for answer in answers.values() if answer.measures.get("rows")]
    rows = sum(one["rows"] for one in measures)
    if rounds and rows:
        means = {name: sum(one["rows"] * one[name] for one in measures) / rows for name in ("accuracy", "loss")}
        rounds[-1] = rounds[-1].model_copy(update=means)
