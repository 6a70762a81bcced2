"""Reads plain text as one long stream, a line or a part of one at a time. Splits nothing into symbols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from shared.data.options import DatasetOptions
from shared.data.readers.lines import MAX_LINE_BYTES, decode, refuse_table_options
from shared.data.records import Entry, InvalidDataset, Record, invalid

PIECE_BYTES = 64 * 1024  # a text may be a single line


def read(file: BinaryIO, options: DatasetOptions) -> Iterator[Entry]:
    """A Record a line or a part of a long one, line feeds included: in order, they are the text."""
    refuse_table_options(options, "text")
    for line_number, piece in _pieces(file, by_word=options.tokens == "word"):
        yield _entry(piece, line_number)


def _pieces(file: BinaryIO, *, by_word: bool) -> Iterator[tuple[int, bytes]]:
    """Parts of lines that end between words, or between characters, with the line's number."""
    number, rest = 1, b""
    while data := file.readline(PIECE_BYTES):
        data, rest = rest + data, b""
        if not data.endswith(b"\n"):
            end = _last_break(data, by_word=by_word)
            data, rest = data[:end], data[end:]
        if len(rest) > MAX_LINE_BYTES:
            message = f"a word longer than {MAX_LINE_BYTES >> 20} MiB: use the tokens char"
            raise invalid(f"line {number}", None, message)
        if data:
            yield number, data
        number += data.endswith(b"\n")
    if rest:
        yield number, rest


def _last_break(data: bytes, *, by_word: bool) -> int:
    """Where `data` may be cut: behind its last space, else before its last character."""
    end = data.rfind(b" ") + 1
    if end or by_word:
        return end
    end = len(data) - 1
    while end > 0 and len(data) - end < 4 and data[end] & 0xC0 == 0x80:
        end -= 1  # to the first byte of the character
    return end


def _entry(line: bytes, line_number: int) -> Entry:
    try:
        text = decode(line, line_number).replace("\r\n", "\n")
    except InvalidDataset as error:
        return error.faults[0]
    return Record(text, None, None, f"line {line_number}")
