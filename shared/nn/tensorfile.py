"""The safetensors format as a stream of bounded pieces; knows tensors, and nothing of networks.

8 bytes with the header's length, a JSON header of names, types, shapes and offsets, then the
tensors' bytes one after another (https://github.com/huggingface/safetensors, "Format"). The library
holds a whole file in memory to write or read it; here memory stays at one piece above the tensors.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

PIECE_BYTES = 2**20
MAX_HEADER_BYTES = 16 * 2**20  # of a damaged file, which may claim any length
METADATA = "__metadata__"
CODES: dict[torch.dtype, str] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
DTYPES = {code: dtype for dtype, code in CODES.items()}


class NotATensorFile(ValueError):
    """The bytes are not a safetensors file, or not all of one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of one tensor."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    def empty(self) -> Tensor:
        return torch.empty(self.shape, dtype=self.dtype)


def write_tensors(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    """The file piece by piece. The pieces are views: use each before the tensors change."""
    # wide types first, so that every tensor begins at a multiple of its item's size
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    yield _header(ordered, metadata)
    for _, tensor in ordered:
        for part in parts_of(tensor.detach()):
            yield bytes_of(part.cpu().contiguous())


def parts_of(tensor: Tensor) -> Iterator[Tensor]:
    """Views of about a piece each, in order; rows of what does not lie in one stretch."""
    rows = tensor.flatten() if tensor.is_contiguous() else tensor
    if rows.numel():
        num_rows = PIECE_BYTES // (rows[0].numel() * rows.element_size())
        yield from rows.split(max(1, num_rows))


def bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor on the CPU, to read or to write."""
    memory: Any = tensor.flatten().view(torch.uint8).numpy()
    return memoryview(memory)


def _header(ordered: list[tuple[str, Tensor]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {METADATA: dict(metadata)}
    offset = 0
    for name, tensor in ordered:
        end = offset + tensor.numel() * tensor.element_size()
        shape, offsets = list(tensor.shape), [offset, end]
        header[name] = {"dtype": CODES[tensor.dtype], "shape": shape, "data_offsets": offsets}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class TensorFile:
    """A file that is read once, from its header to its end.

    Raises `NotATensorFile`, here and while tensors are read.
    """

    def __init__(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        self._pieces = iter(pieces)
        self._piece = memoryview(b"")
        header = self._read_header()
        self.metadata: dict[str, str] = header.pop(METADATA, {})
        self.entries = list(_entries(header))

    def tensors(self, place: Callable[[Entry], Tensor | None]) -> Iterator[tuple[str, Tensor]]:
        """Fill the tensors that `place` gives, on any device; None passes an entry over."""
        for entry in self.entries:
            target = place(entry)
            if target is None:
                self._skip(entry.num_bytes)
                continue
            if (target.shape, target.dtype) != (entry.shape, entry.dtype):
                raise NotATensorFile(f"{entry.name} is {entry.dtype} of {entry.shape}")
            for part in parts_of(target.detach()):
                self._fill(part)
            yield entry.name, target
        if self._more():
            raise NotATensorFile("it is longer than its header says")

    def _fill(self, part: Tensor) -> None:
        if part.device.type == "cpu" and part.is_contiguous():
            self._read_into(bytes_of(part))
        else:
            staged = torch.empty(part.shape, dtype=part.dtype)
            self._read_into(bytes_of(staged))
            part.copy_(staged)

    def _read_header(self) -> dict[str, Any]:
        size = int.from_bytes(self._read(8), "little")
        if size > MAX_HEADER_BYTES:
            raise NotATensorFile(f"its header would have {size} bytes")
        try:
            header = json.loads(self._read(size))
        except ValueError as error:
            raise NotATensorFile(f"its header is not JSON: {error}") from error
        if not isinstance(header, dict):
            raise NotATensorFile("its header is not an object")
        return header

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        self._read_into(memoryview(data))
        return data

    def _read_into(self, target: memoryview) -> None:
        while target:
            taken = self._take(len(target))
            target[: len(taken)] = taken
            target = target[len(taken) :]

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._take(size))

    def _take(self, limit: int) -> memoryview:
        """At most `limit` bytes, at least one."""
        if not self._more():
            raise NotATensorFile("it ends too early")
        taken, self._piece = self._piece[:limit], self._piece[limit:]
        return taken

    def _more(self) -> bool:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._piece = memoryview(piece)
        return True


def _entries(header: Mapping[str, Any]) -> Iterator[Entry]:
    """In the order of their bytes, which leave no gap."""
    offset = 0
    try:
        ordered = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
        for name, said in ordered:
            entry = Entry(name, DTYPES[said["dtype"]], tuple(said["shape"]))
            if said["data_offsets"] != [offset, offset + entry.num_bytes]:
                raise NotATensorFile(f"the offsets of {name} do not fit its type and shape")
            offset += entry.num_bytes
            yield entry
    except (KeyError, TypeError) as error:
        raise NotATensorFile(f"its header does not describe tensors: {error!r}") from error
