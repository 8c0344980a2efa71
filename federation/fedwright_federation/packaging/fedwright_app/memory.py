"""What a client remembers, on its node's disk, one file a round it took part in.

The server says in each message which round was the last that it took from this client, and the client goes on from the file
of exactly that round. So a round may be sent again, after a crash on either side, and gives the same answer; and a round that
the server never got leaves no trace.
"""

from pathlib import Path

import numpy as np

from fedwright_federation.packaging.files import read_arrays, write_arrays
from fedwright_federation.simulation.memory import ClientMemory

from .logs import log


class Diary:
    """One job's memories on one node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, round_number: int) -> ClientMemory | None:
        """The memory after that round; None before the first, and where the file is gone: then the client begins anew."""
        if round_number == 0:
            return None
        try:
            arrays = read_arrays(self._file(round_number))
        except FileNotFoundError:
            log("memory-lost", round=round_number, folder=str(self._folder))
            return None
        return ClientMemory.from_tree({key: np.asarray(value, np.float32) for key, value in arrays.items()})

    def keep(self, round_number: int, memory: ClientMemory, since: int) -> None:
        """Write the memory after a round in one step, and forget all rounds but it and `since`, the one it followed."""
        write_arrays(self._file(round_number), dict(memory.to_tree()))
        for path in self._folder.glob("round-*.npz"):
            if int(path.stem.removeprefix("round-")) not in {since, round_number}:
                path.unlink(missing_ok=True)

    def _file(self, round_number: int) -> Path:
        return self._folder / f"round-{round_number}.npz"
