"""Small datasets and plans for tests of training; a test names only what it is about."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from shared.data.build import build_dataset
from shared.data.builtin import build_builtin, find_builtin
from shared.data.options import DatasetOptions
from shared.data.records import Record
from shared.data.table import DatasetTable
from shared.jobs.resolve import DatasetFacts, resolve
from shared.jobs.spec import JobSpec
from workers.plan import Plan, make_plan

CPU = torch.device("cpu")


def make_table(
    inputs: Iterable[object], targets: Iterable[object] | None = None, **options: Any
) -> DatasetTable:
    rows = list(inputs)
    wanted = list(targets) if targets is not None else [None] * len(rows)
    records = [
        Record(x, y, None, f"item {i}") for i, (x, y) in enumerate(zip(rows, wanted, strict=True))
    ]
    return DatasetTable.open(build_dataset(records, DatasetOptions(**options)).arrow)


def reversed_words(num: int = 60, longest: int = 6, letters: str = "abcd") -> DatasetTable:
    """Words, and the same words read backwards."""
    rng = np.random.default_rng(7)
    words = ["".join(rng.choice(list(letters), rng.integers(1, longest + 1))) for _ in range(num)]
    return make_table(words, [word[::-1] for word in words], target_kind="text")


def ragged_series(num: int = 40, longest: int = 12) -> list[list[list[float]]]:
    """Sequences of two features, of many lengths."""
    rng = np.random.default_rng(5)
    return [rng.normal(size=(rng.integers(2, longest), 2)).tolist() for _ in range(num)]


def builtin_table(name: str) -> DatasetTable:
    builtin = find_builtin(name)
    assert builtin is not None
    return DatasetTable.open(build_builtin(builtin).arrow)


def make_spec(table: DatasetTable, **wanted: Any) -> JobSpec:
    """A resolved spec for the table."""
    train, val = table.split("train"), table.split("val")
    facts = DatasetFacts(
        id="ds_1",
        name="toy",
        encoding=table.encoding,
        splits={"train": len(train), "val": len(val), "test": len(table.split("test"))},
        num_elements=train.num_elements,
    )
    network = {"cell": "lstm", "hidden_size": 6, **wanted.pop("network", {})}
    training = {"epochs": 2, "batch_size": 4, **wanted.pop("training", {})}
    spec = {"dataset": "toy", "network": network, "training": training, **wanted}
    return resolve(JobSpec.model_validate(spec), facts)


def plan_for(table: DatasetTable, **wanted: Any) -> Plan:
    return make_plan(make_spec(table, **wanted), table, CPU)
