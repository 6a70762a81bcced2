"""Our files are the library's files; they are written and read in bounded pieces of any size."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from shared.nn.tensorfile import (
    CODES,
    PIECE_BYTES,
    NotATensorFile,
    TensorFile,
    write_tensors,
)

METADATA = {"format": "x", "text": 'ä "quoted"'}


def some_tensors() -> dict[str, Tensor]:
    """Every type and awkward shape: scalars, empty ones, views that do not lie in one stretch."""
    generator = torch.Generator().manual_seed(1)
    numbers = {
        f"of {code}": torch.rand(3, 5, generator=generator).mul(100).to(dtype)
        for dtype, code in CODES.items()
    }
    wide = torch.rand(40, 60, generator=generator)
    views = {"turned": wide.T, "every other": wide[:, ::2], "scalar": torch.tensor(2.5)}
    return numbers | views | {"empty": torch.empty(0, 4), "twice": wide, "again": wide}


def read(pieces: list[bytes]) -> dict[str, Tensor]:
    return dict(TensorFile(pieces).tensors(lambda entry: entry.empty()))


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor, other[name])


def test_the_library_reads_what_we_write() -> None:
    data = b"".join(write_tensors(some_tensors(), METADATA))

    assert_same(load(data), some_tensors())


def test_we_read_what_the_library_writes() -> None:
    own = {name: tensor.contiguous().clone() for name, tensor in some_tensors().items()}
    file = TensorFile([save(own, METADATA)])

    assert file.metadata == METADATA
    assert_same(dict(file.tensors(lambda entry: entry.empty())), own)


@given(st.integers(1, 3000))
def test_pieces_of_any_size_hold_the_same_file(size: int) -> None:
    data = b"".join(write_tensors(some_tensors(), METADATA))
    pieces = [data[start : start + size] for start in range(0, len(data), size)]

    assert_same(read(pieces), some_tensors())


def test_a_large_tensor_comes_in_bounded_pieces() -> None:
    large = torch.rand(300, 9_000)
    for tensor in (large, large.T, large.flatten()):
        pieces = list(write_tensors({"large": tensor}, {}))

        assert len(pieces) > 10
        assert max(len(piece) for piece in pieces) <= PIECE_BYTES


def test_a_tensor_that_is_not_wanted_is_passed_over() -> None:
    data = b"".join(write_tensors(some_tensors(), METADATA))
    file = TensorFile([data])
    found = dict(file.tensors(lambda entry: entry.empty() if entry.name == "scalar" else None))

    assert list(found) == ["scalar"]
    assert found["scalar"] == 2.5


def test_a_tensor_is_filled_where_it_lies_even_in_strides() -> None:
    source, home = torch.rand(6, 4), torch.zeros(4, 6)
    file = TensorFile([b"".join(write_tensors({"t": source}, {}))])
    dict(file.tensors(lambda entry: home.T))

    assert torch.equal(home.T, source)


def damaged() -> Iterator[bytes]:
    """A header that claims too much, overlaps, leaves a gap, has no such type, is no object."""
    whole = b"".join(write_tensors({"t": torch.zeros(2, 2)}, {}))
    for before, after in (
        (b"[2,2]", b"[3,2]"),
        (b"[0,16]", b"[8,24]"),
        (b'"F32"', b'"F99"'),
        (b'"shape"', b'"shapf"'),
        (b'{"dtype"', b'["dtype"'),
    ):
        assert before in whole
        yield whole.replace(before, after)
    yield (2**40).to_bytes(8, "little") + whole[8:]
    yield (2).to_bytes(8, "little") + b"[]"
    yield from (whole[:size] for size in (0, 3, 8, 20, len(whole) - 1))
    yield whole + b"\0"


@pytest.mark.parametrize("data", list(damaged()))
def test_a_damaged_file_is_refused(data: bytes) -> None:
    with pytest.raises(NotATensorFile):
        read([data])
