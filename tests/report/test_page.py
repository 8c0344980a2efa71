"""The report as a reader gets it: one page that needs nothing else, whatever minds wrote and whatever is missing."""

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from findings import STRATEGIES, candidate, comparison, decision, document, findings, spec

from fedwright_crds.base import canonical
from fedwright_crds.documents import ReportInput
from fedwright_federation.report import main, page

Document = dict[str, Any]

HOSTILE = (
    "<script>alert(1)</script>",
    "--></title></style><svg/onload=alert(1)>",
    "\"' onmouseover='alert(1)' x=\"",
    "{{ 7 * 7 }} {% raw %}",
    "$\\frac{1}{ $ and \\unknown ^_",
    "]]> &amp; &lt;b&gt; \u202eevil\u2066",
    "nul\0 bell\a escape\x1b[31m",
    "two\nlines\u2028three",
    "\u6f22\u5b57 \U0001f600 e\u0301",
    "x" * 1024,
)


class Reading(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in {"meta", "br", "link", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def whole() -> str:
    """The page of findings in which nothing is missing."""
    return page(findings())


def drawings(text: str) -> list[ElementTree.Element]:
    """Every drawing of a page; each must be well-formed by itself."""
    parts = text.split("<svg ")[1:]
    return [ElementTree.fromstring("<svg " + part[: part.index("</svg>") + 6]) for part in parts]


def test_the_verdict_comes_first_and_every_part_is_there(whole: str) -> None:
    reading = Reading(whole)
    assert whole.index("won</h1>") < whole.index("What was asked")
    for title in (
        "What was asked",
        "How it was judged, and on which data",
        "Finalists against tuned FedAvg",
        "Accuracy by round",
        "Accuracy against bytes uploaded",
        "Accuracy client by client",
        "What was tried, and why it lost",
        "The committee's grades",
        "Tuning trials",
        "The privacy probe",
        "The deployment, round by round",
        "What the search cost",
    ):
        assert title in reading.text
    assert "a fleet's own data is elsewhere" in reading.text
    assert "cannot show that there is none" in reading.text
    assert "Behind the first three after the first rung" in reading.text


def test_every_picture_has_words_and_a_table_of_its_figures(whole: str) -> None:
    sections = [part for part in whole.split("<section ")[1:] if "<figure>" in part]
    assert len(sections) == 7
    for part in sections:
        assert part.count('<div role="img" aria-label="') == 1 and "<table>" in part


def test_the_page_is_one_file_that_asks_for_nothing(whole: str) -> None:
    reading = Reading(whole)
    assert not reading.open and len(whole) < 3_000_000
    assert not reading.tags.keys() & {"script", "link", "iframe", "img", "object", "form"}
    assert all(value.startswith("#") for name, value in reading.attributes if name in {"href", "src", "xlink:href"})
    assert "default-src 'none'" in whole
    ids = [value for name, value in reading.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_drawings_are_whole_and_take_the_page_s_colours(whole: str) -> None:
    for drawing in drawings(whole):
        ids = {one.get("id") for one in drawing.iter()}
        used = {one.get("href", "#").removeprefix("#") for one in drawing.iter() if one.get("href")}
        clips = {one.get("clip-path", "")[5:-1] for one in drawing.iter() if one.get("clip-path")}
        assert used | clips <= ids
        styles = " ".join(one.get("style", "") for one in drawing.iter())
        assert "currentColor" in styles and "#010101" not in styles and "#fefefe" not in styles


def test_the_same_findings_give_the_same_bytes(whole: str) -> None:
    assert page(findings()) == whole


def hostile(text: str) -> ReportInput:
    """The words of minds and people replaced wherever they can stand."""
    found = document()
    line = text[:1000]
    for one in found["candidates"]:
        one["outcome"] |= {"title": line, "hypothesis": line, "deviation": line, "reason": line}
        one["outcome"]["parts"] = [{"slot": "codec", "name": "none", "reason": line}]
        one["grades"] = [{"proposal": 0, "dimension": line, "score": 0.5, "reason": line}]
        trial = {"hyperparameters": {line[:60]: 1.0}, "rounds": 3, "seed": 0, "failure": line}
        one["outcome"]["trials"] = [trial, *one["outcome"]["trials"]]
    found |= {"verdict": text, "judgedOn": line}
    found["spec"]["goal"] = text
    found["deployment"]["run"] = line
    return ReportInput.model_validate_json(canonical(found))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_are_only_words(text: str, whole: str) -> None:
    made = page(hostile(text))
    plain, reading = Reading(whole), Reading(made)
    assert reading.tags.keys() == plain.tags.keys()
    assert not [name for name, _ in reading.attributes if name.startswith("on")]
    assert not reading.open
    assert len(drawings(made)) == 7
    assert not any(ord(letter) < 32 and letter not in "\n" for letter in made)
    assert "\u202e" not in made and "\u2066" not in made


def test_two_strategies_of_one_title_are_told_apart() -> None:
    found = document()
    for one in found["candidates"]:
        one["outcome"]["title"] = "FedAvg"
    text = page(ReportInput.model_validate_json(canonical(found)))
    assert all(one["name"] in text for one in STRATEGIES)


def test_what_code_does_otherwise_than_planned_is_said_beside_its_hypothesis() -> None:
    found = document()
    found["candidates"][4]["outcome"]["deviation"] = "thirty passes in place of exact means"
    text = page(ReportInput.model_validate_json(canonical(found)))
    assert text.count("Written otherwise: thirty passes in place of exact means") == 1


NOTHING = {"curves": [], "perClient": [], "grades": []}


def bare(one: Document) -> Document:
    outcome = {**one["outcome"], "trials": []}
    return {name: part for name, part in {**one, **NOTHING, "outcome": outcome}.items() if name != "probe"}


def lone() -> Document:
    found = bare(candidate(STRATEGIES[0], 0))
    found["outcome"] |= {"measures": {}}
    return found


@pytest.mark.parametrize(
    ("changes", "gone", "said"),
    {
        "no deployment": ({"deployment": None}, ["The deployment"], "won</h1>"),
        "no rounds of it": ({"deployment": {"run": "1"}}, ["The deployment"], "won</h1>"),
        "no probe, no curves": (
            {"candidates": [bare(candidate(one, n)) for n, one in enumerate(STRATEGIES)]},
            ["The privacy probe", "Accuracy by round", "Accuracy client by client", "Tuning trials", "grades"],
            "won</h1>",
        ),
        "no improvement": (
            {"decision": {**decision(), "winner": None}, "verdict": "Nothing is better."},
            [],
            "No strategy is proven better than tuned FedAvg</h1>",
        ),
        "one candidate": (
            {"candidates": [lone()], "decision": None, "deployment": None},
            ["Finalists", "Accuracy against bytes", "The deployment"],
            "No decision was reached</h1>",
        ),
        "nothing fit to compare": (
            {"decision": {"reason": "none", "baseline": "digits-fedavg", "objective": []}},
            ["Finalists against"],
            "No strategy is proven better than tuned FedAvg</h1>",
        ),
        "no candidate at all": ({"candidates": [], "decision": None}, ["Accuracy"], "No decision was reached</h1>"),
        "nothing spent": ({"spent": {}}, ["What the search cost"], "won</h1>"),
        "strange spending": ({"spent": {"tokens": "<b>", "works": [1]}}, ["What the search cost"], "won</h1>"),
    }.values(),
)
def test_what_is_missing_is_left_out(changes: Document, gone: list[str], said: str) -> None:
    found = {name: value for name, value in {**document(), **changes}.items() if value is not None}
    text = page(ReportInput.model_validate_json(canonical(found)))
    headings = [part.partition("</h2>")[0] for part in text.split("<h2 ")[1:]]
    assert said in text
    assert not [one for one in gone if any(one in heading for heading in headings)]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("UploadMebibytes", "13.1 MiB"),
        ("RoundsToTarget", "rounds to the target"),
        ("Loss", "loss"),
    ],
)
def test_an_objective_that_should_be_small_is_told_in_its_unit(metric: str, said: str) -> None:
    wish = spec() | {"objective": {"metric": metric}, "constraints": []}
    if metric == "RoundsToTarget":
        wish["objective"] |= {"targetAccuracy": 0.9}
    one = comparison("digits-c1", 13.1, 24.0, 1.0, 0.0001, True, metric=f"{metric}/Global")
    won = {**decision(), "objective": [one], "constraints": []}
    del won["againstCatalogue"]
    text = page(findings(spec=wish, decision=won))
    assert said in text and "smaller is better" in text and "better" in text
    assert "← better" in text


def test_a_personal_task_shows_each_client_s_own_model() -> None:
    assert "own model on its own rows" in page(findings(spec=spec() | {"objective": {"scope": "PerClient"}}))


def test_a_suspected_lookup_is_said() -> None:
    found = document()
    found["candidates"][3]["probe"]["lookupSuspected"] = True
    assert "looks memorised" in page(ReportInput.model_validate_json(canonical(found)))


def test_a_large_search_stays_a_small_file() -> None:
    found = document()
    for number in range(60):
        one = candidate({**STRATEGIES[4], "name": f"many-{number}", "title": f"Variant {number}"}, number)
        one["outcome"]["trials"] = one["outcome"]["trials"] * 20
        one["perClient"] = one.get("perClient", []) * 50
        one["outcome"]["hypothesis"] = "because " * 2000
        found["candidates"].append(one)
    text = page(ReportInput.model_validate_json(canonical(found)))
    assert len(text.encode()) < 3_000_000
    assert "The first 400 of" in text


def test_the_program_reads_its_box_and_writes_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: str
) -> None:
    monkeypatch.setenv("FEDWRIGHT_BOX", str(tmp_path))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/report.json").write_bytes(canonical(document()))
    assert main([]) == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.html"]
    assert (tmp_path / "out/report.html").read_text() == whole


# -- what it cost -----------------------------------------------------------------------------------------------------
def test_a_search_by_the_catalogue_says_that_no_model_was_asked(whole: str) -> None:
    text = Reading(whole).text
    assert "No model was asked" in text and "Models, by role" not in text


def test_a_search_with_models_says_what_each_role_cost() -> None:
    minds = {"planner": "fast", "coder": "slow", "reviewers": ["fast", "catalogue"]}
    roles = [
        {"role": "plan", "calls": 1, "tokens": 1200, "moneyUsd": 0.0125, "seconds": 4.5},
        {"role": "review", "calls": 2, "tokens": 300, "moneyUsd": 0.0, "seconds": 1.5},
    ]
    asked = {**spec(), "minds": minds, "budgets": {"tokens": 6000}}
    costly = findings(spec=asked, spent={"works": 4, "tokens": 1500, "calls": 3, "moneyUsd": 0.0125, "roles": roles})
    text = " ".join(Reading(page(costly).replace("</t", " </t")).text.split())
    assert "with the model profiles fast, slow" in text
    assert "Planner fast 1 1,200 0.0125 4.5" in text
    assert "Coder slow - - - -" in text, "it was never asked"
    assert "Debugger catalogue - - - -" in text
    assert "Reviewers fast, catalogue 2 300 0 1.5" in text
    assert "All 3 1,500 0.0125 6" in text
    assert "Model tokens 1,500 6,000 25%" in text
