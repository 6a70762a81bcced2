"""From raw inputs to answers: encode, batch by similar length, run, describe. Knows no HTTP."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.inference.options import Options
from services.inference.registry import Loaded
from services.inference.writing import check_work, with_seed, write, writes
from shared.config import get_settings
from shared.cores import num_cores
from shared.data.batching import lengths_of, pad
from shared.data.encoding import InvalidInput
from shared.jobs.errors import InvalidSpec, TooLarge
from shared.nn.kernels.spare import second_core
from shared.nn.network import Network

Array = NDArray[Any]
MAX_BATCH = 256
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "categorical": lambda logits: logits.softmax(-1),
    "binary": torch.sigmoid,
    "real": lambda values: values,
}
CORES = max(1, num_cores() // torch.get_num_threads())
"""Forward passes at once; more would only wait for one another."""
SHARE = 16
"""A batch is read by several cores where each has so many rows or more."""
_running = threading.Semaphore(CORES)
_shares = ThreadPoolExecutor(CORES, thread_name_prefix="share")


def predict(
    model: Loaded, inputs: Sequence[object], options: Options | None = None
) -> list[dict[str, Any]]:
    """One answer an input, in their order; the company an input keeps does not change its answer.

    Raises:
        InvalidSpec: an input or an option does not fit the model; `param` is its JSON path.
        TooLarge: together they are larger than is allowed.
    """
    options = with_seed(options or Options())
    is_written = writes(model, options)
    arrays = [encode(model, raw, index) for index, raw in enumerate(inputs)]
    check_size(arrays)
    if is_written:
        check_work(model, options, len(arrays))
    answers: list[dict[str, Any]] = [{}] * len(arrays)
    for rows in by_length(arrays, mixed=not is_written or model.encoding.generates):
        batch = [arrays[row] for row in rows]
        found = written_answers(model, batch, rows, options) if is_written else read(model, batch)
        for row, answer in zip(rows, found, strict=True):
            answers[row] = answer
    return answers


def written_answers(
    model: Loaded, arrays: Sequence[Array], rows: Sequence[int], options: Options
) -> list[dict[str, Any]]:
    with forward_pass():
        return write(model, arrays, rows, options)


def read(model: Loaded, arrays: Sequence[Array]) -> list[dict[str, Any]]:
    return [model.encoding.describe(output) for output in run(model, arrays)]


def encode(model: Loaded, raw: object, index: int) -> Array:
    return encode_at(model, raw, f"inputs[{index}]")


def encode_at(model: Loaded, raw: object, place: str) -> Array:
    """An input as an array; `place` is where it stands in the request.

    Raises:
        InvalidSpec: it does not fit the model; `param` is the path to the fault.
    """
    try:
        return model.encoding.encode_input(raw)
    except InvalidInput as error:
        path = f"{place}{error.path}".replace("[", ".").replace("]", "")
        raise InvalidSpec(f"{path}: {error.message}", param=path) from error


@contextmanager
def forward_pass(*, is_alone: bool = False) -> Iterator[None]:
    """For the time of a pass through a network; no more at once than there are cores.

    One that `is_alone` takes a second core, where no other pass has it.
    """
    with _running, torch.inference_mode():
        is_spare = is_alone and _running.acquire(blocking=False)
        try:
            with second_core(is_spare):
                yield
        finally:
            if is_spare:
                _running.release()


def check_size(arrays: Sequence[Array]) -> None:
    limit = get_settings().max_predict_elements
    width = 1 if arrays[0].ndim == 1 else arrays[0].shape[1]
    if max(map(len, arrays)) * width * len(arrays) > limit:
        raise TooLarge(
            f"The inputs hold more than {limit} elements, padding included; send fewer at once.",
            param="inputs",
        )


def by_length(arrays: Sequence[Array], *, mixed: bool = True) -> Iterator[list[int]]:
    """Rows of each batch, similar lengths together; equal ones alone unless `mixed`."""
    order = sorted(range(len(arrays)), key=lambda row: len(arrays[row]))
    groups = groupby(order, key=lambda row: 0 if mixed else len(arrays[row]))
    for rows in (list(group) for _, group in groups):
        for start in range(0, len(rows), MAX_BATCH):
            yield rows[start : start + MAX_BATCH]


def run_all(model: Loaded, arrays: Sequence[Array], *, is_alone: bool = False) -> list[Array]:
    """As `run`, in as many batches as they need, similar lengths together."""
    outputs: dict[int, Array] = {}
    for rows in by_length(arrays):
        outputs |= zip(
            rows, run(model, [arrays[row] for row in rows], is_alone=is_alone), strict=True
        )
    return [outputs[row] for row in range(len(arrays))]


def run(model: Loaded, arrays: Sequence[Array], *, is_alone: bool = False) -> list[Array]:
    """Activated outputs, one a sequence: (K,) or (T, K) without its padding.

    Where a request `is_alone` in the service, a core lies idle that can read the half of a sequence.
    """
    num_shares = min(CORES, len(arrays) // SHARE)
    if num_shares <= 1:
        return _run_share(model, arrays, is_alone=is_alone)
    ends = [len(arrays) * share // num_shares for share in range(num_shares + 1)]
    parts = [arrays[start:end] for start, end in pairwise(ends)]
    return [row for rows in _shares.map(partial(_run_share, model), parts) for row in rows]


def _run_share(model: Loaded, arrays: Sequence[Array], *, is_alone: bool = False) -> list[Array]:
    x = torch.from_numpy(pad(list(arrays)))
    lengths_B = torch.from_numpy(lengths_of(list(arrays)))
    assert isinstance(model.network, Network)
    with forward_pass(is_alone=is_alone):
        output, _ = model.network(x, lengths_B)
        activated = ACTIVATIONS[model.encoding.output_kind](output).numpy()
    if not model.encoding.per_step:
        return list(activated)
    return [np.ascontiguousarray(row[: len(a)]) for row, a in zip(activated, arrays, strict=True)]
