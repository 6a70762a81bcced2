"""Ids sort by the time they were made."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.db import ids
from shared.db.ids import is_id, new_id


def test_ids_sort_in_the_order_they_were_made() -> None:
    made = [new_id("job") for _ in range(10_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_many_threads_differ() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: new_id("job"), range(4000)))

    assert len(set(made)) == len(made)


def test_ids_grow_even_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id("job")
    now = time.time_ns()
    monkeypatch.setattr("shared.db.ids.time.time_ns", lambda: now - 3600 * 10**9)

    assert new_id("job") > before


def test_ids_of_another_process_sort_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = new_id("job")
    now = time.time_ns()
    monkeypatch.setattr(ids, "_clock", ids._Clock())
    monkeypatch.setattr("shared.db.ids.time.time_ns", lambda: now + 2 * 10**6)

    assert new_id("job") > earlier


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job_",
        "job_short",
        "ds_" + "0" * 26,
        "job_" + "0" * 27,
        "job_" + "u" * 26,
        "job_" + "A" * 26,
    ],
)
def test_what_nobody_made_is_no_id(text: str) -> None:
    assert not is_id("job", text)
    assert is_id("job", new_id("job"))
