"""From the tensors of a request to raw inputs as a dataset has them. Knows no network, no bytes."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from services.inference.oip.describing import ANY, INPUT, LENGTHS, TensorSpec, inputs_of
from services.inference.oip.message import Parameters
from services.inference.oip.tensors import BYTES, Array, Tensor
from services.inference.options import Options
from shared.config import get_settings
from shared.data.encoding import CategoryInput, Encoding, NumericInput, TokenInput, VectorInput
from shared.jobs.errors import InvalidSpec, shortened

Tensors = Mapping[str, Tensor]
READ_ELSEWHERE = frozenset({"binary_data_output", "sequence_id", "sequence_start", "sequence_end"})
"""Parameters that say how the answer is written, and which sequence a request goes on with."""


def raw_inputs(encoding: Encoding, tensors: Tensors) -> list[Any]:
    """One raw input a row.

    Raises:
        InvalidSpec: a tensor is missing, unknown, or of another type or shape than the metadata say.
    """
    specs = {spec.name: spec for spec in inputs_of(encoding)}
    for name in tensors:
        if name not in specs:
            raise _unfit(f"there is no input {shortened(name)!r}; there are {', '.join(specs)}")
    for spec in specs.values():
        if spec.name in tensors:
            _check(spec, tensors[spec.name])
        elif not spec.is_optional:
            raise _unfit(f"the input {spec.name!r} is missing")
    _check_rows(tensors[INPUT].array)
    return _READERS[type(encoding.input)](tensors)


def options_of(parameters: Parameters) -> Options:
    """The generation options among a request's parameters.

    Raises:
        InvalidSpec: a parameter is unknown.
        RequestValidationError: an option is out of its range.
    """
    given = {name: value for name, value in parameters.items() if name not in READ_ELSEWHERE}
    for name in given:
        if name not in Options.model_fields:
            known = ", ".join((*Options.model_fields, *sorted(READ_ELSEWHERE)))
            path = f"parameters.{shortened(name)}"
            raise InvalidSpec(f"{path}: there is no such parameter; there are {known}.", param=path)
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        faults = [{**fault, "loc": ("parameters", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults, body={"parameters": given}) from error


def _check(spec: TensorSpec, tensor: Tensor) -> None:
    if (spec.datatype == BYTES) != (tensor.datatype == BYTES):
        raise _unfit(f"{spec.name!r} is {spec.datatype}, not {tensor.datatype}")
    if spec.datatype == "INT64" and "INT" not in tensor.datatype:
        raise _unfit(f"{spec.name!r} is {spec.datatype}, not {tensor.datatype}")
    shape = tensor.array.shape
    fits = len(shape) == len(spec.shape) and all(
        wanted in (ANY, size) for wanted, size in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        raise _unfit(f"{spec.name!r} must have the shape {list(spec.shape)}, not {list(shape)}")


def _check_rows(array: Array) -> None:
    limit = get_settings().max_predict_inputs
    if not 1 <= len(array) <= limit:
        raise _unfit(f"{INPUT!r} has {len(array)} rows; send 1 to {limit} at once")


def _rows(tensors: Tensors) -> list[Array]:
    """Each row of `input` without its padding."""
    array = tensors[INPUT].array
    if LENGTHS not in tensors:
        return list(array)
    lengths = tensors[LENGTHS].array
    if len(lengths) != len(array):
        raise _unfit(f"{LENGTHS!r} has {len(lengths)} elements for {len(array)} rows")
    if (lengths < 1).any() or (lengths > array.shape[1]).any():
        raise _unfit(f"{LENGTHS!r} must lie from 1 to {array.shape[1]}, the steps of {INPUT!r}")
    return [row[:length] for row, length in zip(array, lengths.tolist(), strict=True)]


def _symbols(tensors: Tensors) -> list[Any]:
    if tensors[INPUT].array.ndim == 1:
        return list(tensors[INPUT].array)
    return [row.tolist() for row in _rows(tensors)]


_READERS: dict[type[Any], Callable[[Tensors], list[Any]]] = {
    TokenInput: _symbols,
    NumericInput: _rows,
    CategoryInput: lambda tensors: list(tensors[INPUT].array),
    VectorInput: lambda tensors: list(tensors[INPUT].array),
}


def _unfit(message: str) -> InvalidSpec:
    return InvalidSpec(f"inputs: {message}.", param="inputs")
