"""A program of ours that goes on until it is told to end: it tells how far it is, and leaves things in order."""

import json
import signal
import time


def main(argv):
    told = []
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in argv else lambda number, _: told.append(number))
    print(json.dumps({"round": 1, "accuracy": 0.5}))
    print("said of others: \x1b[2J")
    while not told:
        time.sleep(0.05)
    print("left in order")
    return 128 + told[0]
