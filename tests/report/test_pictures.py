"""What is computed for the pictures, against figures by hand."""

import pytest
from findings import document, findings

from fedwright_crds.base import canonical
from fedwright_crds.documents import ReportInput
from fedwright_federation.report.canvas import drawable, spread
from fedwright_federation.report.clients import clients_of
from fedwright_federation.report.looks import GREY, Look, clean, looks_of, short
from fedwright_federation.report.pareto import Point, front_of
from fedwright_federation.report.rounds import courses_of
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import UNITS, figure, probability, unit_of


def point(upload: float, accuracy: float) -> Point:
    return Point(Look("", "", "", "o", ""), upload, accuracy)


def test_the_front_holds_those_that_none_beats_in_both() -> None:
    best, cheap, same, worse, dear = point(3, 93), point(1, 85), point(1, 80), point(2, 84), point(5, 93)
    assert front_of([dear, worse, best, same, cheap]) == [cheap, best]


def test_the_winner_comes_first_and_the_baseline_is_grey() -> None:
    looks = list(looks_of(findings()).values())
    assert [(one.name, one.role) for one in looks[:4]] == [
        ("digits-c1", "winner"),
        ("digits-c2", "finalist"),
        ("digits-scaffold", "best of the catalogue"),
        ("digits-fedavg", "baseline"),
    ]
    assert looks[3].colour == GREY
    coloured = [one.colour for one in looks if one.colour != GREY]
    assert len(coloured) == len(set(coloured)) == 6


def test_bands_are_the_spread_over_seeds() -> None:
    found = document()
    curve = [{"round": 1, "uploadMebibytes": 1, "simulatedSeconds": 1, "clientAccuracy": 0.5}]
    found["candidates"] = found["candidates"][:1]
    found["candidates"][0]["curves"] = [[curve[0] | {"accuracy": value}] for value in (0.5, 0.6, 0.7)]
    (course,) = courses_of(Story.of(ReportInput.model_validate_json(canonical(found))))
    assert (course.mean[0], course.spread[0]) == pytest.approx((60, 10))


def test_only_rounds_that_every_seed_reached_are_drawn() -> None:
    found = document()
    for seed, curve in enumerate(found["candidates"][0]["curves"]):
        del curve[8 - seed % 2 :]
    course = courses_of(Story.of(ReportInput.model_validate_json(canonical(found))))[-1]
    assert course.rounds.tolist() == [4, 8, 12, 16, 20, 24, 28]


def test_the_worst_tenth_of_twenty_clients_is_two() -> None:
    found = document()
    found["candidates"][0]["perClient"] = [0.9] * 18 + [0.2, 0.4]
    (*_, baseline) = clients_of(Story.of(ReportInput.model_validate_json(canonical(found))))
    assert (baseline.tenth, baseline.worst) == (2, pytest.approx(30))


def test_names_are_moved_apart_in_their_order() -> None:
    placed = spread([1.0, 1.1, 5.0], 1.0)
    assert placed == sorted(placed) and placed[1] - placed[0] == pytest.approx(1.0)
    assert spread([1.0, 5.0], 1.0) == [1.0, 5.0]


def test_text_of_others_becomes_one_printable_line() -> None:
    assert clean(" a\0b\nc\u202e d\t ") == "a b c d"
    assert short("x" * 40) == "x" * 29 + "…"
    assert drawable("a\u6f22\nb") == "a?\nb"


@pytest.mark.parametrize(
    ("key", "value", "difference"),
    [
        ("Accuracy/Global", "91.2%", "+91.23 points"),
        ("UploadMebibytes/Global", "0.9123 MiB", "+0.9123 MiB"),
        ("Loss/PerClient", "0.9123", "+0.9123"),
    ],
)
def test_values_are_written_in_their_unit(key: str, value: str, difference: str) -> None:
    assert (unit_of(key).value(0.9123), unit_of(key).difference(0.9123)) == (value, difference)


def test_every_metric_has_words_and_small_chances_are_not_zero() -> None:
    assert all(unit.name for unit in UNITS.values())
    assert (probability(0.00001), probability(0.0345)) == ("p < 0.0001", "p = 0.035")
    assert (figure(1234567.0), figure(None), figure(0.1)) == ("1,234,567", "-", "0.1")
