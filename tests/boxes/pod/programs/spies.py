"""A fleet whose members conspire: client 0 tells where it is by the one channel, and client 1 tries to get there."""

import json
import os
import socket
import time
from pathlib import Path

import pod_attacks
from attacks import tried
from members import BOX, SERVER, Channel


def main(argv):
    channel = Channel()
    if argv[0] == "server":
        answer = serve(channel)
        BOX.output("sum").write_text(answer.decode())
        BOX.handover("checkpoint").joinpath("total").write_text("0")
    elif argv[1] == "0":
        tell(channel)
    else:
        spy(channel)
    return 0


def serve(channel):
    _, _, where = channel.receive()
    channel.send(1, 0, where)
    _, _, answer = channel.receive()
    channel.send(0, 1, b"done")
    return answer


def tell(channel):
    BOX.scratch.joinpath("rows").write_text("training rows")
    channel.send(SERVER, 0, json.dumps([str(BOX.root), os.getpid()]).encode())
    channel.receive()
    assert sorted(os.listdir(BOX.scratch)) == ["rows"]  # noqa: PTH208


def spy(channel):
    _, _, where = channel.receive()
    root, process = json.loads(where)
    found = {
        "own shard": sorted(path.name for path in BOX.received("shards").iterdir()),
        "read": tried(Path(root, "scratch", "rows").read_text),
        "list": tried(os.listdir, root),
        "list all": tried(os.listdir, BOX.root.parent),
        "write": tried(Path(root, "scratch", "planted").write_text, "x"),
        "remove": tried(os.remove, Path(root, "scratch", "rows")),
        "truncate": tried(os.truncate, Path(root, "scratch", "rows"), 0),
        "link": tried(os.link, Path(root, "scratch", "rows"), "rows"),
        "shared memory": tried(Path("/dev/shm/rows").write_text, "x"),
        "socket": tried(socket.socket, socket.AF_UNIX),
        "proc": tried(os.listdir, f"/proc/{process}/cwd"),
        **{name: answer for name, answer in pod_attacks.touch_processes(process).items() if str(process) in name},
    }
    channel.send(SERVER, 0, json.dumps(found).encode())
    while channel.receive():
        time.sleep(0)
