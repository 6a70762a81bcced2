"""From what a network computed to output tensors, padded where rows differ in length. Knows no bytes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from services.inference.oip.describing import LENGTHS
from services.inference.oip.message import InferRequest, RequestedOutput
from services.inference.oip.tensors import BYTES, Array, Tensor
from shared.data.encoding import Encoding
from shared.data.parts import Scaled
from shared.jobs.errors import InvalidSpec, shortened

Tensors = list[Tensor]


def computed(encoding: Encoding, outputs: Sequence[Array]) -> Tensors:
    """Of activated outputs, one a row: (K,), or (T, K) where there is one a step."""
    if encoding.output_kind == "real":
        outputs = [_restored(encoding, output) for output in outputs]
    named = _BUILDERS[encoding.output_kind](encoding, _stacked(outputs))
    return [*named, _lengths(outputs)] if encoding.per_step else named


def written(encoding: Encoding, answers: Sequence[dict[str, Any]]) -> Tensors:
    """Of written sequences: `{"text" or "tokens", "score"}` or `{"values"}`, one a row."""
    if "values" in answers[0]:
        assert isinstance(encoding.target, Scaled)
        width = encoding.target.size
        rows = [np.reshape(np.asarray(answer["values"]), (-1, width)) for answer in answers]
        return [Tensor("values", "FP32", _float32(_stacked(rows))), _lengths(rows)]
    score = Tensor("score", "FP32", _float32(np.array([answer["score"] for answer in answers])))
    if "text" in answers[0]:
        return [_bytes("text", [answer["text"] for answer in answers]), score]
    rows = [np.array(answer["tokens"], dtype=object) for answer in answers]
    return [Tensor("tokens", BYTES, _stacked(rows)), _lengths(rows), score]


def _categorical(encoding: Encoding, array: Array) -> Tensors:
    names = np.array([*encoding.labels, ""], dtype=object)
    best = array.argmax(-1)
    if encoding.per_step:  # a step of padding has no probabilities, and no label
        best = np.where(array.any(-1), best, len(encoding.labels))
    probabilities = Tensor("probabilities", "FP32", array, encoding.labels)
    return [Tensor("label", BYTES, names[best]), probabilities]


def _restored(encoding: Encoding, output: Array) -> Array:
    """In the data's own units, which is before padding: zero may be far from them."""
    scaled = encoding.target if isinstance(encoding.target, Scaled) else encoding.input
    assert isinstance(scaled, Scaled)
    return scaled.restore(output)


_BUILDERS: dict[str, Callable[[Encoding, Array], Tensors]] = {
    "categorical": _categorical,
    "binary": lambda encoding, array: [Tensor("probabilities", "FP32", array)],
    "real": lambda encoding, array: [Tensor("values", "FP32", _float32(array))],
}


def _stacked(rows: Sequence[Array]) -> Array:
    """Rows in one array, behind the shorter ones zeros, or of strings empty ones."""
    longest = max(map(len, rows))
    if all(len(row) == longest for row in rows):
        return np.stack(rows)
    padding = "" if rows[0].dtype == object else 0
    stacked = np.full((len(rows), longest, *rows[0].shape[1:]), padding, dtype=rows[0].dtype)
    for index, row in enumerate(rows):
        stacked[index, : len(row)] = row
    return stacked


def _lengths(rows: Sequence[Array]) -> Tensor:
    return Tensor(LENGTHS, "INT64", np.array([len(row) for row in rows], dtype=np.int64))


def _bytes(name: str, texts: Sequence[str]) -> Tensor:
    return Tensor(name, BYTES, np.array(texts, dtype=object))


def _float32(array: Array) -> Array:
    with np.errstate(over="ignore"):  # an infinity is told where it is written
        return array.astype(np.float32)


def chosen(request: InferRequest, tensors: Tensors) -> Iterator[tuple[Tensor, bool]]:
    """The outputs that were asked for, each with whether it is wanted in binary.

    Raises:
        InvalidSpec: there is no such output, or nothing to classify in it.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    usual = bool(request.parameters.get("binary_data_output", False))
    for asked in request.outputs or [RequestedOutput(name=name) for name in by_name]:
        if asked.name not in by_name:
            raise InvalidSpec(
                f"outputs: there is no output {shortened(asked.name)!r}; there are "
                f"{', '.join(by_name)}.",
                param="outputs",
            )
        classes = asked.parameters.get("classification", 0)
        tensor = by_name[asked.name]
        if classes:
            tensor = _classified(tensor, classes)
        yield tensor, bool(asked.parameters.get("binary_data", usual))


def _classified(tensor: Tensor, classes: object) -> Tensor:
    """The likeliest along the last axis, each as `value:index:label`."""
    if type(classes) is not int or classes < 1:
        raise InvalidSpec("outputs: classification must be a number of classes.", param="outputs")
    if tensor.datatype != "FP32" or tensor.array.ndim < 2:
        raise InvalidSpec(
            f"outputs: {tensor.name} has no classes; leave classification out.", param="outputs"
        )
    order = np.argsort(-tensor.array, axis=-1, kind="stable")[..., :classes]
    values = np.take_along_axis(tensor.array, order, -1)
    texts = [
        ":".join((f"{value:f}", str(index), *tensor.labels[index : index + 1]))
        for value, index in zip(values.ravel(), order.ravel(), strict=True)
    ]
    return Tensor(tensor.name, BYTES, np.array(texts, dtype=object).reshape(order.shape))
