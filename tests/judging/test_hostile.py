"""Predictions from a hostile bench: each is named in a score that is not ok, and none stops or misleads the judge."""

import io
import json
import os
import pickle
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chain import Chain, judge_of

from fedwright_crds.documents import Score

Answer = np.ndarray
Attack = Callable[[Path, Answer], None]


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("/tmp/fedwright-pickle-ran",)


def link_to_labels(path: Path, answer: Answer) -> None:
    path.symlink_to(path.parent.parent / "labels" / "labels.npz")


def link_to_honest(path: Path, answer: Answer) -> None:
    np.save(path.with_name("kept.npy"), answer)
    path.symlink_to("kept.npy")


def fifo(path: Path, answer: Answer) -> None:
    os.mkfifo(path)


def hard_link(path: Path, answer: Answer) -> None:
    np.save(path.with_name("other.npy"), answer)
    os.link(path.with_name("other.npy"), path)


def folder(path: Path, answer: Answer) -> None:
    path.mkdir()


def unix_socket(path: Path, answer: Answer) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        here = Path.cwd()
        os.chdir(path.parent)
        end.bind(path.name)
        os.chdir(here)


def sparse(path: Path, answer: Answer) -> None:
    np.save(path, answer)
    os.truncate(path, 1 << 40)


def saved(change: Callable[[Answer], Answer]) -> Attack:
    return lambda path, answer: np.save(path, change(answer), allow_pickle=True)


def raw(make: Callable[[bytes], bytes]) -> Attack:
    def attack(path: Path, answer: Answer) -> None:
        honest = io.BytesIO()
        np.save(honest, answer)
        path.write_bytes(make(honest.getvalue()))

    return attack


def header(text: bytes) -> Attack:
    """An .npy with this header in place of the honest one."""

    def make(honest: bytes) -> bytes:
        line = text + b" " * (-(len(text) + 11) % 64) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + honest[128:]

    return raw(make)


def zipped(path: Path, answer: Answer) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("global.npy", bytes(1 << 24))


def spoiled(value: float) -> Attack:
    def change(answer: Answer) -> Answer:
        answer[-1, 3, 4] = value
        return answer

    return saved(change)


ATTACKS: dict[str, tuple[Attack, str]] = {
    "symlink to the labels": (link_to_labels, "cannot be opened"),
    "symlink to honest answers": (link_to_honest, "cannot be opened"),
    "fifo": (fifo, "no regular file"),
    "hard link": (hard_link, "second name"),
    "folder": (folder, "no regular file"),
    "socket": (unix_socket, "cannot be opened"),
    "sparse terabyte": (sparse, "bytes, more than"),
    "nothing": (lambda path, answer: None, "missing"),
    "empty": (raw(lambda honest: b""), "no float32 array"),
    "NaN": (spoiled(float("nan")), "not finite"),
    "infinity": (spoiled(float("inf")), "not finite"),
    "negative": (spoiled(-0.25), "no probabilities"),
    "above one": (saved(lambda answer: answer * 2), "no probabilities"),
    "rows that do not sum to one": (saved(lambda answer: answer * np.float32(0.9)), "no probabilities"),
    "too few rows": (saved(lambda answer: answer[:, :-1]), "no float32 array"),
    "too many rows": (saved(lambda answer: np.concatenate([answer, answer], 1)), "more than"),
    "too few classes": (saved(lambda answer: answer[..., :-1]), "no float32 array"),
    "transposed": (saved(lambda answer: answer.swapaxes(0, 1)), "no float32 array"),
    "Fortran order": (saved(np.asfortranarray), "no float32 array"),
    "float64": (saved(lambda answer: answer.astype(np.float64)), "more than"),
    "big-endian": (saved(lambda answer: answer.astype(">f4")), "no float32 array"),
    "float16": (saved(lambda answer: answer.astype(np.float16)), "no float32 array"),
    "complex": (saved(lambda answer: answer.astype(np.complex64)), "more than"),
    "whole numbers": (saved(lambda answer: answer.view(np.int32)), "no float32 array"),
    "fields": (saved(lambda answer: answer.view([("p", "<f4")])), "no float32 array"),
    "rows backwards": (saved(lambda answer: answer[:, ::-1, ::-1].T), "no float32 array"),
    "subtracting below zero": (spoiled(-1e-30), "no probabilities"),
    "not a number with a payload": (
        saved(lambda answer: np.where(answer > 2, answer, np.uint32(0xFFC0DEAD).view("f4"))),
        "not finite",
    ),
    "all denormal": (saved(lambda answer: np.full_like(answer, 1e-40)), "no probabilities"),
    "object array": (saved(lambda answer: np.array([Bomb()], dtype=object)), "no float32 array"),
    "bare pickle": (raw(lambda honest: pickle.dumps(Bomb())), "no float32 array"),
    "truncated": (raw(lambda honest: honest[:-4]), "no float32 array"),
    "goes on after its end": (raw(lambda honest: honest + b"\0" * 64), "more than"),
    "version 3 header": (raw(lambda honest: honest[:6] + b"\x03" + honest[7:]), "no float32 array"),
    "header of 10^12 numbers": (
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"),
        "no float32 array",
    ),
    "header of 9,000 brackets": (header(b"(" * 9000), "more than"),
    "header that is code": (header(b"{'descr': __import__('os').abort(), 'shape': (2,)}"), "no float32 array"),
    "zip bomb": (zipped, "no float32 array"),
}


def scored(chain: Chain) -> Score:
    work = judge_of(*chain.documents.values())  # type: ignore[arg-type]
    assert chain.step(work.steps[-1]) == 0
    return Score.model_validate_json((chain.root / "out" / "score.json").read_bytes())


@pytest.fixture
def score_step(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Score]:
    """Scores with the predictions where they lie: copying would already follow links and wait for FIFOs."""

    def furnish(box: Path, step: object) -> None:
        box.joinpath("in").mkdir(parents=True)
        box.joinpath("in", "judge.json").write_text(chain.documents["judge.json"].model_dump_json(by_alias=True))
        box.joinpath("from").symlink_to(chain.root / "handovers")

    monkeypatch.setattr(chain, "_furnish", furnish)
    return lambda: scored(chain)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("file", ["global.npy", "personal.npy"])
def test_hostile_predictions_are_refused_by_name(
    name: str, file: str, chain: Chain, score_step: Callable[[], Score]
) -> None:
    attack, says = ATTACKS[name]
    if name == "nothing" and file == "personal.npy":
        return
    predictions = chain.root / "handovers" / "predictions"
    answer = np.load(predictions / "global.npy").copy()
    (predictions / file).unlink(missing_ok=True)
    attack(predictions / file, answer)
    score = score_step()
    assert not score.ok and not score.metrics
    assert file in score.reason and says in score.reason
    assert not Path("/tmp/fedwright-pickle-ran").exists()


def test_honest_predictions_pass_the_same_way(score_step: Callable[[], Score]) -> None:
    assert score_step().ok


def test_denormals_and_minus_zero_give_finite_figures(chain: Chain, score_step: Callable[[], Score]) -> None:
    """Certain answers, right or wrong, with the smallest numbers in place of zeros."""
    path = chain.root / "handovers" / "predictions" / "global.npy"
    answer = np.full_like(np.load(path), 1e-45)
    answer[..., 1], answer[..., 0] = 1.0, -0.0
    np.save(path, answer)
    score = score_step()
    assert score.ok and score.constant
    assert np.isfinite(list(score.metrics.values())).all()


CLAIMS = {
    "no document": (b"", "Invalid JSON"),
    "NaN": (b'{"rounds":[3,6],"uploadBytes":[NaN,1]}', "uploadBytes"),
    "nested a hundred thousand deep": (b"[" * 100_000, "JSON"),
    "negative": (b'{"rounds":[3,6],"uploadBytes":[-1,1]}', "uploadBytes"),
    "true for a number": (b'{"rounds":[3,6],"uploadBytes":[true,1]}', "uploadBytes"),
    "too many digits": (b'{"rounds":[3,6],"uploadBytes":[1,' + b"9" * 5000 + b"]}", "Invalid JSON"),
    "too large": (b'{"rounds":[3,6],"uploadBytes":[1,1e30]}', "uploadBytes"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_that_are_no_figures_are_refused(name: str, chain: Chain, score_step: Callable[[], Score]) -> None:
    text, says = CLAIMS[name]
    (chain.root / "handovers" / "declared" / "declared.json").write_bytes(text)
    score = score_step()
    assert not score.ok and "declared.json" in score.reason and says in score.reason


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"rounds":[3,6]', '"rounds":[1,6]', "6 were judged"),
        ('"rounds":[3,6]', '"rounds":[6]', "figures for 1"),
        ('"seconds":[', '"seconds":[1e9,', "figures for 2"),
        ('"rounds":[3,6]', '"accuracy":1.0,"rounds":[3,6]', "an unknown field"),
        ('"steps":[', '"steps":[9999999999999,', "figures for 2"),
    ],
)
def test_claims_that_do_not_fit_the_run_are_refused(
    old: str, new: str, says: str, chain: Chain, score_step: Callable[[], Score]
) -> None:
    path = chain.root / "handovers" / "declared" / "declared.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    score = score_step()
    assert not score.ok and says.replace("6 were", "(3, 6) were") in score.reason


def test_spending_that_shrinks_is_refused(chain: Chain, score_step: Callable[[], Score]) -> None:
    path = chain.root / "handovers" / "declared" / "declared.json"
    said = json.loads(path.read_text())
    said["uploadBytes"].reverse()
    path.write_text(json.dumps(said))
    assert "upload_bytes falls" in score_step().reason
