"""What travels between server and client, byte for byte.

A message is a fixed header and named arrays of plain dtypes. Its size is known without encoding it, and decoding trusts
nothing: lengths, dtypes and shapes are checked before any array is made.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fedwright_federation.algorithm.tree import Arrays, Named, Tree, flatten, unflatten

_DTYPES = tuple(
    np.dtype(code) for code in ("<f4", "<f8", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "|b1")
)
_CODES = {dtype: code for code, dtype in enumerate(_DTYPES)}
_COUNT = struct.Struct("<H")
_ENTRY = struct.Struct("<BBB")
_MOST_AXES = 8


class MessageError(ValueError):
    """These bytes are no message of this kind."""


def arrays_size(arrays: Mapping[str, NDArray[np.generic]]) -> int:
    """Length of `encode_arrays`, without encoding."""
    plain = _plain(arrays)
    heads = sum(_ENTRY.size + len(name.encode()) + 4 * array.ndim for name, array in plain.items())
    return _COUNT.size + heads + sum(array.nbytes for array in plain.values())


def encode_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """uint16 count; for each array: uint8 name length, dtype and axes, the name, uint32 axes, little-endian data in C order."""
    pieces = [_COUNT.pack(len(arrays))]
    for name, array in _plain(arrays).items():
        spelled = name.encode()
        pieces.append(_ENTRY.pack(len(spelled), _code(name, array), array.ndim))
        pieces += [spelled, struct.pack(f"<{array.ndim}I", *array.shape)]
        pieces.append(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return b"".join(pieces)


def _plain(arrays: Mapping[str, NDArray[np.generic]]) -> Arrays:
    """The arrays as numpy's own: what a subclass says of its size or shape does not count."""
    return {name: np.asarray(array) for name, array in arrays.items()}


def _code(name: str, array: NDArray[np.generic]) -> int:
    code = _CODES.get(array.dtype.newbyteorder("<"))
    if code is None:
        raise MessageError(f"array {name!r} has dtype {array.dtype}, which no message carries; use a plain number type")
    return code


def decode_arrays(data: bytes) -> Arrays:
    """The inverse of `encode_arrays`; the arrays own their memory. Raises `MessageError`."""
    reader = _Reader(data)
    arrays = dict(reader.array() for _ in range(reader.unpack(_COUNT)[0]))
    reader.end()
    return arrays


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, length: int) -> memoryview:
        if length > len(self.data) - self.at:
            raise MessageError("message ends early")
        self.at += length
        return self.data[self.at - length : self.at]

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        return form.unpack(self.take(form.size))

    def array(self) -> tuple[str, NDArray[np.generic]]:
        letters, code, axes = self.unpack(_ENTRY)
        if code >= len(_DTYPES) or axes > _MOST_AXES:
            raise MessageError("message holds an array of unknown kind")
        try:
            name = bytes(self.take(letters)).decode()
        except UnicodeDecodeError as error:
            raise MessageError("message holds an array whose name is no text") from error
        shape = struct.unpack(f"<{axes}I", self.take(4 * axes))
        raw = self.take(math.prod(shape) * _DTYPES[code].itemsize)
        return name, np.frombuffer(raw, dtype=_DTYPES[code]).reshape(shape).copy()

    def end(self) -> None:
        if self.at != len(self.data):
            raise MessageError("message goes on after its end")


def _prefixed(groups: Mapping[str, Mapping[str, NDArray[np.generic]]]) -> Arrays:
    return {f"{group}/{key}": array for group, arrays in groups.items() for key, array in arrays.items()}


def _split(arrays: Arrays, groups: str) -> Iterator[Arrays]:
    """For each one-letter group its arrays. Raises `MessageError` on any other."""
    split: dict[str, Arrays] = {group: {} for group in groups}
    for path, array in arrays.items():
        group, _, key = path.partition("/")
        if group not in split or not key:
            raise MessageError(f"message holds an unexpected array {path!r}")
        split[group][key] = array
    yield from split.values()


def _floats(arrays: Arrays) -> Tree:
    for key, array in arrays.items():
        if array.dtype != np.float32:
            raise MessageError(f"array {key!r} has dtype {array.dtype} where float32 belongs")
    return {key: np.asarray(array, dtype=np.float32) for key, array in arrays.items()}


@dataclass(frozen=True)
class Download:
    """Server to client. `model` is the model, or where `delta` what the download codec made of its last change."""

    HEADER: ClassVar[struct.Struct] = struct.Struct("<2sIIB")

    round: int
    model: Arrays
    published: Named = field(default_factory=dict)
    budget: int = 0xFFFFFFFF
    """Local steps that fit before the deadline."""
    delta: bool = False
    statistics: Tree = field(default_factory=dict)
    """With `delta`, the change of the running statistics, which no codec touches."""

    def _arrays(self) -> Arrays:
        return _prefixed({"m": self.model, "p": flatten(self.published), "s": self.statistics})

    @property
    def size(self) -> int:
        return self.HEADER.size + arrays_size(self._arrays())

    def encode(self) -> bytes:
        return self.HEADER.pack(b"FD", self.round, self.budget, self.delta) + encode_arrays(self._arrays())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        if len(data) < cls.HEADER.size or not data.startswith(b"FD"):
            raise MessageError("these bytes are no download")
        _, number, budget, delta = cls.HEADER.unpack_from(data)
        model, published, statistics = _split(decode_arrays(data[cls.HEADER.size :]), "mps")
        return cls(number, model, unflatten(_floats(published)), budget, bool(delta), _floats(statistics))


@dataclass(frozen=True)
class Upload:
    """Client to server. `update` is what the upload codec made of the trainable keys' change."""

    HEADER: ClassVar[struct.Struct] = struct.Struct("<2sIIIIdd")

    round: int
    client: int
    samples: int
    steps: int
    travel: float
    loss: float
    """Zero under privacy: it is a figure of the samples that carries no noise."""
    update: Arrays
    statistics: Tree = field(default_factory=dict)
    payload: Named = field(default_factory=dict)

    def _arrays(self) -> Arrays:
        return _prefixed({"u": self.update, "s": self.statistics, "p": flatten(self.payload)})

    @property
    def size(self) -> int:
        return self.HEADER.size + arrays_size(self._arrays())

    def encode(self) -> bytes:
        head = (self.round, self.client, self.samples, self.steps, self.travel, self.loss)
        return self.HEADER.pack(b"FU", *head) + encode_arrays(self._arrays())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        if len(data) < cls.HEADER.size or not data.startswith(b"FU"):
            raise MessageError("these bytes are no upload")
        _, number, client, samples, steps, travel, loss = cls.HEADER.unpack_from(data)
        update, statistics, payload = _split(decode_arrays(data[cls.HEADER.size :]), "usp")
        return cls(
            number, client, samples, steps, travel, loss, update, _floats(statistics), unflatten(_floats(payload))
        )
