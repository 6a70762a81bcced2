"""Which tensors a model takes and gives, from its encoding; and what the protocol calls a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.inference.oip.tensors import BYTES, dumps
from shared.config import get_settings
from shared.data.encoding import (
    CategoryInput,
    Encoding,
    NumericInput,
    SeriesTarget,
    TextTarget,
    TokenInput,
    VectorInput,
)
from shared.db.tables import ModelVersionRow

ANY = -1  # an axis of any size: the batch, then time
PLATFORM = "unroll"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a model; the first axis is the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    is_optional: bool = False

    @property
    def metadata(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape}

    @property
    def config(self) -> dict[str, Any]:
        """As a model's configuration has it: without the batch, and with one axis at least."""
        kind = "STRING" if self.datatype == BYTES else self.datatype
        facts: dict[str, Any] = {"name": self.name, "data_type": f"TYPE_{kind}"}
        facts |= {"dims": self.shape[1:] or (1,)}
        if len(self.shape) == 1:
            facts["reshape"] = {"shape": []}
        return facts | ({"optional": True} if self.is_optional else {})


INPUT, LENGTHS = "input", "lengths"
_LENGTHS = TensorSpec(LENGTHS, "INT64", (ANY,))
_OPTIONAL_LENGTHS = TensorSpec(LENGTHS, "INT64", (ANY,), is_optional=True)
Specs = tuple[TensorSpec, ...]


def _of_tokens(part: TokenInput) -> Specs:
    if part.tokens == "list":
        return TensorSpec(INPUT, BYTES, (ANY, ANY)), _OPTIONAL_LENGTHS
    return (TensorSpec(INPUT, BYTES, (ANY,)),)


def _of_series(part: NumericInput) -> Specs:
    return TensorSpec(INPUT, "FP32", (ANY, ANY, part.size)), _OPTIONAL_LENGTHS


_INPUTS: dict[type[Any], Callable[[Any], Specs]] = {
    TokenInput: _of_tokens,
    NumericInput: _of_series,
    CategoryInput: lambda part: (TensorSpec(INPUT, BYTES, (ANY,)),),
    VectorInput: lambda part: (TensorSpec(INPUT, "FP32", (ANY, part.size)),),
}


def inputs_of(encoding: Encoding) -> Specs:
    return _INPUTS[type(encoding.input)](encoding.input)


def outputs_of(encoding: Encoding) -> Specs:
    """Without generation options; with them, a model that predicts symbols gives `written_text`."""
    target = encoding.target
    if isinstance(target, TextTarget):
        return written_text(target.tokens)
    if isinstance(target, SeriesTarget):
        return TensorSpec("values", "FP32", (ANY, ANY, target.size)), _LENGTHS
    axes = (ANY, ANY) if encoding.per_step else (ANY,)
    size = encoding.output_size
    named = tuple(
        TensorSpec(name, kind, axes if kind == BYTES else (*axes, size))
        for name, kind in _NAMES[encoding.output_kind]
    )
    return (*named, _LENGTHS) if encoding.per_step else named


_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "categorical": (("label", BYTES), ("probabilities", "FP32")),
    "binary": (("probabilities", "FP32"),),
    "real": (("values", "FP32"),),
}


def written_text(tokens: str) -> Specs:
    """Outputs of a model that writes symbols."""
    score = TensorSpec("score", "FP32", (ANY,))
    if tokens == "list":
        return TensorSpec("tokens", BYTES, (ANY, ANY)), _LENGTHS, score
    return TensorSpec("text", BYTES, (ANY,)), score


def metadata(row: ModelVersionRow, versions: Sequence[int]) -> dict[str, Any]:
    encoding = Encoding.model_validate(row.encoding)
    return {
        "name": row.name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [spec.metadata for spec in inputs_of(encoding)],
        "outputs": [spec.metadata for spec in outputs_of(encoding)],
    }


def config(row: ModelVersionRow) -> dict[str, Any]:
    """The configuration as Triton writes one; `parameters` say what the numbers mean."""
    encoding = Encoding.model_validate(row.encoding)
    facts = {"cell": row.network["cell"]["type"], "mapping": encoding.mapping}
    facts |= {"dataset": row.dataset, "weights_sha256": row.weights_sha256}
    if encoding.labels:
        facts["labels"] = dumps(encoding.labels).decode()
    return {
        "name": row.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "version_policy": {"all": {}},
        "max_batch_size": get_settings().max_predict_inputs,
        "input": [spec.config for spec in inputs_of(encoding)],
        "output": [spec.config for spec in outputs_of(encoding)],
        "parameters": {name: {"string_value": value} for name, value in facts.items()},
        "sequence_batching": {},
    }
