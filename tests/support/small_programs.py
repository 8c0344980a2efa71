"""Small trusted programs: what a platform box and a fleet are told to run in tests. `python -m small_programs WORD ...`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fedwright_crds.box import Box


def deploy() -> int:
    """Reads its input, reports rounds, writes its output, says what it can see."""
    box = Box.here()
    for number in (1, 2):
        print(json.dumps({"round": number, "accuracy": number / 10, "note": "text"}), flush=True)
    print("a plain line")
    seen = {
        "order": box.input("order").read_text(),
        "federation": os.environ["FEDWRIGHT_FEDERATION"],
        "environment": sorted(os.environ),
    }
    box.output("seen").write_text(json.dumps(seen))
    return 0


def crash() -> int:
    raise RuntimeError("no SuperLink")


def nothing() -> int:
    return 0


def link() -> int:
    Box.here().output("seen").symlink_to("/etc/passwd")
    return 0


def brood(folder: str) -> int:
    """Children in sessions of their own that do not listen to SIGTERM, their ids written down; then waits."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    shell = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True)"
    children = [subprocess.Popen([sys.executable, "-c", code], start_new_session=True) for _ in range(2)]
    subprocess.run([sys.executable, "-c", shell], check=True)
    Path(folder, "pids").write_text(" ".join(str(one.pid) for one in children))
    Path(folder, "ready").touch()
    time.sleep(600)
    return 0


def fleet(*arguments: str) -> int:
    """A supervisor that says of itself what its spec says, until it is told to end."""
    home, spec = Path(arguments[1]), json.loads(Path(arguments[3]).read_text())
    nodes = sum(group["nodes"] for group in spec["groups"])
    starts = home / "starts"
    starts.write_text(f"{starts.read_text() if starts.exists() else ''}{os.getpid()}\n")
    status = {"ready": True, "nodes_connected": nodes, "address": "127.0.0.1:1", "certificate_expires_at": "never"}
    (home / "status.json").write_text(json.dumps(status))
    signal.sigwait({signal.SIGTERM})
    return 0


if __name__ == "__main__":
    words = sys.argv[1:]
    program = fleet if words[0].startswith("--") else globals()[words.pop(0)]
    sys.exit(program(*words))
