"""Datasets at rest: one Arrow file, batches of each split, the encoding in its metadata. Builds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.data.encoding import (
    CategoryInput,
    ClassTarget,
    Encoding,
    NumericInput,
    TagsTarget,
    TextTarget,
    TokenInput,
    VectorInput,
    written,
)
from shared.data.ragged import Array, Ragged

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")  # also the order of the batches

_ENCODING = b"unroll.encoding"
_NUM_BATCHES = b"unroll.batches"  # of each split; files of old lack it and have one each
_PIECE = 80  # symbols or steps of a stream shown as one preview row
_IDS = (TokenInput, CategoryInput, ClassTarget, TagsTarget, TextTarget)  # a step is one id


Batch = tuple[Ragged, ...]  # inputs, and targets if there are any


def arrow_pieces(
    encoding: Encoding, num_batches: Sequence[int], batches: Iterable[Batch]
) -> Iterator[bytes]:
    """The Arrow IPC file (zstd) of batches, piece by piece.

    `num_batches` are those of each of SPLITS, which follow each other; there is at least one. Values
    are kept in original units: float64 numbers, int32 ids, uint8 answers. A step of more than one
    number is laid flat. Of a stream, each batch holds a part of the split's one sequence.
    """
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    metadata = {_ENCODING: encoding.model_dump_json(), _NUM_BATCHES: json.dumps(num_batches)}
    sink, writer, schema = _Sink(), None, None
    for batch in batches:
        if writer is None:
            types = [pa.large_list(pa.from_numpy_dtype(c.values.dtype)) for c in batch]
            schema = pa.schema(list(zip(("input", "target"), types, strict=False)), metadata)
            writer = pa.ipc.new_file(pa.PythonFile(sink, "w"), schema, options=options)
        writer.write_batch(pa.record_batch([_arrow_list(c) for c in batch], schema=schema))
        yield from sink.drain()
    assert writer is not None
    writer.close()
    yield from sink.drain()


class _Sink:
    """A file whose bytes are taken away while it is written."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def drain(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces


def _arrow_list(ragged: Ragged) -> Any:
    offsets = ragged.offsets * ragged.width
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ragged.values.reshape(-1)))


def _from_arrow(column: Any, width: int) -> Ragged:
    """Steps of `width` numbers [total, width], or [total] when width is 0."""
    values, offsets = column.values.to_numpy(), column.offsets.to_numpy()
    if width == 0:
        return Ragged(values, offsets)
    return Ragged(values.reshape(-1, width), offsets // width)


def _step_width(part: Any) -> int:
    """The second dimension of stored values; 0 where a step is one id."""
    return 0 if isinstance(part, _IDS) else part.size


# stored values of one split -> what a network is trained on
_TARGET_ARRAYS: dict[str, Callable[[Any, Array], Array]] = {
    "class": lambda _, ids: ids.astype(np.int64),
    "tags": lambda _, ids: ids.astype(np.int64),
    "text": lambda _, ids: ids.astype(np.int64),
    "regression": lambda target, values: target.normalise(values),
    "values": lambda target, values: target.normalise(values),
    "series": lambda target, values: target.normalise(values),
    "multilabel": lambda _, answers: answers.astype(np.float32),
}


@dataclass
class Split:
    """The records of one split as a network reads them; arrays are views and must not be changed."""

    encoding: Encoding
    inputs: Ragged  # int32[total] ids or float32[total, F] normalised
    targets: Ragged | None  # int64, or float32[total, D]; None for next-step prediction

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each input, int64[N]."""
        return self.inputs.lengths

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """What batches are grouped by, int64[N]: steps of the input, then symbols of a text."""
        if self.targets is None or not self.encoding.generates:
            return self.lengths
        texts = self.targets.lengths
        longest = int(texts.max(initial=0))
        return self.lengths * (longest + 1) + texts

    @property
    def num_elements(self) -> int:
        """Steps of all inputs, and of all texts to be written."""
        texts = self.targets.offsets[-1] if self.targets and self.encoding.generates else 0
        return int(self.inputs.offsets[-1] + texts)

    def __len__(self) -> int:
        return len(self.inputs)

    def input(self, index: int) -> Array:
        """int32[T] or normalised float32[T, F]."""
        return self.inputs.row(index)

    def target(self, index: int) -> Array | None:
        """class: int64[]; regression: float32[D]; tags: int64[T]; values, multilabel: float32[T, D];
        text: int64[S], without start and stop; series: float32[S, D].
        """
        if self.targets is None:
            return None
        rows = self.targets.row(index)
        return rows.reshape(rows.shape[1:]) if self.encoding.target.steps == "one" else rows


class DatasetTable:
    """A built dataset, opened from the bytes that `write_table` made; splits are read on demand."""

    def __init__(self, encoding: Encoding, file: Any, num_batches: Sequence[int]) -> None:
        self.encoding = encoding
        self._file = file
        ends = np.cumsum(num_batches).tolist()
        starts = [0, *ends[:-1]]
        self._numbers = {n: range(*ends_) for n, *ends_ in zip(SPLITS, starts, ends, strict=True)}

    @classmethod
    def open(cls, data: bytes | memoryview) -> DatasetTable:
        file = pa.ipc.open_file(pa.py_buffer(data))
        metadata = file.schema.metadata
        encoding = Encoding.model_validate_json(metadata[_ENCODING])
        return cls(encoding, file, json.loads(metadata.get(_NUM_BATCHES, b"[1, 1, 1]")))

    def split(self, name: SplitName) -> Split:
        """One split, normalised; each call prepares its arrays anew, so keep the answer."""
        inputs, targets = self._stored(name)
        encoding = self.encoding
        if isinstance(encoding.input, NumericInput | VectorInput):
            inputs = Ragged(encoding.input.normalise(inputs.values), inputs.offsets)
        if targets is not None:
            prepare = _TARGET_ARRAYS[encoding.target.kind]
            targets = Ragged(prepare(encoding.target, targets.values), targets.offsets)
        return Split(encoding, inputs, targets)

    def preview(self, split: SplitName, limit: int) -> list[dict[str, Any]]:
        """The first `limit` records as `{"input", "target"?}`, in the form they were written in.

        Symbols that the vocabulary lacks read `<unk>`. A stream shows its first pieces.
        """
        records: list[dict[str, Any]] = []
        for inputs, targets in map(self._batch, self._numbers[split]):
            shown = _pieces(inputs) if self.encoding.stream else inputs
            for index in range(min(limit - len(records), len(shown))):
                record = {"input": self._input_json(shown.row(index))}
                if targets is not None:
                    record["target"] = self._target_json(targets.row(index))
                records.append(record)
            if len(records) == limit:
                break
        return records

    def _stored(self, split: SplitName) -> tuple[Ragged, Ragged | None]:
        batches = [self._batch(number) for number in self._numbers[split]]
        inputs = Ragged.together([inputs for inputs, _ in batches])
        targets = [targets for _, targets in batches if targets is not None]
        if self.encoding.stream and len(inputs):
            inputs = inputs.joined()
        return inputs, Ragged.together(targets) if targets else None

    def _batch(self, number: int) -> tuple[Ragged, Ragged | None]:
        batch = self._file.get_batch(number)
        inputs = _from_arrow(batch.column("input"), _step_width(self.encoding.input))
        if self.encoding.target.kind == "next":
            return inputs, None
        return inputs, _from_arrow(batch.column("target"), _step_width(self.encoding.target))

    def _input_json(self, row: Array) -> Any:
        return _INPUT_JSON[self.encoding.input.kind](self.encoding.input, row)

    def _target_json(self, row: Array) -> Any:
        return _TARGET_JSON[self.encoding.target.kind](self.encoding.target, row)


def _text_json(part: TokenInput | TextTarget, ids: Array) -> Any:
    [text] = written([part.symbols[id_] for id_ in ids], part.tokens).values()
    return text


def _numbers_json(row: Array, *, whole: bool) -> list[Any]:
    """[T, F] as T lists, or as T numbers when F is 1."""
    shown = row.astype(np.int64) if whole else row
    return (shown[:, 0] if shown.shape[1] == 1 else shown).tolist()  # type: ignore[no-any-return]


_INPUT_JSON: dict[str, Callable[[Any, Array], Any]] = {
    "tokens": _text_json,
    "numeric": lambda part, row: _numbers_json(row, whole=part.binary),
    "category": lambda part, row: part.symbols[row[0]],
    "vector": lambda part, row: (row[0].astype(np.int64) if part.binary else row[0]).tolist(),
}
_TARGET_JSON: dict[str, Callable[[Any, Array], Any]] = {
    "class": lambda part, row: part.labels[row[0]],
    "tags": lambda part, row: [part.labels[id_] for id_ in row],
    "multilabel": lambda _, row: row.tolist(),
    "regression": lambda _, row: _numbers_json(row, whole=False)[0],
    "values": lambda _, row: _numbers_json(row, whole=False),
    "series": lambda _, row: _numbers_json(row, whole=False),
    "text": _text_json,
}


def _pieces(stream: Ragged) -> Ragged:
    total = int(stream.offsets[-1])
    cuts = np.append(np.arange(0, total, _PIECE, dtype=np.int64), total)
    return Ragged(stream.values, cuts)
