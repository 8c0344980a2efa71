"""Messages: equal after the wire, of the size they say, and hostile bytes are only ever a `MessageError`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from fedwright_federation.simulation.messages import (
    Download,
    MessageError,
    Upload,
    arrays_size,
    decode_arrays,
    encode_arrays,
)

PLAIN = st.sampled_from([np.float32, np.float64, np.uint8, np.int8, np.uint16, np.int32, np.int64, np.bool_])
ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=20),
    PLAIN.flatmap(lambda d: arrays(d, array_shapes(min_dims=0, max_dims=3))),
    max_size=4,
)


@given(ARRAYS)
def test_arrays_survive_the_wire_and_their_size_is_known(tree: dict[str, np.ndarray]) -> None:
    data = encode_arrays(tree)
    assert len(data) == arrays_size(tree)
    back = decode_arrays(data)
    assert back.keys() == tree.keys()
    for key, value in tree.items():
        assert back[key].dtype == value.dtype
        assert back[key].shape == value.shape
        assert back[key].tobytes() == value.tobytes()


def download() -> Download:
    return Download(
        3, {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"control": {"w": np.ones((2, 3), np.float32)}}, 9
    )


def upload() -> Upload:
    one = np.ones(2, np.float32)
    return Upload(
        3, 7, 40, 5, 0.5, 1.25, {"codes": np.arange(5, dtype=np.uint8)}, {"mean": one}, {"control": {"w": one}}
    )


def test_downloads_and_uploads_survive_the_wire() -> None:
    sent, got = download(), Download.decode(download().encode())
    assert (got.round, got.budget, got.delta) == (3, 9, False)
    assert np.array_equal(got.model["w"], sent.model["w"])
    assert np.array_equal(got.published["control"]["w"], sent.published["control"]["w"])
    back = Upload.decode(upload().encode())
    assert (back.client, back.samples, back.steps, back.travel, back.loss) == (7, 40, 5, 0.5, 1.25)
    assert back.update["codes"].dtype == np.uint8
    assert np.array_equal(back.statistics["mean"], np.ones(2))
    assert len(download().encode()) == download().size
    assert len(upload().encode()) == upload().size


@pytest.mark.parametrize("kind", [Download, Upload])
@given(data=st.data())
def test_bytes_that_are_no_message_are_refused_and_nothing_else_happens(
    kind: type[Download] | type[Upload], data: st.DataObject
) -> None:
    good = download().encode() if kind is Download else upload().encode()
    at = data.draw(st.integers(0, len(good) - 1))
    bad = data.draw(
        st.one_of(
            st.binary(max_size=64),
            st.just(good[:at]),
            st.just(good + b"x"),
            st.binary(min_size=1, max_size=6).map(lambda b: good[:at] + b + good[at + len(b) :]),
        )
    )
    try:
        kind.decode(bad)
    except MessageError:
        return
    assert len(bad) == len(good)


def test_a_shape_that_promises_more_than_there_is_makes_no_array() -> None:
    data = bytearray(encode_arrays({"a": np.zeros((2, 2), np.float32)}))
    data[6:10] = (0xFFFFFFFF).to_bytes(4, "little")
    with pytest.raises(MessageError, match="ends early"):
        decode_arrays(bytes(data))


def test_objects_and_unexpected_groups_do_not_travel() -> None:
    with pytest.raises(MessageError, match="no message carries"):
        encode_arrays({"a": np.array([object()])})
    with pytest.raises(MessageError, match="unexpected array"):
        Download.decode(Download.HEADER.pack(b"FD", 1, 1, 0) + encode_arrays({"z/a": np.zeros(1, np.float32)}))
    with pytest.raises(MessageError, match="where float32 belongs"):
        Download.decode(Download.HEADER.pack(b"FD", 1, 1, 0) + encode_arrays({"p/a/b": np.zeros(1, np.float64)}))


@given(scalar_dtypes())
def test_big_endian_arrays_arrive_with_their_values(dtype: np.dtype) -> None:
    value = np.array([1, 0, 1]).astype(dtype)
    try:
        data = encode_arrays({"a": value})
    except MessageError:
        return
    assert np.array_equal(decode_arrays(data)["a"], value)


class Shrunk(np.ndarray):
    """An array that says it is nothing."""

    @property
    def nbytes(self) -> int:  # type: ignore[override]
        return 0

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return ()


def test_what_an_array_says_of_its_own_size_does_not_count() -> None:
    honest = np.arange(100, dtype=np.float32)
    assert arrays_size({"w": honest.view(Shrunk)}) == arrays_size({"w": honest})
    assert encode_arrays({"w": honest.view(Shrunk)}) == encode_arrays({"w": honest})
