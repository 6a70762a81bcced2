"""From raw inputs to answers: encode, batch by similar length, run, describe. Knows no HTTP."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.inference.registry import Loaded
from shared.config import get_settings
from shared.data.batching import lengths_of, pad
from shared.data.encoding import InvalidInput
from shared.jobs.errors import InvalidSpec, TooLarge

Array = NDArray[Any]
MAX_BATCH = 256
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "categorical": lambda logits: logits.softmax(-1),
    "binary": torch.sigmoid,
    "real": lambda values: values,
}
_running = threading.Semaphore(torch.get_num_threads())
"""No more forward passes at once than cores: more would only wait for one another."""


def predict(model: Loaded, inputs: Sequence[object]) -> list[dict[str, Any]]:
    """One answer an input, in their order; the company an input keeps does not change its answer.

    Raises:
        InvalidSpec: an input does not fit the model; `param` is its JSON path.
        TooLarge: together they are larger than is allowed.
    """
    arrays = [encode(model, raw, index) for index, raw in enumerate(inputs)]
    check_size(arrays)
    answers: list[dict[str, Any]] = [{}] * len(arrays)
    for rows in by_length(arrays):
        outputs = run(model, [arrays[row] for row in rows])
        for row, output in zip(rows, outputs, strict=True):
            answers[row] = model.encoding.describe(output)
    return answers


def encode(model: Loaded, raw: object, index: int) -> Array:
    try:
        return model.encoding.encode_input(raw)
    except InvalidInput as error:
        path = f"inputs[{index}]{error.path}".replace("[", ".").replace("]", "")
        raise InvalidSpec(f"{path}: {error.message}", param=path) from error


def check_size(arrays: Sequence[Array]) -> None:
    limit = get_settings().max_predict_elements
    width = 1 if arrays[0].ndim == 1 else arrays[0].shape[1]
    if max(map(len, arrays)) * width * len(arrays) > limit:
        raise TooLarge(
            f"The inputs hold more than {limit} elements, padding included; send fewer at once.",
            param="inputs",
        )


def by_length(arrays: Sequence[Array]) -> Iterator[list[int]]:
    """Rows of each batch, similar lengths together."""
    order = sorted(range(len(arrays)), key=lambda row: len(arrays[row]))
    for start in range(0, len(order), MAX_BATCH):
        yield order[start : start + MAX_BATCH]


def run(model: Loaded, arrays: Sequence[Array]) -> list[Array]:
    """Activated outputs, one a sequence: (K,) or (T, K) without its padding."""
    x = torch.from_numpy(pad(list(arrays)))
    lengths_B = torch.from_numpy(lengths_of(list(arrays)))
    with _running, torch.inference_mode():
        output, _ = model.network(x, lengths_B)
        activated = ACTIVATIONS[model.encoding.output_kind](output).numpy()
    if not model.encoding.per_step:
        return list(activated)
    return [np.ascontiguousarray(row[: len(a)]) for row, a in zip(activated, arrays, strict=True)]
