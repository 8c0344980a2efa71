"""What a model writes is hostile text: it becomes a value or a clear word to the model, and nothing else."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fedwright_agents.model_mind.prompts import as_data, fenced
from fedwright_agents.model_mind.reading import Misread, apply_edits, deviation, read_files, read_json


class Answer(BaseModel):
    word: str
    number: float = 0.0


@pytest.mark.parametrize(
    "text",
    [
        '{"word": "yes", "number": 2}',
        'Sure! Here it is:\n```json\n{"word": "yes", "number": 2}\n```\nI hope this helps {really}.',
        'The set {a, b} is small. {"word": "yes", "number": 2} {"word": "no"}',
        '{ "word": "yes",\n "number": 2.0, "extra": {"deep": [1]}}',
    ],
)
def test_the_object_is_found_whatever_stands_around_it(text: str) -> None:
    assert read_json(Answer, text) == Answer(word="yes", number=2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON object"),
        ("I would rather not.", "no JSON object"),
        ('{"word": "cut off', "broken"),
        ('{"word": "a", "number": NaN}', "NaN is no number"),
        ('{"number": 2}', "word: Field required"),
        ('{"word": 3}', "word"),
        ("[" * 5000 + "{" * 5000, "JSON"),
        ('{"a":' * 3000, "JSON"),
    ],
)
def test_what_is_wrong_is_told_in_words(text: str, told: str) -> None:
    with pytest.raises(Misread, match="JSON") as misread:
        read_json(Answer, text)
    assert told in str(misread.value)


def test_a_broken_outer_object_is_told_and_no_inner_one_is_taken_for_it() -> None:
    text = 'Here is it.\n{\n  "items": [\n    {"word": "w", "number": 1},\n  ]\n}'
    with pytest.raises(Misread, match=r"JSON is broken: .*line 5"):
        read_json(Answer, text)


@given(st.text(max_size=400))
def test_no_text_does_more_than_misread(text: str) -> None:
    for read in (lambda: read_json(Answer, text), lambda: read_files(text), lambda: apply_edits(text, {"a.py": "x\n"})):
        try:
            read()
        except Misread as told:
            assert str(told)


def test_files_are_named_in_the_fence_above_it_or_in_their_first_line() -> None:
    text = "```python strategy.py\na = 1\n```\nclient.py:\n```python\nb = 2\n```\n```\n# server.py\nc = 3\n```\n```\nno name\n```"
    assert read_files(text) == {"strategy.py": "a = 1\n", "client.py": "b = 2\n", "server.py": "# server.py\nc = 3\n"}


def test_a_fence_may_hold_shorter_fences() -> None:
    source = 'TEXT = """\n```\ninner\n```\n"""\n'
    assert read_files(fenced(source, "strategy.py")) == {"strategy.py": source}


@given(st.text(alphabet="`\na ", max_size=60))
def test_what_is_fenced_comes_back(source: str) -> None:
    told = fenced(source, "strategy.py")
    assert read_files(told)["strategy.py"].rstrip() == source.rstrip()


# -- edits ------------------------------------------------------------------------------------------------------------
FILES = {"strategy.py": "def build(h):\n    lr = h['lr']\n    return lr\n", "client.py": "x = 1\nx = 1\n"}


def edit(file: str, search: str, replace: str) -> str:
    return f"{file}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def test_an_edit_replaces_what_it_names_and_nothing_else() -> None:
    changed = apply_edits(edit("strategy.py", "    lr = h['lr']", "    lr = float(h['lr'])"), FILES)
    assert changed == {**FILES, "strategy.py": "def build(h):\n    lr = float(h['lr'])\n    return lr\n"}


def test_an_edit_that_names_no_file_is_of_the_same_as_the_one_before() -> None:
    text = edit("strategy.py", "def build(h):", "def build(hyper):") + edit("", "h['lr']", "hyper['lr']")
    assert apply_edits(text, FILES)["strategy.py"] == "def build(hyper):\n    lr = hyper['lr']\n    return lr\n"


def test_edits_in_a_fence_and_a_new_file_beside_them() -> None:
    text = f"```\n{edit('strategy.py', 'return lr', 'return 2 * lr')}```\n```python server.py\ny = 2\n```"
    changed = apply_edits(text, FILES)
    assert changed["server.py"] == "y = 2\n" and "2 * lr" in changed["strategy.py"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (edit("strategy.py", "no such line", "x"), "does not stand"),
        (edit("client.py", "x = 1", "x = 2"), "stands 2 times"),
        (edit("other.py", "x", "y"), "names other.py"),
        ("<<<<<<< SEARCH\nx = 1\n=======\ny\n>>>>>>> REPLACE", "names no file"),
        (edit("client.py", "", "x = 2"), "searches for nothing"),
        ("I changed it.", "No edit found"),
        (edit("strategy.py", "nowhere", "x") + edit("client.py", "", "y"), "searches for nothing"),
    ],
)
def test_an_edit_that_cannot_be_applied_says_why(text: str, told: str) -> None:
    with pytest.raises(Misread) as misread:
        apply_edits(text, FILES)
    assert told in str(misread.value)


# -- what goes into prompts -------------------------------------------------------------------------------------------
@given(st.text(alphabet=string.printable + "\u202e\u200b\x1b<>/", max_size=200))
def test_data_cannot_close_its_tag_nor_hide_characters(text: str) -> None:
    told = as_data(text)
    assert "<" not in told and "\n" not in told
    assert not set(told) & set("\u202e\u200b\x1b")
    assert isinstance(json.loads(told), str)


def test_all_edits_that_do_not_fit_are_told_at_one_time() -> None:
    fits = edit("strategy.py", "return lr", "return 2 * lr")
    with pytest.raises(Misread) as misread:
        apply_edits(edit("strategy.py", "no such line", "x") + fits + edit("b.py", "y", "z"), FILES)
    assert "does not stand" in str(misread.value) and "names b.py" in str(misread.value)
    assert misread.value.again == "Answer with all edits again, those that fitted too."


# -- what else is said ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("DEVIATION: a mean in place of a median\n```python a.py\n```", "a mean in place of a median"),
        ("I thought.\nDEVIATION:   two passes  \n", "two passes"),
        ("# DEVIATION: in a comment", ""),
        ("DEVIATION:\nnothing", ""),
        ("DEVIATION: " + "x" * 5000, "x" * 1024),
    ],
)
def test_what_is_done_otherwise_is_one_line_of_its_own(text: str, told: str) -> None:
    assert deviation(text) == told
