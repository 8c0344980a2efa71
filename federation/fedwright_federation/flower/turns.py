"""A SuperNode whose answers stay in step with what it is asked: a mend of Flower 1.41, in the calling process only.

The stock SuperNode first makes a task for a ClientApp and last confirms the message to the SuperLink. Where the run ends in
between, as it does when its ServerApp is killed, the message is dropped and the task stays: a ClientApp works for nobody, and
its reply is one more than was asked for. The loop sends replies only after it has received a message, and takes any reply for
the answer to it. So from then on every answer waits for the next message, in all later runs too, and no ServerApp is ever
told what it asked last.

Here such a task is ended with its message, and a turn is over when the message that began it has been answered.
"""

import importlib
from collections.abc import Callable
from typing import Any

from flwr.supercore.run import RunNotRunningException

NEEDS_THE_RUN = ("pull_object", "confirm_message_received")
"""What the SuperNode calls between making a task and being sure of its message."""


class Turns:
    """The two halves of the SuperNode's loop, around the stock ones."""

    def __init__(self, pull: Callable[..., int | None], push: Callable[..., None]) -> None:
        self._pull, self._push = pull, push
        self._asked = ""

    def pull(self, **given: Any) -> int | None:
        """Receive a message, and remember which."""

        def receive() -> Any:
            found = given["receive"]()
            self._asked = found[0].metadata.message_id if found else ""
            return found

        plain = {name: _failing_plainly(given[name]) for name in NEEDS_THE_RUN}
        return self._pull(**{**given, **plain, "receive": receive})

    def push(self, **given: Any) -> None:
        """Send replies until that message's is among them."""
        answered: set[str] = set()

        def send(reply: Any, *rest: Any) -> Any:
            answered.add(reply.metadata.reply_to_message_id)
            return given["send"](reply, *rest)

        while self._asked not in answered:
            self._push(**{**given, "send": send})


def keep_turns() -> None:
    """Mend the loop of this process's SuperNode."""
    loop: Any = importlib.import_module("flwr.supernode.start_client_internal")
    turns = Turns(loop._pull_and_store_message, loop._push_messages)
    loop._pull_and_store_message, loop._push_messages = turns.pull, turns.push


def _failing_plainly(call: Callable[..., Any]) -> Callable[..., Any]:
    """That the run has ended passes by the stock clean-up, as it is no Exception; let it be one."""

    def plain(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except RunNotRunningException:
            raise InterruptedError("its run has ended") from None

    return plain
