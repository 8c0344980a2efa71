"""What a node keeps to itself: its data, checked and split, and its memory by round."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import small_app
from hypothesis import given
from hypothesis import strategies as st

from fedwright_federation.packaging.fedwright_app.data import NodeDataError, load
from fedwright_federation.packaging.fedwright_app.memory import Diary
from fedwright_federation.simulation.memory import ClientMemory

SETTINGS = small_app.settings("fedrep")
ROWS = np.arange(6 * 10, dtype=np.float32).reshape(10, 6)
LABELS = np.arange(10) % 3


def from_file(folder: Path, **arrays: object) -> Mapping[str, object]:
    np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]
    return {"data-path": str(folder / "data.npz"), "partition-id": 1}


def owners_function() -> tuple[object, object]:
    return ROWS, LABELS


def test_a_fifth_is_held_out_and_always_the_same(tmp_path: Path) -> None:
    config = from_file(tmp_path, x=ROWS, y=LABELS)
    first, again = load(config, SETTINGS), load(config, SETTINGS)
    assert (len(first.train.y), len(first.held_out.y)) == (8, 2)
    assert np.array_equal(first.train.x, again.train.x)
    rows = np.concatenate([first.train.x, first.held_out.x])
    assert np.array_equal(rows[rows[:, 0].argsort()], ROWS)


def test_rows_that_the_file_names_for_measuring_are_used_for_that_alone(tmp_path: Path) -> None:
    data = load(from_file(tmp_path, x=ROWS[:7], y=LABELS[:7], x_test=ROWS[7:], y_test=LABELS[7:]), SETTINGS)
    assert np.array_equal(data.train.x, ROWS[:7]) and np.array_equal(data.held_out.x, ROWS[7:])


def test_the_owners_function_is_called() -> None:
    data = load({"data-entry-point": f"{__name__}:owners_function", "partition-id": 0}, SETTINGS)
    assert len(data.train.y) + len(data.held_out.y) == 10


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": ROWS}, "must give x and y"),
        ({"x": ROWS[:, :5], "y": LABELS}, r"shape \(10, 5\)"),
        ({"x": ROWS, "y": LABELS[:9]}, "for 9 labels"),
        ({"x": np.where(ROWS > 50, np.nan, ROWS), "y": LABELS}, "not finite"),
        ({"x": ROWS, "y": LABELS + 1}, r"0\.\.2"),
    ],
)
def test_data_that_do_not_fit_are_refused_with_the_reason(
    tmp_path: Path, arrays: dict[str, object], reason: str
) -> None:
    with pytest.raises(NodeDataError, match=reason):
        load(from_file(tmp_path, **arrays), SETTINGS)


def test_pickled_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeDataError, match="plain numbers"):
        load(from_file(tmp_path, x=np.array([{}]), y=LABELS), SETTINGS)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 and no more"])
def test_a_file_that_holds_no_data_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(NodeDataError, match=f"{path} is no whole"):
        load({"data-path": str(path), "partition-id": 0}, SETTINGS)


def memory(value: float) -> ClientMemory:
    tree = {"w": np.full(2, value, np.float32)}
    return ClientMemory(private=tree, states=({"control": tree}, {}), residual=tree)


def value_of(kept: ClientMemory | None) -> float | None:
    return None if kept is None else float(kept.private["w"][0])


def test_a_memory_comes_back_whole(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.keep(3, memory(3), since=0)
    kept = diary.recall(3)
    assert kept and kept.to_tree().keys() == memory(3).to_tree().keys()
    assert np.array_equal(kept.states[0]["control"]["w"], [3, 3]) and len(kept.states) == 2


def test_a_lost_memory_means_to_begin_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Diary(tmp_path).recall(2) is None
    assert "memory-lost" in capsys.readouterr().out


@given(st.lists(st.sampled_from(["accepted", "lost", "repeated"]), max_size=12))
def test_a_client_goes_on_from_the_last_round_that_was_taken(
    tmp_path_factory: pytest.TempPathFactory, fates: list[str]
) -> None:
    """However rounds are lost or repeated, the memory is that of the accepted rounds alone."""
    diary = Diary(tmp_path_factory.mktemp("diary"))
    since, total = 0, 0.0
    for number, fate in enumerate(fates, 1):
        for _ in range(2 if fate == "repeated" else 1):
            before = value_of(diary.recall(since)) or 0.0
            diary.keep(number, memory(before + number), since)
        if fate != "lost":
            since, total = number, total + number
        assert value_of(diary.recall(since)) == (total if since else None)
