"""Bytes to and from a network and what surrounds it: tensors and JSON only, never pickle."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from torch import Tensor

from shared.nn.mappings import AnyNetwork, make_network
from shared.nn.spec import NetworkSpec, Shape
from shared.nn.tensorfile import Entry, TensorFile, bytes_of, parts_of, write_tensors

FORMAT = "unroll/1"
WEIGHTS = "network."  # prefix of weights among a file's tensors
Pieces = Iterable[bytes | bytearray | memoryview]
Place = Callable[[Entry], Tensor | None]


class NotACheckpoint(ValueError):
    """The bytes are not what `pack` makes."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network, and whatever else its owner wants to find again beside it."""

    spec: NetworkSpec
    shape: Shape
    weights: Mapping[str, Tensor]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """For example the state of an optimizer."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON: for example a position in the data."""


def pack(checkpoint: Checkpoint) -> Iterator[bytes | memoryview]:
    """A safetensors file whose metadata holds the specs and facts, in pieces of about 1 MiB.

    The pieces are views of the tensors: use each before training goes on.
    """
    weights = {WEIGHTS + name: tensor for name, tensor in checkpoint.weights.items()}
    metadata = {
        "format": FORMAT,
        "network": checkpoint.spec.model_dump_json(),
        "shape": checkpoint.shape.model_dump_json(),
        "facts": json.dumps(checkpoint.facts, allow_nan=True),
    }
    return write_tensors({**weights, **checkpoint.tensors}, metadata)


def unpack(pieces: Pieces) -> Checkpoint:
    """What `pack` was given, in new tensors on the CPU.

    Raises:
        NotACheckpoint: the bytes are not a checkpoint of this format.
    """
    with _opened(pieces) as file:
        return _read(file, Entry.empty)


def unpack_into(network: AnyNetwork, pieces: Pieces, *, only_weights: bool = False) -> Checkpoint:
    """Fill the weights of `network` where they lie; the other tensors are new, or passed over.

    Raises:
        NotACheckpoint: the bytes are not a checkpoint of this format and network.
    """
    with _opened(pieces) as file:
        return _fill(network, file, only_weights=only_weights)


def unpack_network(pieces: Pieces) -> AnyNetwork:
    """The network of a checkpoint, alone; nothing but its weights takes memory.

    Raises:
        NotACheckpoint: the bytes are not a checkpoint of this format.
    """
    with _opened(pieces) as file:
        spec, shape = _specs(file)
        network = make_network(spec, shape)
        _fill(network, file, only_weights=True)
        return network


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """One hash for all weights: names, types, shapes and bytes, in the order of names."""
    digest = sha256()
    for name in sorted(weights):
        tensor = weights[name].detach()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        for part in parts_of(tensor):
            digest.update(bytes_of(part.cpu().contiguous()))
    return digest.hexdigest()


@contextmanager
def _opened(pieces: Pieces) -> Iterator[TensorFile]:
    """The file; one that is none of ours is read to its end, where its source may say why."""
    source = iter(pieces)
    try:
        file = TensorFile(source)
        if file.metadata.get("format") != FORMAT:
            raise NotACheckpoint(f"format is {file.metadata.get('format')!r}, not {FORMAT!r}")
        yield file
    except (KeyError, ValueError) as error:
        for _ in source:
            pass
        raise NotACheckpoint(f"not a checkpoint of format {FORMAT}: {error}") from error


def _specs(file: TensorFile) -> tuple[NetworkSpec, Shape]:
    return (
        NetworkSpec.model_validate_json(file.metadata["network"]),
        Shape.model_validate_json(file.metadata["shape"]),
    )


def _read(file: TensorFile, place: Place) -> Checkpoint:
    spec, shape = _specs(file)
    found = dict(file.tensors(place))
    return Checkpoint(
        spec=spec,
        shape=shape,
        weights={n.removeprefix(WEIGHTS): t for n, t in found.items() if n.startswith(WEIGHTS)},
        tensors={n: t for n, t in found.items() if not n.startswith(WEIGHTS)},
        facts=json.loads(file.metadata["facts"]),
    )


def _fill(network: AnyNetwork, file: TensorFile, *, only_weights: bool) -> Checkpoint:
    wanted: dict[str, Tensor] = {WEIGHTS + n: t for n, t in network.state_dict().items()}

    def place(entry: Entry) -> Tensor | None:
        if entry.name.startswith(WEIGHTS):
            return wanted.pop(entry.name)
        return None if only_weights else entry.empty()

    checkpoint = _read(file, place)
    if wanted:
        raise NotACheckpoint(f"it has no {min(wanted)}")
    return checkpoint
