"""Bytes to and from a network and what surrounds it: tensors and JSON only, never pickle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from shared.nn.mappings import AnyNetwork, make_network
from shared.nn.spec import NetworkSpec, Shape

FORMAT = "unroll/1"
WEIGHTS = "network."  # prefix of weights among a file's tensors


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


def pack(checkpoint: Checkpoint) -> bytes:
    """A safetensors file whose metadata holds the specs and facts."""
    weights = {WEIGHTS + name: tensor for name, tensor in checkpoint.weights.items()}
    tensors = {**weights, **checkpoint.tensors}
    metadata = {
        "format": FORMAT,
        "network": checkpoint.spec.model_dump_json(),
        "shape": checkpoint.shape.model_dump_json(),
        "facts": json.dumps(checkpoint.facts, allow_nan=True),
    }
    # clones: safetensors refuses tensors that share memory, as tied or zero states may
    own = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    return save(own, metadata)


def unpack(data: bytes) -> Checkpoint:
    """What `pack` was given.

    Raises:
        NotACheckpoint: the bytes are not a checkpoint of this format.
    """
    try:
        metadata = read_metadata(data)
        tensors = load(data)
        return Checkpoint(
            spec=NetworkSpec.model_validate_json(metadata["network"]),
            shape=Shape.model_validate_json(metadata["shape"]),
            weights={
                n.removeprefix(WEIGHTS): t for n, t in tensors.items() if n.startswith(WEIGHTS)
            },
            tensors={n: t for n, t in tensors.items() if not n.startswith(WEIGHTS)},
            facts=json.loads(metadata["facts"]),
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise NotACheckpoint(f"not a checkpoint of format {FORMAT}: {error}") from error


def read_metadata(data: bytes) -> dict[str, str]:
    """The text fields of a safetensors header: 8 bytes of length, then JSON."""
    size = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    if metadata.get("format") != FORMAT:
        raise NotACheckpoint(f"format is {metadata.get('format')!r}, not {FORMAT!r}")
    return metadata


def build_network(checkpoint: Checkpoint) -> AnyNetwork:
    """The network with its weights, ready to be used."""
    network = make_network(checkpoint.spec, checkpoint.shape)
    network.load_state_dict(dict(checkpoint.weights))
    return network


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """One hash for all weights: names, types, shapes and bytes, in the order of names."""
    digest = sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
