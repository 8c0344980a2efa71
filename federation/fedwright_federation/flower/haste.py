"""Two of Flower's fixed waits, shortened in the calling process. No installed file is touched.

A stock round costs seven seconds of waiting and more: the SuperNode's loop sleeps 3 s between looks, and whoever looks for a
message just before the last of its objects has come waits 1 s for it.
"""

import importlib
import time
from types import SimpleNamespace
from typing import Any

OBJECT_SECONDS = 0.1
"""The first wait for an object that is on its way; Flower doubles it each time."""
NAP_SECONDS = 0.25


def hasten_objects() -> None:
    """Wait less for objects: the default of the two functions that pull them."""
    pulling: Any = importlib.import_module("flwr.supercore.inflatable.inflatable_utils")
    for function in (pulling.pull_objects, pulling.pull_and_inflate_object_from_tree):
        function.__kwdefaults__["initial_backoff"] = OBJECT_SECONDS


def hasten_node() -> None:
    """Let the SuperNode's loop nap shortly: its module, and no other, gets another clock."""
    loop: Any = importlib.import_module("flwr.supernode.start_client_internal")
    clock = {name: getattr(time, name) for name in dir(time) if not name.startswith("_")}
    loop.time = SimpleNamespace(**{**clock, "sleep": lambda seconds: time.sleep(min(seconds, NAP_SECONDS))})
