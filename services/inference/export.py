"""A published network as a file: ONNX for other runtimes, safetensors for its weights. Knows no HTTP."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from services.inference.registry import Loaded
from shared.data.encoding import Encoding, NextTarget
from shared.data.parts import Scaled
from shared.jobs.errors import InvalidSpec
from shared.nn.checkpoint import Checkpoint, pack, weights_sha256
from shared.nn.network import Network

LARGEST_ONNX = 2**31 - 2**24  # bytes of weights: a protobuf ends at 2 GiB
Pieces = Iterator[bytes | memoryview]


def as_safetensors(model: Loaded) -> Pieces:
    """The weights, with the specs and the encoding in the metadata; a checkpoint without its job."""
    network = model.network
    facts = {"model": model.name, "version": model.version}
    facts |= {"encoding": model.encoding.model_dump(mode="json")}
    return pack(Checkpoint(network.spec, network.shape, network.state_dict(), facts=facts))


def as_onnx(model: Loaded) -> Pieces:
    """One model from raw numbers, or symbol ids, to probabilities or values.

    Raises:
        InvalidSpec: it writes sequences, or is larger than such a file may be.
    """
    from shared.nn.export.network import Units, export  # protobuf, which few processes need

    network, encoding = model.network, model.encoding
    if not isinstance(network, Network):
        raise _refusal(
            f"model {model.name!r} writes sequences of its own, step by step from what it wrote: "
            "that loop is no single network"
        )
    if model.num_bytes > LARGEST_ONNX:
        raise _refusal(f"model {model.name!r} is larger than the 2 GiB of an ONNX file")
    units = Units(encoding.output_kind, _scale(encoding.input), _scale(_output(encoding)))
    yield export(network, units, _told(model)).SerializeToString()


FORMATS: dict[str, Callable[[Loaded], Pieces]] = {
    "onnx": as_onnx,
    "safetensors": as_safetensors,
}


def _told(model: Loaded) -> dict[str, str]:
    """What the numbers mean: the encoding has vocabulary, labels and units."""
    told = {
        "model": model.name,
        "version": str(model.version),
        "network": model.network.spec.model_dump_json(),
        "shape": model.network.shape.model_dump_json(),
        "encoding": model.encoding.model_dump_json(),
        "weights_sha256": weights_sha256(model.network.state_dict()),
    }
    labels = model.encoding.labels
    return {**told, "labels": json.dumps(labels, ensure_ascii=False)} if labels else told


def _output(encoding: Encoding) -> Any:
    is_next = isinstance(encoding.target, NextTarget)
    return encoding.input if is_next and encoding.output_kind == "real" else encoding.target


def _scale(part: Any) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    return (part.mean, part.std) if isinstance(part, Scaled) else None


def _refusal(why: str) -> InvalidSpec:
    return InvalidSpec(f"format: {why}; use format=safetensors.", param="format")
