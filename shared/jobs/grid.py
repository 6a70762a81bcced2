"""From an experiment to its arms: every spec resolved and checked, before anything is stored."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from shared.jobs.errors import InvalidSpec
from shared.jobs.experiments import MAX_ARMS, ExperimentSpec
from shared.jobs.matching import TOLERANCE, Matching, deviation, matched
from shared.jobs.resolve import (
    LARGER_IS_BETTER,
    DatasetFacts,
    Fault,
    invalid_spec,
    metric_names,
    resolve,
    shape_of,
)
from shared.jobs.spec import JobSpec, model_name_from
from shared.jobs.varying import (
    FIXED,
    NotAField,
    combinations_of,
    label_of,
    short_names,
    with_values,
)
from shared.jobs.wording import path_of, said
from shared.nn.catalog import num_parameters

HIDDEN_SIZE = "network.hidden_size"
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Arm:
    """One combination of what varies."""

    index: int
    values: dict[str, Any]
    """By path, as sent."""
    label: str
    spec: JobSpec
    """Resolved; its seed is the base's."""
    num_parameters: int


@dataclass(frozen=True, slots=True)
class Plan:
    """An experiment with nothing left open."""

    name: str
    metric: str
    arms: list[Arm]
    matching: Matching | None


def higher_is_better(metric: str) -> bool:
    return metric.partition("/")[2] in LARGER_IS_BETTER


def metrics_of(dataset: DatasetFacts) -> list[str]:
    """What arms can be ranked by; the first is the default."""
    return [f"val/{name}" for name in (*metric_names(dataset.encoding), "loss")]


def plan(spec: ExperimentSpec, dataset: DatasetFacts, max_jobs: int) -> Plan:
    """The arms of an experiment.

    Raises:
        InvalidSpec: with all faults in `details`.
    """
    for check in (_fixed_faults, _nested_faults):
        _refuse(check(spec))
    _refuse(_size_faults(spec, max_jobs))
    metric = spec.metric or metrics_of(dataset)[0]
    _refuse(_metric_faults(metric, dataset))
    name = spec.name or _name_of(spec, dataset)
    arms, matching = _Grid(spec, dataset).arms(name)
    _refuse(_twin_faults(spec, arms))
    _refuse(_loss_faults(metric, arms))
    return Plan(name, metric, arms, matching)


def _refuse(faults: Iterator[Fault]) -> None:
    if found := list(faults):
        raise invalid_spec(found)


def place_of(path: str, index: int | None = None) -> str:
    """How an answer names a path of `vary`, or one of its values."""
    return f'vary["{path}"]' + ("" if index is None else f"[{index}]")


def _fixed_faults(spec: ExperimentSpec) -> Iterator[Fault]:
    for path in spec.vary:
        for fixed, reason in FIXED.items():
            if path == fixed or path.startswith(f"{fixed}."):
                yield place_of(path), f"{fixed} cannot vary: {reason}."
    if spec.match == "parameters" and HIDDEN_SIZE in spec.vary:
        yield (
            place_of(HIDDEN_SIZE),
            "match: parameters chooses the hidden sizes; leave this out, or match.",
        )


def _nested_faults(spec: ExperimentSpec) -> Iterator[Fault]:
    for path in spec.vary:
        for outer in spec.vary:
            if path.startswith(f"{outer}."):
                yield place_of(path), f"It lies within {outer}, which varies too; leave one out."


def _size_faults(spec: ExperimentSpec, max_jobs: int) -> Iterator[Fault]:
    num_arms = math.prod(len(values) for values in spec.vary.values())
    num_jobs = num_arms * len(spec.seeds)
    if num_arms > MAX_ARMS:
        yield "vary", f"This makes {num_arms} arms; {MAX_ARMS} are allowed. Vary less."
    if num_jobs > max_jobs:
        yield (
            "vary",
            f"{num_arms} arms with {len(spec.seeds)} seeds make {num_jobs} jobs; {max_jobs} are "
            "allowed. Vary less, or use fewer seeds.",
        )


def _metric_faults(metric: str, dataset: DatasetFacts) -> Iterator[Fault]:
    if not dataset.splits.get("val"):
        yield "base.dataset", "It has no validation split, which arms are ranked by."
    known = metrics_of(dataset)
    if metric not in known:
        yield "metric", f"Use one of {', '.join(known)}."


def _twin_faults(spec: ExperimentSpec, arms: list[Arm]) -> Iterator[Fault]:
    seen: dict[str, Arm] = {}
    for arm in arms:
        nameless = arm.spec.model_copy(update={"name": None, "model_name": None})
        other = seen.setdefault(nameless.model_dump_json(), arm)
        if other is not arm:
            param = place_of(*_only_difference(spec, arm, other))
            yield param, f"This arm is the same as {other.label!r}; leave one out."


def _only_difference(spec: ExperimentSpec, arm: Arm, other: Arm) -> tuple[str, int]:
    """The first path in which two arms of the grid were sent different things."""
    ways = list(combinations_of(spec.vary))
    pairs = zip(spec.vary, ways[arm.index], ways[other.index], strict=True)
    return next((path, mine) for path, mine, its in pairs if mine != its)


def _loss_faults(metric: str, arms: list[Arm]) -> Iterator[Fault]:
    if metric == "val/loss" and len({arm.spec.training.loss for arm in arms}) > 1:
        yield "metric", "val/loss means something else in each arm where training.loss varies."


def _name_of(spec: ExperimentSpec, dataset: DatasetFacts) -> str:
    varied = " and ".join(short_names(list(spec.vary)).values())
    return f"{dataset.name} by {varied or 'seed'}"[:LONGEST_NAME]


class _Grid:
    """Resolves the arms of one experiment, and finds out whose fault it is when one cannot be."""

    def __init__(self, spec: ExperimentSpec, dataset: DatasetFacts) -> None:
        self.spec = spec
        self.dataset = dataset
        self.base = spec.base.model_dump(mode="json", exclude_unset=True)
        self.full = spec.base.model_dump(mode="json")

    def arms(self, name: str) -> tuple[list[Arm], Matching | None]:
        ways = list(combinations_of(self.spec.vary))
        resolved, faults = self._resolved(ways)
        if faults:
            raise invalid_spec(list(dict.fromkeys(faults)))
        matching = None
        if self.spec.match == "parameters":
            resolved, matching = self._matched(ways, resolved)
        arms: list[Arm] = []
        for index, (way, spec) in enumerate(zip(ways, resolved, strict=True)):
            values = self._values(way)
            label = label_of(values)
            model_name = _model_name(self.spec.base.model_name or name, label)
            if model_name in {arm.spec.model_name for arm in arms}:
                model_name += f"-{index}"  # differs in what a URL cannot hold, or was cut off
            names = {"name": f"{name[:70]}: {label}", "model_name": model_name}
            count = num_parameters(spec.network, shape_of(self.dataset.encoding))
            arms.append(Arm(index, values, label, spec.model_copy(update=names), count))
        return arms, matching

    def _values(self, way: tuple[int, ...]) -> dict[str, Any]:
        pairs = zip(self.spec.vary.items(), way, strict=True)
        return {path: values[index] for (path, values), index in pairs}

    def _resolved(self, ways: list[tuple[int, ...]]) -> tuple[list[JobSpec], list[Fault]]:
        resolved, faults = [], []
        for way in ways:
            found = self._try(self._values(way))
            if isinstance(found, JobSpec):
                resolved.append(found)
            else:
                faults += [(self._culprit(way, fault), fault[1]) for fault in found]
        return resolved, faults

    def _try(self, values: dict[str, Any]) -> JobSpec | list[Fault]:
        """The resolved spec of an arm, or its faults."""
        try:
            sent = with_values(self.base, self.full, values)
            return resolve(JobSpec.model_validate(sent), self.dataset)
        except NotAField as fault:
            return [(next(iter(values)), str(fault))]
        except ValidationError as error:
            return [(_path_in(sent, fault), said(fault)) for fault in error.errors()]
        except InvalidSpec as error:
            return [(str(each["param"]), str(each["message"])) for each in error.details]

    def _culprit(self, way: tuple[int, ...], fault: Fault) -> str:
        """The value of `vary`, or field of the base, that a fault of an arm comes from.

        It is the value whose own field the fault lies in; else what the base has wrong by itself;
        else the value that makes the same fault with the base alone; else the combination.
        """
        sent = list(zip(self.spec.vary.items(), way, strict=True))
        for (path, _), index in sent:
            if fault[0] == path or fault[0].startswith(f"{path}."):
                return place_of(path, index)
        if fault in self._faults_of({}):
            return f"base.{fault[0]}"
        for (path, values), index in sent:
            if fault in self._faults_of({path: values[index]}):
                return place_of(path, index)
        return "vary"

    def _faults_of(self, values: dict[str, Any]) -> list[Fault]:
        found = self._try(values)
        return [] if isinstance(found, JobSpec) else found

    def _matched(
        self, ways: list[tuple[int, ...]], resolved: list[JobSpec]
    ) -> tuple[list[JobSpec], Matching]:
        base = self._try({})
        if not isinstance(base, JobSpec):
            raise invalid_spec([(f"base.{path}", message) for path, message in base])
        shape = shape_of(self.dataset.encoding)
        target = num_parameters(base.network, shape)
        specs, faults, largest = [], [], 0.0
        for way, spec in zip(ways, resolved, strict=True):
            network = matched(spec.network, shape, target)
            count = num_parameters(network, shape)
            if deviation(count, target) > TOLERANCE:
                faults.append((self._unmatched(way), _too_far(count, target)))
            largest = max(largest, deviation(count, target))
            specs.append(spec.model_copy(update={"network": network}))
        if faults:
            raise invalid_spec(faults)
        return specs, Matching(target, TOLERANCE, largest)

    def _unmatched(self, way: tuple[int, ...]) -> str:
        return place_of(next(iter(self.spec.vary)), way[0]) if way else "match"


def _too_far(count: int, target: int) -> str:
    return (
        f"No hidden size brings this arm within {TOLERANCE:.0%} of the base's {target} parameters; "
        f"the nearest has {count}. Use a larger base, or match: none."
    )


def _path_in(sent: dict[str, Any], fault: Any) -> str:
    return ".".join(map(str, path_of(fault["loc"], sent)))


def _model_name(prefix: str, label: str) -> str:
    return f"{model_name_from(prefix)[:60]}-{model_name_from(label)[:60]}"
