"""Whether to stop and hand back: one byte that the main process and its forked children share.

A process that was not forked from there looks at a file instead.
"""

import mmap
from pathlib import Path

_flag = mmap.mmap(-1, 1)  # anonymous and shared across fork; no lock that a killed child could keep


def start_draining() -> None:
    _flag[0] = 1


_files: list[Path] = []


def watch(file: Path) -> None:
    """Stop as well once this file is there."""
    _files.append(file)


def is_draining() -> bool:
    return _flag[0] == 1 or any(file.exists() for file in _files)
