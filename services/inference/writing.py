"""From encoded inputs to written sequences, described in the terms of the data. Knows no HTTP."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.inference.options import Options
from services.inference.registry import Loaded
from shared.config import get_settings
from shared.data.batching import lengths_of, pad
from shared.data.encoding import SeriesTarget, TextTarget, TokenInput, written
from shared.jobs.errors import InvalidSpec, TooLarge
from shared.nn.generation import (
    Beginning,
    Sampling,
    Written,
    beam,
    beginning,
    continuation,
    greedy,
    sample,
)
from shared.nn.generator import Generator
from shared.nn.network import Network
from shared.nn.series import write_series

Array = NDArray[Any]


def writes(model: Loaded, options: Options) -> bool:
    """Whether the answer is a written sequence.

    Raises:
        InvalidSpec: there are options, and the model has nothing to choose.
    """
    if model.encoding.target.kind == "series":
        _refuse_choices(model, options)
    if model.encoding.generates:
        return True
    if not options.chosen:
        return False
    first = f"options.{options.chosen[0]}"
    if not _continues(model):
        raise InvalidSpec(
            f"{first}: model {model.name!r} writes no sequence; leave the options out.",
            param=first,
        )
    if options.max_length is None:
        raise InvalidSpec(
            f"{first}: this model predicts the next symbol; give options.max_length to have the "
            "inputs continued by so many.",
            param="options.max_length",
        )
    return True


def _refuse_choices(model: Loaded, options: Options) -> None:
    for name in options.chosen:
        if name != "max_length":
            raise InvalidSpec(
                f"options.{name}: model {model.name!r} writes numbers, among which there is nothing "
                "to choose; leave it out.",
                param=f"options.{name}",
            )


def _continues(model: Loaded) -> bool:
    encoding = model.encoding
    return encoding.target.kind == "next" and isinstance(encoding.input, TokenInput)


def max_length(model: Loaded, options: Options) -> int:
    target = model.encoding.target
    longest = target.longest if isinstance(target, TextTarget | SeriesTarget) else 0
    if isinstance(target, SeriesTarget) and target.length is not None:
        return min(options.max_length or longest, longest)
    return options.max_length or longest


def check_work(model: Loaded, options: Options, num_inputs: int) -> None:
    """Raises TooLarge when all symbols together, on all beams, are more than is allowed."""
    limit = get_settings().max_predict_elements
    if num_inputs * max_length(model, options) * options.beam_size > limit:
        raise TooLarge(
            f"Together the inputs ask for more than {limit} symbols, beams included; send fewer "
            "inputs at once, or lower options.max_length or options.beam_size.",
            param="options",
        )


def with_seed(options: Options) -> Options:
    """The same options, with a seed where symbols are drawn and none was given."""
    if not options.samples or options.seed is not None:
        return options
    return options.model_copy(update={"seed": secrets.randbits(63)})


def write(
    model: Loaded, arrays: Sequence[Array], rows: Sequence[int], options: Options
) -> list[dict[str, Any]]:
    """An answer `{"text" or "tokens", "score"}` for each input, which are of similar length; where
    numbers are written, `{"values"}`.

    `rows` are the places of the inputs in the request: with the seed they decide what is drawn,
    so that equal inputs get sequences of their own and batching changes none.
    """
    length, copies = max_length(model, options), options.beam_size
    if model.encoding.target.kind == "series":
        return _write_series(model, arrays, length)
    sequences = _SEARCHES[_way(options)](
        begun(model, arrays, copies), length, options, uniform(options, rows, length)
    )
    return [_described(model, sequence) for sequence in sequences]


def _write_series(model: Loaded, arrays: Sequence[Array], length: int) -> list[dict[str, Any]]:
    assert isinstance(model.network, Generator)
    x = torch.from_numpy(pad(list(arrays)))
    lengths_B = torch.from_numpy(lengths_of(list(arrays)))
    series = write_series(model.network, x, lengths_B, length)
    rows = zip(series.values_BSV.numpy(), series.length_B.tolist(), strict=True)
    return [model.encoding.describe(np.ascontiguousarray(row[:steps])) for row, steps in rows]


def begun(model: Loaded, arrays: Sequence[Array], copies: int) -> Beginning:
    x = torch.from_numpy(pad(list(arrays)))
    if isinstance(model.network, Generator):
        lengths_B = torch.from_numpy(lengths_of(list(arrays)))
        return beginning(model.network, x, lengths_B, copies)
    assert isinstance(model.network, Network)
    return continuation(model.network, x, copies)


def uniform(options: Options, rows: Sequence[int], length: int) -> Tensor:
    """Numbers from [0, 1) for each row and step; nothing where none are drawn."""
    if not options.samples:
        return torch.empty(0)
    drawn = [np.random.default_rng([options.seed or 0, row]).random(length) for row in rows]
    return torch.from_numpy(np.stack(drawn))


def _way(options: Options) -> str:
    if options.samples:
        return "sampled"
    return "beam" if options.beam_size > 1 else "greedy"


def sampling(options: Options) -> Sampling:
    return Sampling(options.temperature or 1.0, options.top_k, options.top_p)


_SEARCHES: dict[str, Callable[[Beginning, int, Options, Tensor], list[Written]]] = {
    "greedy": lambda begin, length, options, _: greedy(begin, length),
    "sampled": lambda begin, length, options, drawn: sample(begin, drawn, sampling(options)),
    "beam": lambda begin, length, options, _: beam(begin, options.beam_size, length),
}


def _described(model: Loaded, sequence: Written) -> dict[str, Any]:
    part = model.encoding.target
    if not isinstance(part, TextTarget):
        assert isinstance(model.encoding.input, TokenInput)
        source = model.encoding.input
        symbols = [source.symbols[id_] for id_ in sequence.symbols]
        return {**written(symbols, source.tokens), "score": sequence.score}
    return {**part.describe(np.asarray(sequence.symbols, dtype=np.int64)), "score": sequence.score}
