"""Reads NPZ files of numpy: item by item from the arrays `x` and `y`. Unpickles nothing, holds no array."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from shared.data.options import DatasetOptions
from shared.data.ragged import Array
from shared.data.readers.lines import refuse_table_options
from shared.data.records import Entry, Fault, Record, invalid
from shared.data.spool import LARGEST_BYTES

ARRAYS = ("x", "y", "lengths", "split", "group")
_READ_BYTES = 2**20  # items are unpacked in runs of about this size
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
_KINDS = {"b": np.uint8, "i": np.int64, "u": np.uint64, "f": np.float64, "U": None}


def read(file: BinaryIO, options: DatasetOptions) -> Iterator[Entry]:
    """A Record or a Fault an item, which is a row of `x` [N, ...]; raises InvalidDataset.

    `y` [N, ...] has the targets; `lengths` [N], how many steps of an item are real; `split` and
    `group` [N] are those of a record.
    """
    refuse_table_options(options, "npz")
    try:
        with zipfile.ZipFile(file) as archive, ExitStack() as opened:
            arrays = {name: _Rows(archive, name, opened) for name in _names(archive)}
            _check(arrays)
            yield from _records(arrays, options)
    except _BROKEN as error:
        raise invalid("file", None, f"not an NPZ file that can be read: {error}") from None


def _names(archive: zipfile.ZipFile) -> list[str]:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    for name in names:
        if name not in ARRAYS:
            message = f"unknown array: an NPZ file has {', '.join(ARRAYS)}"
            raise invalid("file", name[:40].encode(errors="replace").decode(), message)
    if "x" not in names:
        raise invalid("file", "x", "missing: an NPZ file needs the inputs as an array x")
    return names


class _Rows:
    """One array, item by item in order."""

    def __init__(self, archive: zipfile.ZipFile, name: str, opened: ExitStack) -> None:
        self.name = name
        member = f"{name}.npy"
        if archive.getinfo(member).file_size > LARGEST_BYTES:
            raise invalid("file", name, f"more than {LARGEST_BYTES >> 30} GiB: send less")
        self._file: IO[bytes] = opened.enter_context(archive.open(member))
        self.shape, self._fortran, self.dtype = _header(self._file, name)
        if self.dtype.kind not in _KINDS:
            message = f"an array of {self.dtype}: only numbers, true or false and text can be read"
            raise invalid("file", name, message)
        if not self.shape:
            raise invalid("file", name, "a single value: an array needs a row for each item")
        self._opened = opened

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        if self._fortran and len(self.shape) > 1:
            yield from self._by_columns()
            return
        size = self.dtype.itemsize * math.prod(self.shape[1:])
        at_once = max(1, _READ_BYTES // max(size, 1))
        for start in range(0, len(self), at_once):
            num = min(at_once, len(self) - start)
            data = self._file.read(num * size)
            if len(data) < num * size:
                raise invalid(f"item {start + len(data) // size}", self.name, "cut short")
            yield from np.frombuffer(data, self.dtype).reshape(num, *self.shape[1:])

    def _by_columns(self) -> Iterator[Array]:
        """Of an array that lies column by column, as those of data frames do."""
        whole = self._opened.enter_context(TemporaryFile())  # noqa: SIM115
        while data := self._file.read(_READ_BYTES):
            whole.write(data)
        whole.flush()
        if whole.tell() < self.dtype.itemsize * math.prod(self.shape):
            raise invalid("file", self.name, "cut short")
        yield from np.memmap(whole, self.dtype, "r", 0, self.shape, "F")


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        return read_header(file)
    except ValueError as error:
        message = f"no array that can be read: {error}"
        raise invalid("file", name, message[:300]) from None


def _check(arrays: dict[str, _Rows]) -> None:
    num = len(arrays["x"])
    for name, rows in arrays.items():
        if len(rows) != num:
            raise invalid("file", name, f"{len(rows)} items, and x has {num}: give one for each")
        if name in ("lengths", "split", "group") and len(rows.shape) != 1:
            raise invalid("file", name, f"expected one value an item, got {list(rows.shape)}")
    if "lengths" not in arrays:
        return
    if arrays["lengths"].dtype.kind not in "iu":
        raise invalid("file", "lengths", "expected whole numbers of steps")
    if len(arrays["x"].shape) < 2:
        raise invalid("file", "lengths", "x has no axis of steps that could be cut: leave it out")


def _records(arrays: dict[str, _Rows], options: DatasetOptions) -> Iterator[Entry]:
    names, columns = list(arrays), [iter(rows) for rows in arrays.values()]
    is_aligned = _is_aligned(arrays, options)
    for index, values in enumerate(zip(*columns, strict=True)):
        yield _record(dict(zip(names, values, strict=True)), f"item {index}", is_aligned=is_aligned)


def _is_aligned(arrays: dict[str, _Rows], options: DatasetOptions) -> bool:
    """Whether targets have the steps of their inputs, and so are cut with them."""
    if "y" not in arrays or options.target_kind in ("regression", "text"):
        return False
    return arrays["y"].shape[1:2] == arrays["x"].shape[1:2]


def _record(item: dict[str, Any], where: str, *, is_aligned: bool) -> Entry:
    x, y, length = item["x"], item.get("y"), item.get("lengths")
    if length is not None:
        if not 1 <= length <= len(x):
            return Fault(where, "lengths", f"{length} is not from 1 to {len(x)}, the steps of x")
        x, y = x[:length], y[:length] if y is not None and is_aligned else y
    split = item.get("split")
    return Record(
        _plain(x),
        None if y is None else _plain(y),
        None if split is None else str(split),
        where,
        group=None if "group" not in item else _plain(item["group"]),
    )


def _plain(value: Array) -> Any:
    """Numbers and strings of Python."""
    wanted = _KINDS[np.asarray(value).dtype.kind]
    return (value if wanted is None else np.asarray(value).astype(wanted)).tolist()
