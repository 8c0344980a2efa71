"""Small honest programs: what steps do with what they are given."""

import json
import os
import sys
import time
from pathlib import Path

from fedwright_crds.box import Box

BOX = Box.here()


def main(argv):
    return globals()[argv[0]](*argv[1:])


def listing():
    """Every file of the box, with its text."""
    found = {}
    for folder, _, names in os.walk(BOX.root):
        for name in names:
            path = Path(folder, name)
            found[str(path.relative_to(BOX.root))] = path.read_text("ascii", "replace")
    return found


def look():
    BOX.output("seen").write_text(json.dumps(listing()))


def prepare():
    BOX.handover("shards").joinpath("client-0.txt").write_text("shard of 0")
    BOX.handover("shards").joinpath("client-1.txt").write_text("shard of 1")
    BOX.handover("labels").joinpath("labels.txt").write_text("the labels")


def simulate(output):
    seen = listing()
    BOX.handover("checkpoint").joinpath("model.json").write_text(json.dumps(seen))
    BOX.output(output).write_text(json.dumps(seen))


def score():
    BOX.output("score").write_text(json.dumps(listing()))
    print("the labels are", BOX.received("labels").joinpath("labels.txt").read_text())


def write_many(handover, count, size):
    for number in range(int(count)):
        BOX.handover(handover).joinpath(f"file-{number}").write_bytes(bytes(int(size)))


def nothing():
    return 0


def sleep(seconds):
    print("asleep", flush=True)
    time.sleep(float(seconds))


def fail(code):
    print("on the way down")
    print("reason on stderr", file=sys.stderr)
    return int(code)


def imported():
    BOX.output("seen").write_text(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))


def environment():
    BOX.output("seen").write_text(json.dumps(dict(os.environ)))


def arguments(*words):
    BOX.output("seen").write_text(json.dumps(words))


def use_torch():
    import torch

    weights = torch.zeros(4, 3, requires_grad=True)
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(torch.ones(8, 4) @ weights, torch.zeros(8, dtype=torch.long))
        loss.backward()
        with torch.no_grad():
            weights -= weights.grad
    BOX.output("seen").write_text(json.dumps([float(loss.detach()), torch.get_num_threads()]))


def read_file(path):
    BOX.output("seen").write_text(json.dumps(Path(path).read_text()))


def connect(port):
    import socket

    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as line:
        BOX.output("seen").write_text(json.dumps(line.recv(5).decode()))
