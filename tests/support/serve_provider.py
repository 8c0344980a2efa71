"""The provider of scripted models as a program, for a pod of its own: `serve_provider.py PORT SECONDS SHA256`.

It takes so many seconds over each answer, and says in its log, a line of JSON each, when a call began and when it ended: for
which role, whether its key was the one with that digest, and the requests whose lessons stand in the prompt. Its planner looks
for lessons before it answers.
"""

import hashlib
import json
import re
import sys
import threading
import time

from model_minds import ROLES, role_player
from scripted_provider import Handler, Json, ScriptedProvider, answer

LOOK = {"query": "FedAvg on digits won: lessons of earlier requests, pathological labels, softmax"}
LESSON_OF = re.compile(r"lesson/[0-9a-f]{16}.*?Source: request ([a-z0-9-]+)", re.DOTALL)


def serve(port: int, seconds: float, digest: str) -> ScriptedProvider:
    """One that listens everywhere."""

    def script(handler: Handler, body: Json, before: int) -> None:
        said = {"call": before + 1, "role": role_of(body), "rightKey": is_right(handler, digest)}
        tell(event="begun", **said, lessonsOf=sorted(set(LESSON_OF.findall(text_of(body)))))
        time.sleep(seconds)
        tell(event="ended", **said)
        play(handler, body, before)

    return ScriptedProvider({"scripted": script}, ("0.0.0.0", port))


def play(handler: Handler, body: Json, before: int) -> None:
    if role_of(body) == "plan" and not any(one["role"] == "tool" for one in body["messages"]):
        function = {"name": "search_knowledge", "arguments": json.dumps(LOOK)}
        calls = [{"id": "call-1", "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        answer(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])(handler, body, before)
    else:
        role_player(handler, body, before)


def role_of(body: Json) -> str:
    prompt = str(body["messages"][1]["content"])
    return next(plays.__name__ for words, plays in ROLES.items() if f"# Your task: {words}" in prompt)


def text_of(body: Json) -> str:
    """What tools told."""
    return "\n".join(str(one["content"]) for one in body["messages"] if one["role"] == "tool").replace("\\n", "\n")


def is_right(handler: Handler, digest: str) -> bool:
    bearer = handler.headers.get("authorization", "").removeprefix("Bearer ")
    return hashlib.sha256(bearer.encode()).hexdigest() == digest


def tell(**said: object) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
    threading.Event().wait()
