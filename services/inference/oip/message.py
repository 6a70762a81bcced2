"""An infer request as it comes in, and its answer as it goes out: JSON, then tensors' bytes."""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from services.http.bodies import check_depth
from services.inference.oip.tensors import (
    Tensor,
    as_binary,
    as_json,
    dumps,
    from_binary,
    from_json,
)
from shared.jobs.errors import Malformed

JSON_LENGTH = "Inference-Header-Content-Length"
SIZE = "binary_data_size"
MAX_TENSORS = 32
OCTETS = "application/octet-stream"
Parameters = dict[str, str | bool | int | float | None]
Body = TypeVar("Body", bound=BaseModel)


class InputTensor(BaseModel):
    """A tensor with its elements in `data`, or behind the JSON when it has `binary_data_size`."""

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=8)]
    datatype: str
    parameters: Parameters = {}
    data: Any = None
    """Flat or nested."""


class RequestedOutput(BaseModel):
    """`parameters.binary_data` says how it is written, `classification` asks for so many classes."""

    name: str
    parameters: Parameters = {}


class InferRequest(BaseModel):
    """The JSON of an infer request."""

    id: str | None = None
    """Comes back with the answer."""
    parameters: Parameters = {}
    """Generation options, `sequence_id` and its like, `binary_data_output`."""
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=MAX_TENSORS)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=MAX_TENSORS)] | None = None
    """None = all."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request whose tensors are arrays."""

    request: InferRequest
    tensors: dict[str, Tensor]


def read(body: bytes, json_length: str | None) -> Message:
    """The message of an unpacked body; `json_length` is its header.

    Raises:
        Malformed, RequestValidationError: it is none; the text says where.
    """
    text, rest = _cut(body, json_length)
    request = validated(InferRequest, text)
    tensors = {tensor.name: tensor for tensor in _tensors(request, rest)}
    if len(tensors) < len(request.inputs):
        raise Malformed("inputs: two have the same name")
    return Message(request, tensors)


def loads(text: bytes) -> Any:
    """JSON, with the NaN and Infinity that clients of the protocol write; raises `Malformed`."""
    check_depth(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass  # it may hold what strict JSON lacks
    try:
        return json.loads(text)
    except ValueError as error:
        raise Malformed(f"The body is not JSON: {error}.") from error


def _cut(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    is_number = json_length.isascii() and json_length.isdigit() and len(json_length) < 16
    if not is_number or int(json_length) > len(body):
        raise Malformed(
            f"{JSON_LENGTH} must be the length of the JSON in bytes, before any compression: at "
            f"most the {len(body)} of the body."
        )
    return body[: int(json_length)], memoryview(body)[int(json_length) :]


def validated(kind: type[Body], text: bytes) -> Body:
    """JSON as what it should be; raises `Malformed` or RequestValidationError."""
    document = loads(text)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise RequestValidationError(error.errors(), body=document) from error


def _tensors(request: InferRequest, rest: memoryview) -> Iterator[Tensor]:
    for given in request.inputs:
        size = given.parameters.get(SIZE)
        if size is None:
            yield from_json(given.name, given.datatype, given.shape, given.data)
            continue
        if type(size) is not int or not 0 <= size <= len(rest):
            raise Malformed(f"inputs: {SIZE} must be a number of bytes that follow the JSON")
        if given.data is not None:
            raise Malformed(f"inputs: data and {SIZE} were both given; leave one out")
        yield from_binary(given.name, given.datatype, given.shape, rest[:size])
        rest = rest[size:]
    if rest:
        raise Malformed(f"{len(rest)} bytes of the body belong to no input; see {JSON_LENGTH}")


def write(
    head: Mapping[str, Any], outputs: Sequence[tuple[Tensor, bool]], accept_encoding: str
) -> Response:
    """The answer: `head` and the outputs, each with whether it is written in binary."""
    described, parts = [], []
    for tensor, is_binary in outputs:
        facts = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.array.shape}
        if is_binary:
            parts.append(as_binary(tensor))
            described.append({**facts, "parameters": {SIZE: len(parts[-1])}})
        else:
            described.append({**facts, "data": as_json(tensor)})
    text = dumps({**head, "outputs": described})
    headers = {JSON_LENGTH: str(len(text))} if parts else {}
    kind = OCTETS if parts else "application/json"
    return packed(
        Response(b"".join((text, *parts)), headers=headers, media_type=kind), accept_encoding
    )


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(LEVEL, wbits=16 + zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


LEVEL = 1  # numbers hardly shrink further
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "deflate": lambda data: zlib.compress(data, LEVEL),
}


def packed(response: Response, accept_encoding: str) -> Response:
    """The same, compressed where the client names one coding alone.

    Clients that list what they could read mean no wish: packing would only cost them time.
    """
    coding = accept_encoding.strip().lower()
    if coding not in PACKERS:
        return response
    headers = {"Content-Encoding": coding, "Vary": "Accept-Encoding"}
    if JSON_LENGTH in response.headers:
        headers[JSON_LENGTH] = response.headers[JSON_LENGTH]
    body = PACKERS[coding](bytes(response.body))
    return Response(body, headers=headers, media_type=response.media_type)
