"""From a split to padded batches: by similar length, in an order that seed and epoch decide.

Everything here is a pure function of (split, sizes, seed, epoch): a job that resumes finds the
batch it stopped at by its number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.encoding import STOP_ID, Encoding, TextTarget
from shared.data.table import Split

Array = NDArray[Any]
EVAL_CHUNK = 1024  # bounds memory; the numbers do not depend on it
MAX_POOL = 50
MIN_POOL = 2
POOLS_PER_EPOCH = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """B sequences padded to T steps."""

    x: Array
    """(B, T) symbol ids, int64, or (B, T, F) numbers, float32; padding is 0."""
    lengths: Array
    """(B,) real steps, int64; 0 for a row that ended in an earlier chunk."""
    y: Array
    """Target: (B,) classes, (B, D) numbers, (B, T) tags, (B, T, D) numbers, (B, S) text ids,
    or (B, S, D) numbers of a series, behind them 1 at its last step where its length is learnt."""
    carries: bool = False
    """Whether rows go on where the batch before ended, its state carried over."""
    target_lengths: Array | None = None
    """(B,) symbols of each text, its stop counted, or steps of each series, int64; None for targets of other kinds."""
    rows: Array | None = None
    """(B,) numbers of the records in their split, counted from 0; None for a stream and in evaluations."""

    @property
    def num_elements(self) -> int:
        return int(self.lengths.sum())


def epoch_batches(
    split: Split, batch_size: int, tbptt_steps: int | None, seed: int, epoch: int
) -> Iterator[Batch]:
    """Every batch of one training epoch, in its order."""
    if split.encoding.stream:
        yield from stream_batches(split, batch_size, tbptt_steps)
        return
    for rows in shuffled_rows(split.sizes, batch_size, np.random.default_rng([seed, epoch])):
        yield from chunks(replace(collate(split, rows), rows=rows), tbptt_steps)


def eval_batches(split: Split, batch_size: int) -> Iterator[Batch]:
    """Every sequence once, similar lengths together; a stream in one lane, its state carried."""
    if split.encoding.stream:
        yield from stream_batches(split, 1, EVAL_CHUNK)
        return
    yield from _in_batches(split, np.argsort(split.sizes, kind="stable"), batch_size)


def sample_batches(split: Split, batch_size: int, limit: int) -> Iterator[Batch]:
    """At most `limit` sequences of a split, evenly drawn from the short ones to the long."""
    order = np.argsort(split.sizes, kind="stable")
    if len(order) > limit:
        order = order[np.linspace(0, len(order) - 1, limit).round().astype(np.int64)]
    yield from _in_batches(split, order, batch_size)


def _in_batches(split: Split, order: Array, batch_size: int) -> Iterator[Batch]:
    for start in range(0, len(order), batch_size):
        yield collate(split, order[start : start + batch_size])


def shuffled_rows(lengths: Array, batch_size: int, rng: np.random.Generator) -> list[Array]:
    """Rows of each batch: shuffled, sorted by length within pools, batches shuffled again."""
    order = rng.permutation(len(lengths))
    wanted = len(order) // (batch_size * POOLS_PER_EPOCH)
    pool = batch_size * min(MAX_POOL, max(MIN_POOL, wanted))
    batches = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def num_batches(split: Split, batch_size: int, tbptt_steps: int | None, seed: int) -> int:
    """Optimizer steps of the first epoch; with truncation, later ones may differ by a few."""
    if split.encoding.stream:
        return sum(1 for _ in stream_batches(split, batch_size, tbptt_steps))
    batches = shuffled_rows(split.sizes, batch_size, np.random.default_rng([seed, 0]))
    if tbptt_steps is None:
        return len(batches)
    shift = 1 if split.encoding.target.kind == "next" else 0
    longest = [int(split.lengths[rows].max()) - shift for rows in batches]
    return sum(-(-steps // tbptt_steps) for steps in longest)


def padding_share(split: Split, batch_size: int, seed: int, epoch: int) -> float:
    """Share of an epoch's steps, of inputs and of what is to be written, that only fill up a batch."""
    if split.encoding.stream:
        return 0.0
    batches = shuffled_rows(split.sizes, batch_size, np.random.default_rng([seed, epoch]))
    columns = [split.lengths - 1 if split.encoding.target.kind == "next" else split.lengths]
    if split.targets is not None and split.encoding.generates:
        columns.append(split.targets.lengths + (split.encoding.target.kind == "text"))
    real = sum(int(lengths.sum()) for lengths in columns)
    filled = sum(len(rows) * int(lengths[rows].max()) for rows in batches for lengths in columns)
    return 1.0 - real / filled


def collate(split: Split, rows: Array) -> Batch:
    """Pad the rows into one batch; for next-step prediction the target is the input shifted."""
    inputs = [split.input(int(row)) for row in rows]
    if split.encoding.target.kind == "next":
        return shifted(inputs)
    targets = [target for row in rows if (target := split.target(int(row))) is not None]
    if split.encoding.generates:
        stopped = [_stopped(split.encoding, target) for target in targets]
        x, lengths = pad(inputs), lengths_of(inputs)
        return Batch(x, lengths, pad(stopped), target_lengths=lengths_of(stopped))
    y = pad(targets) if split.encoding.per_step else np.stack(targets)
    return Batch(pad(inputs), lengths_of(inputs), y)


def _stopped(encoding: Encoding, target: Array) -> Array:
    """A text with its stop symbol; a series with a column that says which step is the last."""
    if isinstance(encoding.target, TextTarget):
        return np.append(target, STOP_ID)
    if not encoding.stops:
        return target
    is_last = np.zeros((len(target), 1), dtype=np.float32)
    is_last[-1] = 1
    return np.concatenate([target, is_last], axis=1)


def shifted(inputs: list[Array]) -> Batch:
    """Each step's target is the next step's input."""
    x = [sequence[:-1] for sequence in inputs]
    return Batch(pad(x), lengths_of(x), pad([sequence[1:] for sequence in inputs]))


def lengths_of(sequences: list[Array]) -> Array:
    return np.array([len(sequence) for sequence in sequences], dtype=np.int64)


def pad(sequences: list[Array]) -> Array:
    """(B, T, ...) with zeros behind the shorter ones; integers become int64."""
    kind = np.int64 if np.issubdtype(sequences[0].dtype, np.integer) else np.float32
    longest = max(len(sequence) for sequence in sequences)
    padded = np.zeros((len(sequences), longest, *sequences[0].shape[1:]), dtype=kind)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return padded


def chunks(batch: Batch, tbptt_steps: int | None) -> Iterator[Batch]:
    """The batch cut along time, for truncated back-propagation."""
    num_steps = batch.x.shape[1]
    if tbptt_steps is None or tbptt_steps >= num_steps:
        yield batch
        return
    for start in range(0, num_steps, tbptt_steps):
        stop = start + tbptt_steps
        lengths = np.clip(batch.lengths - start, 0, tbptt_steps)
        x, y = batch.x[:, start:stop], batch.y[:, start:stop]
        yield Batch(x, lengths, y, carries=start > 0, rows=batch.rows)


def stream_batches(split: Split, num_lanes: int, tbptt_steps: int | None) -> Iterator[Batch]:
    """One long sequence read in parallel lanes, each lane going on where it stopped."""
    stream = split.input(0).astype(np.int64)
    num_steps = (len(stream) - 1) // num_lanes
    lanes = stream[: num_lanes * num_steps].reshape(num_lanes, num_steps)
    targets = stream[1 : num_lanes * num_steps + 1].reshape(num_lanes, num_steps)
    lengths = np.full(num_lanes, num_steps, dtype=np.int64)
    yield from chunks(Batch(lanes, lengths, targets), tbptt_steps)
