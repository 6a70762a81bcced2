"""Fit a spec to a dataset: fill what was left open, refuse what cannot work. No torch, no SQL."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.data.encoding import Encoding
from shared.jobs.errors import InvalidSpec
from shared.jobs.schedules import OneCycleSpec, PlateauSpec
from shared.jobs.spec import EarlyStoppingSpec, JobSpec, model_name_from
from shared.nn import catalog
from shared.nn.spec import Alignment, Attention, Condition, Mapping, Readout, Shape

DEFAULT_STREAM_TBPTT_STEPS = 64
LOSSES: dict[str, tuple[str, ...]] = {
    # output kind -> losses it allows, the automatic one first
    "categorical": ("cross_entropy",),
    "binary": ("bce",),
    "real": ("mse", "mae", "huber"),
}


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What resolving needs to know of a dataset."""

    id: str
    name: str
    encoding: Encoding
    splits: dict[str, int]
    """Records of each split; elements for a stream."""
    num_elements: int
    """Sequence elements of the training split."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will cost, before it runs."""

    num_parameters: int
    total_steps: int
    memory_bytes: int
    flops: float


Fault = tuple[str, str]
"""JSON path of the field, and the reason with the remedy."""


def resolve(spec: JobSpec, dataset: DatasetFacts) -> JobSpec:
    """The spec with nothing left open.

    Raises:
        InvalidSpec: with all faults in `details`, the first one's path as `param`.
    """
    faults = list(_faults(spec, dataset))
    if faults:
        raise invalid_spec(faults)
    encoding = dataset.encoding
    name = spec.name or f"{dataset.name}-{spec.network.cell.type}"
    training = spec.training
    updates: dict[str, Any] = {}
    if training.loss == "auto":
        updates["loss"] = LOSSES[encoding.output_kind][0]
    if encoding.stream and training.tbptt_steps is None:
        updates["tbptt_steps"] = DEFAULT_STREAM_TBPTT_STEPS
    if isinstance(training.schedule, OneCycleSpec):
        peak = training.schedule.max_lr or training.optimizer.lr
        updates["schedule"] = training.schedule.model_copy(update={"max_lr": peak})
    network = spec.network
    if _has_symbols(encoding):
        width = catalog.symbol_size(network, shape_of(encoding))
        network = network.model_copy(update={"embedding_size": width})
    mapping = Mapping(encoding.mapping)
    return spec.model_copy(
        update={
            "name": name,
            "model_name": spec.model_name or model_name_from(name),
            "mapping": mapping,
            "alignment": _alignment(encoding),
            "network": network,
            "training": training.model_copy(update=updates),
        }
    )


def invalid_spec(faults: list[Fault]) -> InvalidSpec:
    param, message = faults[0]
    details: list[dict[str, object]] = [{"param": p, "message": m} for p, m in faults]
    return InvalidSpec(message, param=param, details=details)


def shape_of(encoding: Encoding) -> Shape:
    """The sizes that a network for this dataset has to have."""
    return Shape(
        mapping=Mapping(encoding.mapping),
        alignment=_alignment(encoding),
        input_kind="tokens" if encoding.input.kind in _SYMBOLIC else "numeric",
        input_size=encoding.input.size,
        output_size=encoding.output_size,
        writes="numbers" if encoding.target.kind == "series" else "symbols",
        stops=encoding.stops,
    )


_SYMBOLIC = ("tokens", "category")  # inputs that are embedded


def _has_symbols(encoding: Encoding) -> bool:
    return encoding.input.kind in _SYMBOLIC or encoding.target.kind == "text"


def _alignment(encoding: Encoding) -> Alignment | None:
    return None if encoding.alignment is None else Alignment(encoding.alignment)


def estimate(spec: JobSpec, dataset: DatasetFacts) -> Estimate:
    """Parameters, steps, memory and arithmetic of a resolved spec."""
    shape = shape_of(dataset.encoding)
    num_parameters = catalog.num_parameters(spec.network, shape)
    steps_per_epoch = num_steps_per_epoch(spec, dataset)
    total = spec.training.epochs * steps_per_epoch
    total_steps = min(total, spec.training.max_steps or total)
    elements = dataset.num_elements * total_steps / max(1, steps_per_epoch)
    return Estimate(
        num_parameters=num_parameters,
        total_steps=total_steps,
        memory_bytes=_memory_bytes(spec, dataset, num_parameters),
        flops=elements * catalog.flops_per_element(spec.network, shape)
        + total_steps * _FLOPS_A_STEP,
    )


_FLOPS_A_STEP = 2e7  # what a core could do in the 2 ms that a step takes however small the network


def num_steps_per_epoch(spec: JobSpec, dataset: DatasetFacts) -> int:
    """Optimizer steps of one epoch, as the batcher of this dataset makes them (chunks not counted)."""
    batch_size, tbptt_steps = spec.training.batch_size, spec.training.tbptt_steps
    if dataset.encoding.stream:
        lane = (dataset.num_elements - 1) // batch_size
        return max(1, math.ceil(lane / (tbptt_steps or lane)))
    return math.ceil(dataset.splits["train"] / batch_size)


_BYTES = 4  # fp32
_COPIES_OF_WEIGHTS = {"sgd": 3, "rmsprop": 3, "adam": 4, "adamw": 4}  # weights, gradients, moments


def _memory_bytes(spec: JobSpec, dataset: DatasetFacts, num_parameters: int) -> int:
    network, records = spec.network, max(1, dataset.splits["train"])
    mean_length = spec.training.tbptt_steps or math.ceil(dataset.num_elements / records)
    gates = catalog.num_gates(network) + 2
    unrolled = sum(network.layer_sizes) * network.num_directions * gates
    activations = spec.training.batch_size * mean_length * unrolled
    weights = num_parameters * _COPIES_OF_WEIGHTS[spec.training.optimizer.type]
    return _BYTES * (weights + activations)


def _faults(spec: JobSpec, dataset: DatasetFacts) -> Iterator[Fault]:
    encoding = dataset.encoding
    served = Mapping(encoding.mapping)
    if spec.mapping not in (None, served):
        yield "mapping", f"Dataset {dataset.name!r} serves {served}, not {spec.mapping}."
    if spec.alignment not in (None, _alignment(encoding)):
        serves = f"{encoding.alignment} outputs" if encoding.alignment else f"{served}"
        yield "alignment", f"Dataset {dataset.name!r} serves {serves}; leave alignment out."
    yield from _network_faults(spec, encoding)
    yield from _training_faults(spec, dataset)


def _network_faults(spec: JobSpec, encoding: Encoding) -> Iterator[Fault]:
    network = spec.network
    if network.bidirectional:
        yield from _direction_faults(encoding)
    if network.embedding_size is not None and not _has_symbols(encoding):
        yield (
            "network.embedding_size",
            "Nothing here is a symbol, and numbers are not embedded; leave it out.",
        )
    if network.readout is not Readout.LAST and encoding.mapping != "many_to_one":
        yield "network.readout", _NO_READOUT[encoding.target.steps]
    if network.attention is not Attention.NONE and encoding.alignment != "encoder_decoder":
        yield (
            "network.attention",
            "Attention needs an encoder to look at, and this dataset does not serve "
            "encoder_decoder; leave it out (many_to_one has readout: attention).",
        )
    if encoding.mapping == "one_to_one":
        for option in ("recurrent_dropout", "layer_norm", "residual"):
            if getattr(network, option):
                yield f"network.{option}", "one_to_one has no recurrent layers; leave it out."
    if network.condition is not Condition.INITIAL and not encoding.generates:
        yield "network.condition", "Only a decoder is told a condition; leave it out."


_NO_READOUT = {
    "one": "There is no sequence to read here; readout belongs to many_to_one.",
    "input": "Every step has an output here; readout belongs to many_to_one.",
    "own": "A decoder writes the output here; readout belongs to many_to_one.",
}


def _direction_faults(encoding: Encoding) -> Iterator[Fault]:
    if encoding.target.kind == "next":
        yield (
            "network.bidirectional",
            "Predicting the next step is causal: a backward direction would read the answer. "
            "Set bidirectional to false.",
        )
    if encoding.stream:
        yield "network.bidirectional", "A stream has no end to read from; set it to false."
    if not encoding.input.is_sequence:
        yield (
            "network.bidirectional",
            "The input is no sequence that could be read from its end, and a decoder only writes "
            "forward. Set bidirectional to false.",
        )


def _training_faults(spec: JobSpec, dataset: DatasetFacts) -> Iterator[Fault]:
    training, encoding = spec.training, dataset.encoding
    allowed = LOSSES[encoding.output_kind]
    if training.loss not in ("auto", *allowed):
        yield (
            "training.loss",
            f"{training.loss} does not fit {encoding.output_kind} targets; use {' or '.join(allowed)}.",
        )
    taught = (training.teacher_forcing, training.teacher_forcing_end)
    for field, share in zip(("teacher_forcing", "teacher_forcing_end"), taught, strict=True):
        if share not in (None, 1.0) and not encoding.generates:
            yield f"training.{field}", "Only a decoder is taught its own symbols; leave it out."
    if training.tbptt_steps is not None and not encoding.per_step:
        yield "training.tbptt_steps", "Only targets at every step can be truncated; leave it out."
    if training.tbptt_steps is not None and spec.network.bidirectional:
        yield (
            "training.tbptt_steps",
            "A backward direction needs the whole sequence; leave tbptt_steps out.",
        )
    if training.batch_size < spec.resources.devices:
        yield (
            "training.batch_size",
            f"Each of the {spec.resources.devices} devices takes rows of every batch; use at least "
            "as many rows as resources.devices.",
        )
    if encoding.stream and dataset.num_elements <= training.batch_size:
        yield "training.batch_size", "The stream has fewer elements than lanes; use a smaller one."
    if training.precision == "bf16" and spec.resources.device == "cpu":
        yield "training.precision", "bf16 needs CUDA; use fp32, or another resources.device."
    yield from _watching_faults(spec, dataset)


def _watching_faults(spec: JobSpec, dataset: DatasetFacts) -> Iterator[Fault]:
    """Of what waits for a validation metric to improve."""
    schedule, lr = spec.training.schedule, spec.training.optimizer.lr
    watches: dict[str, EarlyStoppingSpec | PlateauSpec | None] = {
        "training.early_stopping": spec.training.early_stopping,
        "training.schedule": schedule if isinstance(schedule, PlateauSpec) else None,
    }
    names = [f"val/{name}" for name in ("loss", *metric_names(dataset.encoding))]
    for path, watch in watches.items():
        if watch is not None and not dataset.splits.get("val"):
            yield path, "The dataset has no validation split to watch; leave it out."
        if watch is not None and watch.metric not in names:
            yield f"{path}.metric", f"Use one of {', '.join(names)}."
    if isinstance(schedule, PlateauSpec) and schedule.min_lr > lr:
        yield "training.schedule.min_lr", f"Must not exceed the optimizer's lr, which is {lr:g}."


def metric_names(encoding: Encoding) -> tuple[str, ...]:
    """Names of the metrics, beside loss, that an evaluation on this target gives."""
    return METRICS[(encoding.target.kind, encoding.output_kind)]


_PER_TOKEN = ("perplexity", "bits_per_token", "token_accuracy")
METRICS: dict[tuple[str, str], tuple[str, ...]] = {
    ("class", "categorical"): ("accuracy", "f1_macro"),
    ("tags", "categorical"): ("accuracy", "f1_macro", "token_accuracy", "exact_match"),
    ("next", "categorical"): _PER_TOKEN,
    ("text", "categorical"): (*_PER_TOKEN, "exact_match", "edit_rate"),
    ("next", "binary"): ("nll_per_step",),
    ("multilabel", "binary"): ("nll_per_step",),
    ("regression", "real"): ("mse", "mae"),
    ("values", "real"): ("mse", "mae"),
    ("series", "real"): ("mse", "mae"),
    ("next", "real"): ("mse", "mae"),
}
LARGER_IS_BETTER = frozenset({"accuracy", "f1_macro", "token_accuracy", "exact_match"})
