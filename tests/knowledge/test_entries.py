"""What ships: complete, bounded, clean, and written without the questions that measure it."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from fedwright_agents.knowledge.entries import Entry, Facets, Kind, clean, serving
from fedwright_agents.knowledge.glossary import terms
from fedwright_agents.knowledge.shipped import SLOT_NAMES, shipped_entries, words
from fedwright_federation.algorithm.legality import PRIVACY_RULES, RULES
from fedwright_federation.algorithm.strategy import slots
from fedwright_federation.candidates.contract import CHECKS
from fedwright_federation.catalogue import Circumstance, catalogue

QUESTIONS = yaml.safe_load((Path(__file__).parent / "questions.yaml").read_text())


def named(prefix: str) -> set[str]:
    return {entry.id.removeprefix(f"{prefix}/") for entry in shipped_entries() if entry.id.startswith(f"{prefix}/")}


def test_there_are_as_many_as_a_person_can_keep_true():
    assert 60 <= len(shipped_entries()) <= 150


def test_everything_of_the_catalogue_has_an_entry():
    assert named("method") == catalogue().methods.keys()
    assert named("part") == catalogue().parts.keys()


def test_every_rule_has_an_entry():
    rules = [*RULES, *(rule for some in PRIVACY_RULES.values() for rule in some)]
    assert {rule.name for rule in rules} <= named("rule")


def test_every_check_of_the_contract_is_explained():
    told = " ".join(entry.whole for entry in shipped_entries() if entry.id.startswith("rule/contract-")).lower()
    assert [name for name in CHECKS if name.lower() not in told] == []


def test_the_eight_families():
    families = "private heterogeneous personalised multi-task active continual robust one-shot".split()
    assert named("family") == set(families)


def test_facets_are_of_known_vocabularies():
    known = {
        "families": named("family"),
        "slots": {slot.name for slot in slots()},
        "purposes": set(map(str, Circumstance)),
        "needs": {need for part in catalogue().parts.values() for need in part.needs},
    }
    for entry in shipped_entries():
        for facet, values in entry.facets.named().items():
            assert set(values) <= known[facet], entry.id


def test_what_an_entry_serves_is_told_and_is_a_term_of_the_glossary():
    """So that who names a circumstance in any words finds what serves it."""
    served = {term: entry for entry in shipped_entries() for term, value in entry.suits.items() if value > 0}
    assert len(served) >= 10
    for term, entry in served.items():
        assert term in terms(term)
        assert serving(term) in entry.passages


def test_every_slot_has_a_name_that_is_said():
    assert {slot.name for slot in slots()} == SLOT_NAMES.keys()


def test_every_entry_says_where_it_comes_from():
    assert all(entry.source and entry.text and entry.title for entry in shipped_entries())


@pytest.mark.parametrize("asked", [one["ask"] for one in QUESTIONS])
def test_no_text_is_written_after_a_question(asked):
    """No run of five words is in a question and in an entry."""
    runs = _runs(asked)
    assert not [entry.id for entry in shipped_entries() if runs & _runs(entry.whole)]


def _runs(text: str) -> set[tuple[str, ...]]:
    said = re.findall(r"[a-z0-9]+", text.lower())
    return set(zip(*(said[k:] for k in range(5)), strict=False))


def test_what_is_not_seen_is_taken_out():
    hidden = "a\x00b\x1b[31mc\u202ed\u200be\U000e0041f\u2028g\rh\ti"
    assert clean(hidden) == "ab[31mcdef\ng\nh   i"


def test_an_entry_is_clean_whatever_it_is_made_of():
    entry = Entry(id="part/X", kind=Kind.PART, title="t\x07", text="a\u202eb\n\n\n\nc", source="s\x00")
    assert (entry.title, entry.passages, entry.source) == ("t", ("t", "ab", "c"), "s")


@pytest.mark.parametrize(
    "wrong",
    [{"id": "part/../x"}, {"id": "x"}, {"title": "t" * 201}, {"text": "x" * 8193}, {"kind": "Other"}, {"more": 1}],
)
def test_an_entry_out_of_bounds_is_refused(wrong):
    whole = {"id": "part/X", "kind": Kind.PART, "title": "t", "text": "x", "source": "s"}
    with pytest.raises(ValidationError):
        Entry.model_validate({**whole, **wrong})


def test_facets_match_where_each_named_one_shares_a_value():
    own = Facets(slots=("upload", "server"), purposes=("Bandwidth",))
    assert own.match(Facets())
    assert own.match(Facets(slots=("upload", "view"), purposes=("Bandwidth",)))
    assert not own.match(Facets(slots=("upload",), purposes=("LabelSkew",)))
    assert not own.match(Facets(families=("private",)))


@pytest.mark.parametrize(
    ("name", "said"),
    [("LabelSkew", "label skew"), ("IID", "IID"), ("a-b", "a b"), ("NoFeatureShift", "no feature shift")],
)
def test_names_in_words(name, said):
    assert words(name) == said
