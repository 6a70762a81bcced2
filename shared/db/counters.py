"""What happened so far, as numbers that only grow. Callers own the transaction; nothing commits.

A deleted job takes its rows along, so that Prometheus cannot count rows. A counter's row stays locked
to the end of the transaction: add to it last.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db.tables import CounterRow


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter that Prometheus sees as `unroll_<name>_total`."""

    meaning: str
    label: str | None = None
    """Name of its one label, where it has one."""


COUNTERS: Mapping[str, Counted] = {
    "claims": Counted("Jobs taken by a worker"),
    "attempts": Counted("Attempts that ended, by outcome", "outcome"),
    "lease_expiries": Counted("Leases that ran out because their worker was lost"),
    "rescues": Counted("Jobs taken back from a lost worker, by what became of them", "status"),
    "checkpoints": Counted("Checkpoints written"),
    "checkpoint_bytes": Counted("Bytes of the checkpoints written"),
}


class CounterStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def add(self, name: str, label: str = "", by: int = 1) -> None:
        assert (COUNTERS[name].label is None) == (label == "")
        row = insert(CounterRow).values(name=name, label=label, value=by)
        grown = {"value": CounterRow.value + row.excluded.value}
        self.db.execute(row.on_conflict_do_update(index_elements=["name", "label"], set_=grown))

    def all(self) -> dict[str, dict[str, int]]:
        """Values by name and label; every name is there."""
        found: dict[str, dict[str, int]] = {name: {} for name in COUNTERS}
        for row in self.db.scalars(select(CounterRow).order_by(CounterRow.label)):
            found[row.name][row.label] = row.value
        return found
