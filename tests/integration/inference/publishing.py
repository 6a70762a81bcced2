"""Networks that were never trained, published as if they had been."""

import io
import json
from typing import Any

import torch

from shared.data.options import DatasetOptions
from shared.data.readers import build_from_file
from shared.db.blobs import BlobStore
from shared.db.engine import transaction
from shared.db.models import ModelStore
from shared.jobs.resolve import shape_of
from shared.nn.checkpoint import Checkpoint, pack, weights_sha256
from shared.nn.mappings import make_network
from shared.nn.spec import NetworkSpec

RECORDS: dict[str, list[dict[str, Any]]] = {
    "class": [{"input": [[i, 0.5], [2, 3.5]], "target": "abc"[i % 3]} for i in range(30)],
    "text class": [{"input": text, "target": "ab"[len(text) % 2]} for text in ("to", "be", "not")] * 9,
    "regression": [{"input": [1.5, 2, i], "target": i / 10} for i in range(30)],
    "vector": [{"input": [1.5, 2, i], "target": [i / 10, i, 5, 4]} for i in range(30)],
    "tags": [{"input": "xyzx", "target": ["n", "v", "n", "p"]}] * 30,
    "values": [{"input": [1.5, 2, i], "target": [2.5, 3, i + 1]} for i in range(30)],
    "multilabel": [{"input": "xy", "target": [[0, 1, 1], [1, 0, 1]]}] * 30,
    "next symbol": [{"input": "abcabd"}] * 30,
    "next number": [{"input": [1.5, 2, i]} for i in range(30)],
    "next bits": [{"input": [[0, 1], [1, 0], [1, 1]]}] * 30,
    "list of symbols": [{"input": ["C", "E", "G"], "target": "major"}, {"input": ["C"], "target": "x"}] * 15,
}  # fmt: skip
WRITING: dict[str, tuple[dict[str, Any], DatasetOptions]] = {
    "rewritten": ({"input": "abc", "target": "cab"}, DatasetOptions(target_kind="text")),
    "from a category": ({"input": "a", "target": [1.5, 2, 3]}, DatasetOptions(input_kind="category", target_kind="series")),
    "of another length": ({"input": [1, 2.5], "target": [3, 1.5, 2]}, DatasetOptions(target_kind="series")),
    "vector to class": ({"input": [1, 2.5], "target": "x"}, DatasetOptions(input_kind="vector")),
    "list to list": ({"input": ["C", "E"], "target": ["x", "y", "z"]}, DatasetOptions(target_kind="text")),
}  # fmt: skip
"""Records of models that write sequences, and of one without any."""
LONG_TEXT = b"to be or not to be, that is the question. " * 20
KINDS = [*RECORDS, "stream"]
INPUTS: dict[str, Any] = {  # one that fits, of five steps
    "class": [[1, 2], [3, 4.5], [5, 6], [7, 8], [9, 1e6]],
    "text class": "tobee",
    "regression": [1, 2.5, 3, 4, 5],
    "vector": [1, 2.5, 3, 4, 5],
    "tags": "xyz?x",
    "values": [1, 2, 3, 4, 5],
    "multilabel": "xyxyx",
    "next symbol": "abcab",
    "next number": [1, 2, 3, 4, 5],
    "next bits": [[0, 1], [1, 1], [0, 0], [1, 0], [0, 1]],
    "list of symbols": ["C", "E", "G", "H", "C"],
    "stream": "to be",
}


def publish(name: str, kind: str, *, seed: int = 0, **network: Any) -> int:
    """Publish a fresh network for a kind of dataset; returns its version."""
    stream = kind == "stream"
    records, options = RECORDS.get(kind, []), DatasetOptions()
    if kind in WRITING:
        record, options = WRITING[kind]
        records = [record] * 30
    data = LONG_TEXT if stream else "\n".join(map(json.dumps, records)).encode()
    built = build_from_file(io.BytesIO(data), "text" if stream else "jsonl", options)
    spec = NetworkSpec.model_validate({"cell": "lstm", "hidden_size": 6, **network})
    shape = shape_of(built.encoding)
    torch.manual_seed(seed)
    made = make_network(spec, shape)
    weights = made.state_dict()
    with transaction() as db:
        row = ModelStore(db).publish(
            name,
            dataset="none",
            network=spec.model_dump(mode="json"),
            shape=shape.model_dump(mode="json"),
            encoding=built.encoding.model_dump(mode="json"),
            metrics={},
            num_parameters=sum(p.numel() for p in made.parameters()),
            blob_id=BlobStore(db).write(pack(Checkpoint(spec, shape, weights))).id,
            weights_sha256=weights_sha256(weights),
        )
        return row.version
