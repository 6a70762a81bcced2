"""Processes that compile side by side read and write numba's cache in turns."""

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

from shared.nn.kernels.cache_lock import share_cache


def plus(a: float, b: float) -> float:
    return a + b


@pytest.fixture
def dispatcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return numba.njit(cache=True)(plus)


def others_may(path: Path) -> tuple[bool, bool]:
    """Whether another process could read, and whether it could write."""
    found = []
    for how in (fcntl.LOCK_SH, fcntl.LOCK_EX):
        with path.open("a") as file:
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(False)
            else:
                found.append(True)
    return found[0], found[1]


def test_who_writes_is_alone_and_who_reads_keeps_writers_out(
    dispatcher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, tuple[bool, bool]] = {}

    def watched(name: str) -> Callable[..., Any]:
        work = getattr(dispatcher._cache, name)

        def look(*arguments: Any) -> Any:
            [path] = tmp_path.rglob("*.lock")
            seen[name] = others_may(path)
            return work(*arguments)

        return look

    for name in ("load_overload", "save_overload"):
        monkeypatch.setattr(dispatcher._cache, name, watched(name))
    share_cache(dispatcher)

    assert dispatcher(1.0, 2.0) == 3.0
    assert seen == {"load_overload": (True, False), "save_overload": (False, False)}
    [path] = tmp_path.rglob("*.lock")
    assert others_may(path) == (True, True)


def test_where_no_lock_can_be_made_functions_are_compiled_all_the_same(dispatcher: Any) -> None:
    cache = dispatcher._cache
    Path(cache.cache_path, f"{cache._impl.filename_base}.lock").mkdir(parents=True)
    share_cache(dispatcher)

    assert dispatcher(1.0, 2.0) == 3.0
