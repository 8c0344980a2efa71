"""The administrator's file: every mistake gets its line, its field and a mend, and none repeats what might be a key."""

from pathlib import Path

import pytest

from fedwright_crds.manifests import ManifestError
from fedwright_crds.profiles import Profiles, load_profiles
from fedwright_crds.schema import structural

GOOD = """
profiles:
- name: fast
  model: openai/some-model
  apiBase: http://127.0.0.1:8000/v1
  key: {environment: SOME_KEY}
  timeoutSeconds: 10
  retries: 1
  fallbacks: [slow, local]
  price: {inputUsd: 0.1, outputUsd: 0.4}
- {name: slow, model: anthropic/other, key: {file: slow.key}, timeoutSeconds: 20, retries: 0, fallbacks: [local]}
- {name: local, model: ollama/a, timeoutSeconds: 1.5, retries: 0}
"""


SEARCH = """
search:
- name: web
  provider: tavily
  apiBase: https://search.example/v1
  key: {environment: OTHER_KEY}
  priceUsd: 0.008
- {name: own, endpoint: {url: "http://searx.search.svc:8080/search", parameters: {format: json}}}
"""


def read(text: str, tmp_path: Path) -> Profiles:
    file = tmp_path / "profiles.yaml"
    file.write_text(text)
    return load_profiles(file)


def test_a_chain_holds_each_profile_once_and_says_how_long_a_call_may_take(tmp_path: Path) -> None:
    profiles = read(GOOD, tmp_path)
    assert [one.name for one in profiles.chain("fast")] == ["fast", "slow", "local"]
    assert [one.name for one in profiles.chain("slow")] == ["slow", "local"]
    assert profiles.call_seconds("fast") == 10 * 2 + 20 + 1.5


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("name: slow", "name: fast", "profiles: entries 0 and 1 are both fast; rename or remove one"),
        (
            "name: local",
            "name: Catalogue",
            "profiles[2].name is Catalogue, the mind that needs no model; choose another",
        ),
        (
            "fallbacks: [slow, local]",
            "fallbacks: [ghost]",
            "profiles[0].fallbacks names ghost, which is no profile; write one of fast, slow, local",
        ),
        ("fallbacks: [local]}", "fallbacks: [fast]}", "profiles[0].fallbacks leads by slow back to fast; remove slow"),
        (
            "retries: 0}",
            "retries: 0, fallbacks: [local]}",
            "profiles[2].fallbacks leads by local back to local; remove local",
        ),
        ("model: ollama/a", "model: a", 'profiles[2].model is "a"; give text, at most 255 characters'),
        (
            "apiBase: http://127.0.0.1:8000/v1",
            "apiBase: http://me:pass@host/v1",
            'profiles[0].apiBase is "http://me:pass@host/v1"; give text, at most 512 characters',
        ),
        ("timeoutSeconds: 10", "timeOut: 10", "profiles[0].timeOut is not a field; remove it or write one of "),
        (
            "key: {file: slow.key}",
            "key: sentinel-key",
            "profiles[1].key: text is never the key itself; write {environment: VARIABLE} or {file: PATH}",
        ),
        (
            "{environment: SOME_KEY}",
            "{environment: sentinel-key}",
            "profiles[0].key.environment is no name of a variable; write the name, never the key itself",
        ),
        (
            "key: {file: slow.key}",
            "key: {}",
            "profiles[1].key: exactly one of environment and file says where the key is; write one",
        ),
        (
            "retries: 0}",
            "retries: 0, contextTokens: 4096}",
            "profiles[2].maxOutputTokens is 4,096, which leaves no room for a prompt in contextTokens 4,096; lower it",
        ),
    ],
)
def test_a_mistake_gets_its_line_its_field_and_a_mend(was: str, now: str, message: str, tmp_path: Path) -> None:
    assert was in GOOD
    changed = now.join(GOOD.rsplit(was, 1))
    with pytest.raises(ManifestError) as refusal:
        read(changed, tmp_path)
    (problem,) = refusal.value.problems
    place, _, said = problem.partition(": ")
    assert place.startswith(f"{tmp_path / 'profiles.yaml'}, line ")
    assert said.startswith(message)
    assert "sentinel-key" not in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no documents in it; write one"),
        ("profiles: []\n---\nprofiles: []\n", "there are 2 documents in it; write one"),
        ("- a\n", "this is no mapping; write profiles and a list of them"),
        ("profiles: []\n", "profiles is empty; write at least one"),
        ("profiles: [a: b: c]\n", "this is not YAML: expected ',' or ']', but got ':'"),
    ],
)
def test_a_file_of_another_kind_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"profiles\.yaml") as refusal:
        read(text, tmp_path)
    assert str(refusal.value).endswith(message)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere\.yaml: No such file"):
        load_profiles(tmp_path / "nowhere.yaml")


def test_every_field_has_a_greatest_size() -> None:
    structural(Profiles)


def test_search_profiles_stand_beside_those_of_models_and_keys_are_found_for_both(tmp_path: Path) -> None:
    profiles = read(GOOD + SEARCH, tmp_path)
    web, own = profiles.search_by_name.values()
    assert (web.most_searches, web.search_seconds, own.price_usd) == (8, 40.0, 0.0)
    assert own.endpoint is not None and (own.endpoint.query, own.endpoint.results) == ("q", "results")
    assert [(name, str(key)) for name, key in profiles.key_sources.items()] == [
        ("fast", "the environment variable SOME_KEY"),
        ("slow", "the file slow.key"),
        ("web", "the environment variable OTHER_KEY"),
    ]
    assert read(GOOD, tmp_path).search == ()


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("name: web", "name: fast", "search[0].name is fast, which is a model's; choose another"),
        ("name: web", "name: own", "search: entries 0 and 1 are both own; rename or remove one"),
        (
            "provider: tavily",
            "mostSearches: 4",
            "search[0]: exactly one of provider and endpoint says who searches; write one",
        ),
        (
            "own, ",
            "own, apiBase: 'http://a.b', ",
            "search[1].apiBase is a provider's; write the address into endpoint.url",
        ),
        (
            "parameters: {format: json}",
            "keyHeader: X-Key",
            "search[1].endpoint.keyHeader is X-Key, and there is no key; write where it is",
        ),
        (
            "parameters: {format: json}",
            "parameters: {q: json}",
            "search[1].endpoint.parameters has q, where the question goes; remove it, or name another query",
        ),
        ("priceUsd: 0.008", "priceUsd: -1", "search[0].priceUsd is -1; give a number from 0 to 1,000,000"),
        ("priceUsd: 0.008", "mostSearches: 0", "search[0].mostSearches is 0; give a whole number from 1 to 1,000"),
    ],
)
def test_a_mistake_in_a_search_profile_gets_its_line(was: str, now: str, message: str, tmp_path: Path) -> None:
    assert SEARCH.count(was) == 1
    with pytest.raises(ManifestError) as caught:
        read(GOOD + SEARCH.replace(was, now), tmp_path)
    place, _, said = str(caught.value).partition(": ")
    assert place.startswith(f"{tmp_path / 'profiles.yaml'}, line ")
    assert said == message


def test_a_key_itself_is_refused_without_being_repeated_in_a_search_profile_too(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read(GOOD + SEARCH.replace("{environment: OTHER_KEY}", "tvly-123456789"), tmp_path)
    assert "text is never the key itself" in str(caught.value) and "tvly" not in str(caught.value)
