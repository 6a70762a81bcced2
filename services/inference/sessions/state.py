"""A session's state as bytes in the safetensors layout, and back; tensors and text only, never pickle.

8 bytes with the header's length, a JSON header, then the numbers, little-endian, as
shared.nn.tensorfile has it; here without torch, and with a header that is the same at every step.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

Array = NDArray[Any]
METADATA = "__metadata__"
CODES = {"float32": "F32", "float64": "F64"}
DTYPES = {code: np.dtype(name) for name, code in CODES.items()}


class NotAState(ValueError):
    """The bytes are not what `pack` makes."""


def pack(state_S: Array, metadata: Mapping[str, str] | None = None) -> bytes:
    """One row of numbers, and text beside it."""
    header = _header(CODES[state_S.dtype.name], len(state_S), tuple((metadata or {}).items()))
    return header + state_S.tobytes()


@lru_cache
def _header(code: str, size: int, metadata: tuple[tuple[str, str], ...]) -> bytes:
    num_bytes = size * DTYPES[code].itemsize
    header = {"state": {"dtype": code, "shape": [size], "data_offsets": [0, num_bytes]}}
    text = orjson.dumps({METADATA: dict(metadata), **header} if metadata else header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def unpack(data: bytes) -> tuple[Array, dict[str, str]]:
    """What `pack` was given.

    Raises:
        NotAState: these are other bytes.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    try:
        header = orjson.loads(data[8:end])
        metadata = header.pop(METADATA, {})
        dtype, [size] = DTYPES[header["state"]["dtype"]], header["state"]["shape"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAState(f"not the state of a session: {error}") from error
    if len(data) != end + size * dtype.itemsize:
        raise NotAState("the state of a session is cut short")
    return np.frombuffer(data, dtype, offset=end), metadata
