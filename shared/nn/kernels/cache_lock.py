"""A lock around numba's cache on disk, which has none. Knows no loop."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any


def share_cache(dispatcher: Any) -> None:
    """Let processes side by side read and write the cache of a compiled function in turns.

    Numba reads the index, chooses a file, writes the index and then the file. Two processes that
    compile for different types at once choose the same file, and the next one finds the code of the
    other's types there.
    """
    cache = dispatcher._cache
    path = Path(cache.cache_path, f"{cache._impl.filename_base}.lock")
    cache.load_overload = _locked(path, fcntl.LOCK_SH, cache.load_overload)
    cache.save_overload = _locked(path, fcntl.LOCK_EX, cache.save_overload)


@contextmanager
def first_at(dispatcher: Any, name: str) -> Iterator[bool]:
    """Within, no other process is at what this names; False where one is. Where nothing can be kept on
    disk, everybody is the first."""
    folder = getattr(dispatcher._cache, "cache_path", None)
    try:
        with _held(Path(folder or os.devnull, f"{name}.turn"), fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield True
    except BlockingIOError:
        yield False


def _locked(path: Path, how: int, work: Callable[..., Any]) -> Callable[..., Any]:
    def in_turn(*arguments: Any) -> Any:
        with _held(path, how):
            return work(*arguments)

    return in_turn


@contextmanager
def _held(path: Path, how: int) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("a"))
        except OSError:
            pass  # where nothing can be written, nobody writes
        else:
            fcntl.flock(file, how)  # closing the file lets go
        yield
