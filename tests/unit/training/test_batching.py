"""Batches: every record once an epoch, similar lengths together, chunks and lanes without a gap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.batching import (
    Batch,
    chunks,
    epoch_batches,
    eval_batches,
    num_batches,
    padding_share,
    shuffled_rows,
    stream_batches,
)
from tests.unit.training.builders import (
    builtin_table,
    make_table,
    ragged_series,
    reversed_words,
)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=300),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**40),
)
def test_an_epoch_has_every_row_exactly_once(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    batches = shuffled_rows(np.array(lengths), batch_size, np.random.default_rng(seed))

    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size


def test_batches_of_similar_length_waste_little_on_padding() -> None:
    lengths = np.random.default_rng(0).lognormal(np.log(47), 0.6, size=4000).astype(int) + 1

    def share_of_padding(batches: list[np.ndarray]) -> float:
        padded = sum(len(rows) * lengths[rows].max() for rows in batches)
        return float(1 - lengths.sum() / padded)

    grouped = shuffled_rows(lengths, 32, np.random.default_rng(1))
    random = list(np.random.default_rng(1).permutation(4000).reshape(-1, 32))
    assert share_of_padding(grouped) < 0.2
    assert share_of_padding(random) > 0.5


@pytest.mark.parametrize("tbptt_steps", [None, 3])
@pytest.mark.parametrize("kind", ["next", "labels", "texts"])
def test_the_share_of_padding_is_that_of_the_batches_of_the_epoch(
    kind: str, tbptt_steps: int | None
) -> None:
    series = ragged_series()
    table = {
        "next": make_table(series),
        "labels": make_table(series, ["long" if len(s) > 6 else "short" for s in series]),
        "texts": reversed_words(),
    }[kind]
    split = table.split("train")

    real = filled = 0
    for batch in epoch_batches(split, 4, tbptt_steps if kind == "next" else None, 1, 2):
        real += batch.num_elements
        filled += batch.x.shape[0] * batch.x.shape[1]
        if batch.target_lengths is not None:
            real += int(batch.target_lengths.sum())
            filled += batch.y.size
    assert 0 < real < filled
    assert padding_share(split, 4, 1, 2) == pytest.approx(1 - real / filled)


def test_a_stream_has_no_padding() -> None:
    assert padding_share(builtin_table("pydocs").split("val"), 7, 1, 0) == 0.0


def test_order_depends_on_seed_and_epoch_alone() -> None:
    split = make_table(ragged_series()).split("train")

    def first_of(seed: int, epoch: int) -> list[float]:
        batch = next(epoch_batches(split, 4, None, seed, epoch))
        return batch.x.ravel().tolist()  # type: ignore[no-any-return]

    assert first_of(1, 0) == first_of(1, 0)
    assert first_of(1, 0) != first_of(1, 1)
    assert first_of(1, 0) != first_of(2, 0)


def test_next_step_targets_are_the_inputs_one_step_later() -> None:
    split = make_table(["abcd", "ab"] * 5).split("train")

    for batch in eval_batches(split, 3):
        for x, y, length in zip(batch.x, batch.y, batch.lengths, strict=True):
            assert x[1:length].tolist() == y[: length - 1].tolist()
    assert num_batches(split, 3, None, seed=1) == len(list(epoch_batches(split, 3, None, 1, 0)))


@given(longest=st.integers(1, 30), tbptt_steps=st.integers(1, 12))
def test_chunks_put_together_are_the_batch(longest: int, tbptt_steps: int) -> None:
    x = np.arange(2 * longest).reshape(2, longest)
    whole = Batch(x, np.array([longest, 1]), x + 1)

    parts = list(chunks(whole, tbptt_steps))

    assert np.array_equal(np.concatenate([part.x for part in parts], axis=1), x)
    assert np.array_equal(np.concatenate([part.y for part in parts], axis=1), x + 1)
    assert sum(part.num_elements for part in parts) == whole.num_elements
    assert [part.carries for part in parts] == [False] + [True] * (len(parts) - 1)


def test_lanes_of_a_stream_read_it_once_without_a_gap() -> None:
    split = builtin_table("pydocs").split("val")
    stream = split.input(0)

    batches = list(stream_batches(split, 7, 50))
    lanes = np.concatenate([batch.x for batch in batches], axis=1)
    targets = np.concatenate([batch.y for batch in batches], axis=1)

    assert np.array_equal(lanes.ravel(), stream[: lanes.size])
    assert np.array_equal(targets.ravel(), stream[1 : lanes.size + 1])
    assert stream.size - 1 - lanes.size < 7
    assert num_batches(split, 7, 50, seed=1) == len(batches)
