"""Which file formats there are and how to tell them apart. Knows what a file looks like, not its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from shared.data.build import BuiltDataset, build_dataset
from shared.data.options import DatasetOptions
from shared.data.readers import csv, jsonl, npz, parquet, text
from shared.data.records import Entry


@dataclass(frozen=True)
class Reader:
    """One file format."""

    read: Callable[[BinaryIO, DatasetOptions], Iterator[Entry]]  # the file must be seekable
    stream: bool  # the records are pieces of one long sequence


READERS: dict[str, Reader] = {
    "jsonl": Reader(jsonl.read, stream=False),
    "csv": Reader(csv.read, stream=False),
    "text": Reader(text.read, stream=True),
    "npz": Reader(npz.read, stream=False),
    "parquet": Reader(parquet.read, stream=False),
}

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".npz": "npz",
    ".parquet": "parquet",
}
_MAGIC = {b"PK\x03\x04": "npz", b"PAR1": "parquet"}  # first bytes of the file


def detect_format(filename: str, head: bytes) -> str:
    """The format of a file: by its first bytes (a few KiB do), and by its name."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    suffix = filename[filename.rfind(".") :].lower() if "." in filename else ""
    return _SUFFIXES.get(suffix) or _by_content(head)


def _by_content(head: bytes) -> str:
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
    if lines and lines[0].lstrip().startswith(b"{"):
        return "jsonl"
    commas = {line.count(b",") for line in lines[:3]}
    return "csv" if len(lines) > 1 and len(commas) == 1 and commas != {0} else "text"


def build_from_file(file: BinaryIO, format_name: str, options: DatasetOptions) -> BuiltDataset:
    """Read and build one uploaded file of a format in READERS; raises InvalidDataset."""
    reader = READERS[format_name]
    return build_dataset(reader.read(file, options), options, stream=reader.stream)
