"""One byte that the main process and its forked children share: whether to stop and hand back."""

import mmap

_flag = mmap.mmap(-1, 1)  # anonymous and shared across fork; no lock that a killed child could keep


def start_draining() -> None:
    _flag[0] = 1


def is_draining() -> bool:
    return _flag[0] == 1
