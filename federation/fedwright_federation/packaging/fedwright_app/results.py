"""What a run leaves on the server's disk, by job: a checkpoint a round, the metrics so far, and at the end the model.

Every file is replaced in one step, so a ServerApp that is killed at any moment goes on from a round that was complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fedwright_crds.base import digest_of
from fedwright_crds.documents import DeploymentMetrics, RoundMetrics
from fedwright_federation.algorithm.tree import Array, Arrays, Tree
from fedwright_federation.packaging.files import read_arrays, write_arrays, write_whole
from fedwright_federation.simulation.messages import encode_arrays

KEPT = 2


@dataclass
class Progress:
    """Where a run stands after a round."""

    round: int
    since: dict[int, int]
    """For each client the last round that was taken from it; 0 for none."""
    server: Arrays
    """The server runtime's state."""
    rounds: list[RoundMetrics] = field(default_factory=list)


class Results:
    """One job's folder."""

    def __init__(self, folder: Path, run: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._run = folder, run
        self._restarts = self._count_starts() - 1

    def resume(self) -> Progress | None:
        """The latest round that was complete, or None before the first."""
        files = sorted(self._folder.glob("checkpoint-*.npz"), key=_number)
        if not files:
            return None
        arrays = read_arrays(files[-1])
        rounds = DeploymentMetrics.model_validate_json(arrays.pop("metrics").tobytes()).rounds
        since = dict(enumerate(arrays.pop("since").tolist()))
        server = {key.removeprefix("server/"): value for key, value in arrays.items()}
        return Progress(_number(files[-1]), since, server, list(rounds))

    def keep(self, progress: Progress) -> None:
        """A checkpoint, then the metrics; earlier checkpoints but the last go."""
        arrays: Arrays = {f"server/{key}": value for key, value in progress.server.items()}
        arrays["since"] = np.array([progress.since[client] for client in sorted(progress.since)], dtype=np.int64)
        arrays["metrics"] = np.frombuffer(self._metrics(progress.rounds), dtype=np.uint8)
        write_arrays(self._folder / f"checkpoint-{progress.round}.npz", arrays)
        for path in self._folder.glob("checkpoint-*.npz"):
            if _number(path) <= progress.round - KEPT:
                path.unlink()
        self.tell(progress.rounds)

    def tell(self, rounds: list[RoundMetrics], model: str = "") -> None:
        """Replace `metrics.json`; with the model's digest the run is over."""
        write_whole(self._folder / "metrics.json", self._metrics(rounds, model))

    def finish(self, model: Tree, rounds: list[RoundMetrics]) -> str:
        """Write `model.npz`, then the last metrics; the model's digest."""
        write_arrays(self._folder / "model.npz", dict(model))
        digest = model_digest(model)
        self.tell(rounds, digest)
        return digest

    def _metrics(self, rounds: list[RoundMetrics], model: str = "") -> bytes:
        said = DeploymentMetrics(run=self._run, rounds=tuple(rounds), model_digest=model, restarts=self._restarts)
        return said.model_dump_json(by_alias=True).encode()

    def _count_starts(self) -> int:
        path = self._folder / "starts"
        before = path.read_text().split() if path.exists() else []
        write_whole(path, "\n".join([*before, self._run]).encode())
        return len(before) + 1


def model_digest(model: Mapping[str, Array]) -> str:
    """Of names, shapes and every bit of the values, whatever file they are in."""
    return digest_of(encode_arrays({key: model[key] for key in sorted(model)}))


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("checkpoint-"))
