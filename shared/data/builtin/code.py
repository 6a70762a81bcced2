"""The built-in dataset of highlighted Python. Knows how to tag and cut code, nothing of networks."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.data.records import Record

# each module belongs to one split, so that no network is tested on a file it has read
_MODULES = {
    "train": "abc ast bisect bz2 calendar cmd codecs configparser contextlib copy csv dataclasses"
    " enum filecmp fractions functools getopt glob graphlib gzip hashlib heapq",
    "val": "imaplib",
    "test": "netrc pprint queue sched",
}
_MAX_CHARACTERS = 200
_MAX_LINES = 6

_CLASSES = ("Keyword", "Name", "String", "Number", "Comment", "Operator", "Punctuation")
_OTHER = "Text"  # white space


def highlight() -> Iterator[Record]:
    """Runs of lines of the standard library and the class of each character, as Pygments has it."""
    folder = Path(sysconfig.get_path("stdlib"))
    for split, modules in _MODULES.items():
        for module in modules.split():
            source = (folder / f"{module}.py").read_text(encoding="utf-8")
            for index, (text, tags) in enumerate(_pieces(source)):
                yield Record(text, tags, split, f"{module} {index}")


def _pieces(source: str) -> Iterator[tuple[str, list[str]]]:
    """Consecutive lines, as many as fit; none starts inside a token, where no reader could know."""
    text, tags = "", list[str]()
    num_lines = 0
    for line, line_tags, opens in _lines(source):
        full = len(text) + len(line) > _MAX_CHARACTERS or num_lines == _MAX_LINES
        if text and full:
            yield text, tags
            text, tags, num_lines = "", [], 0
        if (text or opens) and len(line) <= _MAX_CHARACTERS:
            text, tags, num_lines = text + line, tags + line_tags, num_lines + 1
    if text:
        yield text, tags


def _lines(source: str) -> Iterator[tuple[str, list[str], bool]]:
    """Each line, the class of each of its characters, and whether a token starts with it."""
    from pygments.lexers.python import PythonLexer

    line, tags, opens = "", list[str](), True
    for token, value in PythonLexer(stripnl=False).get_tokens(source):
        name = _class_of(token)
        for index, part in enumerate(value.splitlines(keepends=True)):
            if not line:
                opens = index == 0 or name == _OTHER
            line, tags = line + part, tags + [name] * len(part)
            if part.endswith("\n"):
                yield line, tags, opens
                line, tags = "", []


def _class_of(token: Any) -> str:
    return next((part for part in token if part in _CLASSES), _OTHER)
