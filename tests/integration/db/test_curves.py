"""Curves of any length: no extreme is lost, and a million points are drawn at once."""

import math
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from shared.db import metrics as metrics_module
from shared.db.curves import BLOCK_BITS, Curve, Point
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.metrics import MetricStore
from shared.db.tables import JobRow
from tests.integration.db.conftest import Enqueue
from tests.integration.seeding import claimed, count_rows, execute, write_curve
from tests.servers import wait_for

NAME = "train/loss"
BLOCK = 1 << BLOCK_BITS


@pytest.fixture
def job(enqueue: Enqueue) -> JobRow:
    enqueue()
    return claimed()


@pytest.fixture
def always_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves of a few hundred points are read as those of a million are."""
    monkeypatch.setattr(metrics_module, "MOST_READ", 0)


def series(job: JobRow, max_points: int = 20, after: int = -1) -> list[tuple[int, float]]:
    with transaction() as db:
        return [(p.step, p.value) for p in MetricStore(db).series(job.id, NAME, max_points, after)]


def write_in_pieces(job: JobRow, values: Sequence[float], seed: int = 1) -> None:
    """As a worker does: flushes of any length, of which one block may see several."""
    generator, first = random.Random(seed), 0
    while first < len(values):
        size = generator.choice([1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
        write_curve(job, values[first : first + size], first_step=first + 1)
        first += size


def noise(num: int) -> list[float]:
    generator = random.Random(num)
    return [generator.gauss() for _ in range(num)]


@pytest.mark.parametrize("blocks_from", [0, 20_000], ids=["blocks", "points"])
@pytest.mark.parametrize("after", [-1, 0, BLOCK, 5 * BLOCK + 9])
def test_the_extremes_of_a_curve_are_among_few_points(
    job: JobRow, monkeypatch: pytest.MonkeyPatch, blocks_from: int, after: int
) -> None:
    monkeypatch.setattr(metrics_module, "MOST_READ", blocks_from)
    values = noise(20 * BLOCK + 11)
    write_in_pieces(job, values)
    shown = dict(series(job, after=after))
    seen = values[max(0, after) :]

    assert 10 <= len(shown) <= 24
    assert all(values[step - 1] == value for step, value in shown.items())
    assert min(shown) > after
    assert {min(seen), max(seen), values[-1]} <= set(shown.values())


def test_every_bucket_of_blocks_shows_its_own_extremes(job: JobRow, always_blocks: None) -> None:
    values = noise(16 * BLOCK)
    write_curve(job, values, first_step=0)
    shown = set(series(job, max_points=16))

    for start in range(0, 16 * BLOCK, 2 * BLOCK):
        part = range(start, start + 2 * BLOCK)
        assert min((values[step], step) for step in part)[::-1] in shown
        assert max((values[step], -step) for step in part)[0] in {value for _, value in shown}


def test_what_is_not_finite_is_shown_and_hides_no_spike(job: JobRow, always_blocks: None) -> None:
    values = [1.0] * (8 * BLOCK)
    values[5], values[6], values[7] = math.inf, math.nan, 99.0
    values[3 * BLOCK : 4 * BLOCK] = [math.nan] * BLOCK
    write_in_pieces(job, values)
    shown = dict(series(job))

    assert shown[8] == 99.0
    assert shown[6] == math.inf
    assert sum(math.isnan(value) for value in shown.values()) >= 1


def test_the_earliest_of_equal_values_stands_for_them(job: JobRow, always_blocks: None) -> None:
    for first in (10, 5):  # the later steps are written before the earlier ones' extremes
        write_curve(job, [0.5, 2.0, -2.0], first_step=first * BLOCK)
    steps = [step for step, _ in series(job, max_points=2)]

    assert steps == [5 * BLOCK + 1, 5 * BLOCK + 2, 10 * BLOCK + 2]


@pytest.mark.parametrize("step", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 40, 9 * BLOCK])
def test_what_comes_after_a_resumed_step_is_forgotten_and_written_anew(
    job: JobRow, always_blocks: None, step: int
) -> None:
    first_try, second_try = [100.0] * (7 * BLOCK), noise(7 * BLOCK)
    write_in_pieces(job, second_try[:step] + first_try[step:])
    with transaction() as db:
        MetricStore(db).forget_after(job.id, step)
    write_curve(job, second_try[step:], first_step=step + 1)
    once_more = series(job)

    execute("DELETE FROM metrics")
    execute("DELETE FROM metric_blocks")
    write_curve(job, second_try)
    assert once_more == series(job)


def test_a_deleted_job_leaves_no_points(job: JobRow) -> None:
    write_curve(job, noise(300))
    execute(
        "UPDATE jobs SET status = 'failed', lease_until = NULL, finished_at = now() WHERE id = :id",
        id=job.id,
    )
    with transaction() as db:
        JobStore(db).delete(job.id)

    rows = count_rows()
    assert (rows["metrics"], rows["metric_blocks"]) == (0, 0)


def test_a_million_points_are_drawn_within_a_tenth_of_a_second(job: JobRow) -> None:
    """By the best of as many tries as it takes, because tests share their machine."""
    generator = np.random.default_rng(1)
    numbers, values = np.arange(1, 1_000_001), generator.random(1_000_000)
    values[123_456], values[-2] = 7.0, -7.0
    times = np.full(1_000_000, 1_700_000_000_000_000)
    with transaction() as db:
        MetricStore(db).add_curves(job.id, [Curve(NAME, numbers, numbers / 10, values, times)])
    shown = dict(series(job, max_points=500))

    def is_drawn_soon() -> bool:
        started = time.perf_counter()
        series(job, max_points=500)
        return time.perf_counter() - started < 0.1

    assert 400 <= len(shown) <= 510
    assert (shown[123_457], shown[999_999], shown[1_000_000]) == (7.0, -7.0, values[-1])
    assert wait_for(is_drawn_soon)


def test_points_keep_their_time_epoch_and_every_bit_of_their_value(job: JobRow) -> None:
    at = datetime(2026, 2, 3, 4, 5, 6, 789_012, UTC)
    values = [0.1, -0.0, 5e-324, 1.7976931348623157e308]
    names = ["ä/ö", "b"]
    points = [Point(name, s, s / 3, v, at) for name in names for s, v in enumerate(values, 1)]
    with transaction() as db:
        MetricStore(db).add(job.id, points)
        rows = [row for name in names for row in MetricStore(db).page(job.id, name, -1, 10)]

    assert [(r.name, r.step, r.epoch, r.value.hex(), r.time) for r in rows] == [
        (p.name, p.step, p.epoch, p.value.hex(), p.time) for p in points
    ]
