"""The executor that forks its apps: they end each for itself."""

import os
import sys
import time
from pathlib import Path

import pytest
from flwr.supercore.constant import TaskType
from flwr.supercore.exit import ExitCode, add_exit_handler, flwr_exit
from flwr.supercore.superexec.executor.types import ExecutionSpec

from fedwright_federation.flower import executor
from fedwright_federation.flower.executor import ForkExecutor
from fedwright_federation.flower.processes import reap, spawn

ALL_WELL = 0


@pytest.mark.parametrize("kind", [TaskType.SERVER_APP, TaskType.CLIENT_APP])
def test_an_app_that_ends_leaves_the_others_alone(
    kind: TaskType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(spec: ExecutionSpec) -> None:
        if spec.task_id == 1:
            time.sleep(60)
        flwr_exit(ExitCode.SUCCESS)

    monkeypatch.setattr(executor, "_serve_app", app)
    monkeypatch.setattr(executor, "_client_app", app)

    def serve() -> None:
        apps = ForkExecutor()
        add_exit_handler(apps.close)  # as `run_superexec` does
        for task in (1, 2):
            apps.launch(ExecutionSpec(kind, "127.0.0.1:1", "token", True, None, False, None, False, task))
        lasting, brief = list(apps._running)
        os.waitpid(brief, 0)
        time.sleep(0.3)  # the other one would need that long to be gone
        ended = reap(lasting)
        apps.close()
        sys.exit(ALL_WELL if ended is None else "the other app ended too")

    _, status = os.waitpid(spawn("executor", serve, tmp_path / "log"), 0)
    assert status == ALL_WELL, (tmp_path / "log").read_text()
