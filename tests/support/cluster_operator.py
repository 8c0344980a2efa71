"""The operator that `make cluster` put on a cluster, with other values for a while."""

import os
import subprocess

from helm import CHARTS
from kubectl import Kubectl


def upgrade(operator: Kubectl, *words: str, wait: bool = True) -> None:
    """With these words for Helm beside the values that it has. Without any it is as it was, save what `--set` has set."""
    command = ["helm", "upgrade", "fedwright", CHARTS / "fedwright", "-n", operator.namespace, "--reuse-values"]
    restored = ["--set", f"images.judge.tag={os.environ.get('FEDWRIGHT_TAG', 'dev')}"]
    waits = ["--wait"] if wait else []
    done = subprocess.run(
        [*command, *waits, *restored, *words], env=operator.environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
