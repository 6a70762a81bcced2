"""One record on its way in, and what can be wrong with it. Knows no file format and no kind of value."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_FAULTS = 20  # a person mends the pattern, not the two thousandth line


@dataclass(frozen=True, slots=True)
class Record:
    """One example as someone wrote it; only its outermost shape has been looked at."""

    input: object
    target: object | None  # None: predict the next step of the input
    split: str | None  # None: we split
    where: str  # "line 3", "row 7", "item 0"
    rows: tuple[int, int] | None = None  # source rows [first, end) of a window, target included
    group: object | None = None  # records of equal groups go to one split


@dataclass(frozen=True)
class Fault:
    """One thing to mend."""

    where: str
    field: str | None
    message: str

    def __str__(self) -> str:
        place = f"{self.where}, {self.field}" if self.field else self.where
        return f"{place}: {self.message}"


Entry = Record | Fault  # what readers yield, so that every faulty line of a file is told at once


class InvalidDataset(ValueError):
    """A dataset that cannot be built, with its first faults (at most 20)."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults


def invalid(where: str, field_name: str | None, message: str) -> InvalidDataset:
    """The error for a single fault."""
    return InvalidDataset((Fault(where, field_name, message),))


@dataclass
class Faults:
    """Gathers faults; raises InvalidDataset at the twentieth, or when asked with one in hand."""

    found: list[Fault] = field(default_factory=list)

    def add(self, where: str, field_name: str | None, message: str) -> None:
        self.take(Fault(where, field_name, message))

    def take(self, fault: Fault) -> None:
        self.found.append(fault)
        if len(self.found) == MAX_FAULTS:
            self.raise_any()

    def raise_any(self) -> None:
        if self.found:
            raise InvalidDataset(tuple(self.found))
