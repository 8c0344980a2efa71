"""One pass at a time for each root, none lost, errors tried again, and nothing held up by another root."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from fedwright_operator.cluster.api import AwayError
from fedwright_operator.cluster.queues import Queues

Story = Callable[[Queues], Awaitable[None]]


def play(run: Callable[[str], float | None], story: Story, threads: int = 4) -> list[str]:
    """Run a story over queues; how each pass ended."""
    outcomes: list[str] = []

    async def body() -> None:
        queues = Queues(run, threads, lambda outcome, *_: outcomes.append(outcome))
        queues.open()
        await story(queues)
        await queues.close()

    asyncio.run(body())
    return outcomes


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


def test_a_root_has_one_pass_at_a_time_however_often_it_is_asked_for() -> None:
    inside, most, passes = Counter[str](), Counter[str](), Counter[str]()
    lock = threading.Lock()

    def run(root: str) -> float | None:
        with lock:
            inside[root] += 1
            most[root] = max(most[root], inside[root])
        time.sleep(0.01)
        with lock:
            inside[root] -= 1
            passes[root] += 1
        return 60.0

    async def story(queues: Queues) -> None:
        for _ in range(50):
            for root in "abc":
                queues.ask(root)
            await asyncio.sleep(0.002)
        await until(lambda: queues.depth == 0)

    play(run, story)
    assert set(most.values()) == {1}
    assert all(2 <= count <= 50 for count in passes.values())


def test_what_is_asked_during_a_pass_has_a_pass_of_its_own_afterwards() -> None:
    seen: list[int] = []
    state = {"value": 0}

    def run(_: str) -> float | None:
        seen.append(state["value"])
        time.sleep(0.05)
        return 60.0

    async def story(queues: Queues) -> None:
        queues.ask("a")
        await until(lambda: seen == [0])
        state["value"] = 1
        queues.ask("a")
        await until(lambda: len(seen) == 2)

    play(run, story)
    assert seen == [0, 1]


def test_a_pass_that_says_when_comes_again_by_itself() -> None:
    times: list[float] = []

    def run(_: str) -> float | None:
        times.append(time.monotonic())
        return 0.05

    async def story(queues: Queues) -> None:
        queues.ask("a")
        await until(lambda: len(times) == 4)

    play(run, story)
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(times))


def test_a_root_that_is_gone_is_forgotten_and_may_come_back() -> None:
    passes: list[str] = []

    def run(root: str) -> float | None:
        passes.append(root)
        return None

    async def story(queues: Queues) -> None:
        queues.ask("a")
        await until(lambda: len(passes) == 1 and queues.slowest() == 0.0)
        queues.ask("a")
        await until(lambda: len(passes) == 2)

    play(run, story)


def test_an_error_is_tried_again_and_holds_up_no_other_root() -> None:
    tries = Counter[str]()

    def run(root: str) -> float | None:
        tries[root] += 1
        if root == "broken" and tries[root] == 1:
            raise AwayError("the API server does not answer")
        return 60.0

    async def story(queues: Queues) -> None:
        queues.ask("broken")
        queues.ask("sound")
        await until(lambda: tries["broken"] == 2 and tries["sound"] == 1)

    assert sorted(play(run, story)) == ["away", "done", "done"]


def test_what_failed_is_not_hurried_by_whoever_asks() -> None:
    times: list[float] = []

    def run(_: str) -> float | None:
        times.append(time.monotonic())
        if len(times) == 1:
            raise AwayError("the API server does not answer")
        return 60.0

    async def story(queues: Queues) -> None:
        queues.ask("a")
        await until(lambda: len(times) == 1)
        for _ in range(20):
            queues.ask("a")
            await asyncio.sleep(0.01)
        await until(lambda: len(times) >= 2)

    play(run, story)
    assert times[1] - times[0] >= 0.9
