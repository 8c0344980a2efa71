"""The cache: the newest of each, nothing of what went, and no more memory than what is there."""

import sys
import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fedwright_operator.cluster import cache as module
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.labels import ROOT

Json = dict[str, Any]


def job(uid: str, version: int, root: str = "root", namespace: str = "default", name: str = "") -> Json:
    metadata = {
        "uid": uid,
        "name": name or uid,
        "namespace": namespace,
        "resourceVersion": str(version),
        "labels": {ROOT: root},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return {"kind": "Job", "metadata": metadata}


def request(uid: str, namespace: str) -> Json:
    return {**job(uid, 1, namespace=namespace), "kind": "FLStrategyRequest"}


def test_a_late_answer_about_what_was_deleted_is_no_news() -> None:
    cache = Cache()
    cache.put(job("a", 1))
    cache.drop(job("a", 3), for_good=False)
    assert not cache.put(job("a", 2))
    assert cache.body("a") is None


def test_what_left_the_selection_by_a_label_comes_back_with_it() -> None:
    cache = Cache()
    cache.put(job("a", 1))
    cache.drop(job("a", 2), for_good=False)
    assert cache.put(job("a", 3))
    cache.drop(job("a", 3))
    assert not cache.put(job("a", 4)), "this one was deleted for good"


def test_what_changes_its_root_is_in_the_new_group_alone_and_goes_whole() -> None:
    cache = Cache()
    cache.put(job("a", 1, root="one"))
    cache.put(job("a", 2, root="two"))
    assert not cache.group("one", "Job")
    assert len(cache.group("two", "Job")) == 1
    cache.drop(job("a", 3, root="three"), for_good=False)
    assert not any(cache.group(root, "Job") for root in ("one", "two", "three"))


def test_what_says_from_another_namespace_that_it_belongs_to_a_root_does_not() -> None:
    cache = Cache()
    cache.put(request("root", "hers"))
    cache.put(job("mine", 1, namespace="hers"))
    cache.put(job("forged", 1, namespace="his"))
    assert [one["metadata"]["uid"] for one in cache.group("root", "Job")] == ["mine"]


def test_a_name_that_is_taken_again_is_the_new_ones() -> None:
    cache = Cache()
    cache.put(job("old", 1, name="n"))
    cache.put(job("new", 2, name="n"))
    cache.drop(job("old", 3, name="n"), for_good=False)
    found = cache.named("Job", "default", "n")
    assert found is not None and found["metadata"]["uid"] == "new"


def test_what_a_pass_parses_after_it_went_is_not_remembered() -> None:
    cache = Cache()
    body = request("a", "default")
    cache.put(body)
    cache.drop(body)
    cache.resource(body)
    assert not cache._parsed


def test_of_the_deleted_no_more_are_remembered_than_come_late(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10)
    cache = Cache()
    for number in range(50):
        cache.put(job(str(number), 1))
        cache.drop(job(str(number), 2), for_good=False)
    assert len(cache._gone) == 10
    assert not any((cache._bodies, cache._names, dict(cache._groups), dict(cache._places)))


EVENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "drop"]), st.sampled_from("xyz")), max_size=40
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_whatever_order_news_come_in_the_cache_ends_with_what_is(
    events: list[tuple[str, str, str]], order: Any
) -> None:
    """Of each resource the newest counts, and each index holds what the bodies hold."""
    cache, last, news = Cache(), {}, []
    for version, (uid, what, root) in enumerate(events, 1):
        last[uid] = what, root
        news.append((what, job(uid, version, root=root)))
    order.shuffle(news)
    for what, body in news:
        if what == "put":
            cache.put(body)
        else:
            cache.drop(body, for_good=False)
    for what, body in sorted(news, key=lambda one: int(one[1]["metadata"]["resourceVersion"])):
        cache.drop(body, for_good=False) if what == "drop" else cache.put(body)
    there = {uid for uid, (what, _) in last.items() if what == "put"}
    assert {body["metadata"]["uid"] for body in cache} == there == cache.uids("Job", "") == cache.uids("Job", "default")
    for uid in there:
        assert uid in {one["metadata"]["uid"] for one in cache.group(last[uid][1], "Job")}
    assert sum(len(cache.group(root, "Job")) for root in "xyz") == len(there) == len(cache.all("Job", "default"))


def test_whoever_looks_while_news_come_finds_the_old_or_the_new_and_never_nothing() -> None:
    """A work whose Job or result were not found for a moment would be started a second time."""
    cache = Cache()
    versions = [job("a", version, root="xy"[version % 2]) for version in range(1, 20_000)]
    cache.put(versions[0])
    missed, done = list[str](), threading.Event()

    def look() -> None:
        while not done.is_set():
            found = cache.named("Job", "default", "a") and cache.body("a") and cache.all("Job", "default")
            missed.extend([] if found else ["missed"])

    thread, usual = threading.Thread(target=look), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for body in versions:
            cache.put(body)
    finally:
        sys.setswitchinterval(usual)
        done.set()
        thread.join()
    assert not missed
