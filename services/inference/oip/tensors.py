"""Tensors as the Open Inference Protocol writes them, as arrays and back. Knows no model.

Little-endian and row-major; in binary an element of BYTES is its length as a uint32, then itself.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.jobs.errors import InvalidSpec, Malformed, shortened

Array = NDArray[Any]
BYTES = "BYTES"
NUMBERS = {
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""Datatypes of numbers, and numpy's names for them."""
OTHERS = (BYTES, "BOOL")  # of which no model of ours reads the second
_WHOLE = frozenset({int})
_REAL = frozenset({int, float})
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array; of BYTES it holds str objects."""

    name: str
    datatype: str
    array: Array
    labels: tuple[str, ...] = ()
    """What the last axis counts, where it has names."""


def from_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Tensor:
    """`data` may be flat or nested; numbers are read as doubles or as 64 bit integers.

    Raises:
        Malformed: it is not what `datatype` and `shape` say.
    """
    _check_datatype(name, datatype)
    items = _flat(name, data)
    _check_count(name, len(items), shape)
    kinds = _kinds(datatype)
    if not set(map(type, items)) <= kinds:
        raise Malformed(f"{_of(name)}: data of {datatype} must be {_SAID[kinds]}")
    try:
        array = np.array(items, dtype=_DTYPES[kinds])
    except OverflowError as error:
        raise Malformed(f"{_of(name)}: data holds a number too large for {datatype}") from error
    return Tensor(name, datatype, array.reshape(shape))


def from_binary(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> Tensor:
    """Raises `Malformed` when the bytes are not what `datatype` and `shape` say."""
    _check_datatype(name, datatype)
    if datatype == BYTES:
        texts = list(_texts(name, data))
        _check_count(name, len(texts), shape)
        return Tensor(name, datatype, np.array(texts, dtype=object).reshape(shape))
    kind = np.dtype(NUMBERS[datatype])
    if len(data) % kind.itemsize:
        raise Malformed(
            f"{_of(name)}: {len(data)} bytes are no whole number of {datatype}, "
            f"which take {kind.itemsize} each"
        )
    array = np.frombuffer(data, dtype=kind)
    _check_count(name, len(array), shape)
    return Tensor(name, datatype, array.reshape(shape))


def as_binary(tensor: Tensor) -> bytes:
    if tensor.datatype != BYTES:
        return tensor.array.astype(NUMBERS[tensor.datatype]).tobytes()
    return b"".join(chain.from_iterable(map(_with_length, tensor.array.ravel())))


def as_json(tensor: Tensor) -> Any:
    """What orjson writes as a flat list.

    Raises:
        InvalidSpec: there are numbers that JSON cannot hold.
    """
    if tensor.datatype == BYTES:
        return tensor.array.ravel().tolist()
    if not np.isfinite(tensor.array).all():
        raise InvalidSpec(
            f"outputs: {tensor.name} holds numbers too large for JSON; ask for it in binary.",
            param="outputs",
        )
    return np.ascontiguousarray(tensor.array, dtype=NUMBERS[tensor.datatype]).ravel()


def dumps(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _check_datatype(name: str, datatype: str) -> None:
    if datatype not in NUMBERS and datatype != BYTES:
        known = ", ".join((BYTES, *NUMBERS))
        raise Malformed(
            f"{_of(name)}: datatype {shortened(datatype)!r} is none that can be read here; "
            f"there are {known}"
        )


def _check_count(name: str, count: int, shape: Sequence[int]) -> None:
    if count != prod(shape):
        raise Malformed(
            f"{_of(name)}: there are {count} elements where shape {list(shape)[:8]} has {prod(shape)}"
        )


def _flat(name: str, data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise Malformed(f"{_of(name)}: data must be a list, or binary_data_size must be given")
    items: list[Any] = data
    while items and isinstance(items[0], list):
        if set(map(type, items)) != {list}:
            raise Malformed(f"{_of(name)}: data mixes lists with elements; nest all or none")
        items = list(chain.from_iterable(items))
    return items


def _kinds(datatype: str) -> frozenset[type]:
    if datatype == BYTES:
        return frozenset({str})
    return _REAL if datatype.startswith("FP") else _WHOLE


_SAID = {frozenset({str}): "strings", _REAL: "numbers", _WHOLE: "whole numbers"}
_DTYPES: dict[frozenset[type], Any] = {frozenset({str}): object, _REAL: "f8", _WHOLE: "i8"}


def _texts(name: str, data: memoryview) -> Iterator[str]:
    place = 0
    while place < len(data):
        start = place + _LENGTH.size
        length = _LENGTH.unpack(data[place:start])[0] if start <= len(data) else len(data)
        place = start + length
        if place > len(data):
            raise Malformed(
                f"{_of(name)}: its bytes end within an element; each is its length as a "
                "little-endian uint32, then so many bytes"
            )
        try:
            yield str(data[start:place], "utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"{_of(name)}: an element of BYTES is not UTF-8") from error


def _with_length(text: str) -> tuple[bytes, bytes]:
    data = text.encode()
    return _LENGTH.pack(len(data)), data


def _of(name: str) -> str:
    return f"input {shortened(name)!r}"
