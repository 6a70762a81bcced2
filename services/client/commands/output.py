"""How data and notes reach a person or a pipe: data on stdout, notes on stderr; asks no service."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from services.client.errors import ApiError, Unauthorized

STATUS_STYLES = {
    "queued": "dim",
    "running": "blue",
    "cancelling": "yellow",
    "pausing": "yellow",
    "paused": "yellow",
    "succeeded": "green",
    "failed": "bold red",
    "cancelled": "magenta",
    "right": "green",
    "wrong": "red",
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
}
CUT_LAST = frozenset({"ID", "STATUS"})  # columns that a narrow terminal leaves whole
LONGEST_CELL = 60
BARS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 24
PIPE_WIDTH = 120  # of a table for people that goes to a file or a log
KEY_HINT = "The command sends the key in UNROLL_API_KEY; `unroll keys create NAME` makes one."
HINTS = {  # what the service tells programs to do, for people at a shell
    "GET /v1/datasets lists": "`unroll datasets list` shows",
    "GET /v1/models lists": "`unroll models list` shows",
    "GET /v1/sessions/{id}/state": "`unroll session export`",
    "POST /v1/models/{name}/sessions makes": "`unroll session create MODEL` makes",
}
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def err() -> Console:
    """The console for notes, made when asked for: tests and pipes replace stderr."""
    return Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """A sentence for a person, on stderr."""
    err().print(escape(text), soft_wrap=True)


def show_error(error: Exception) -> None:
    """Why a command ended, with every fault the service listed."""
    console, message = err(), str(error)
    shown = reduce(lambda text, hint: text.replace(*hint), HINTS.items(), message)
    console.print(f"[bold red]Error:[/] {escape(shown)}", soft_wrap=True)
    if not isinstance(error, ApiError):
        return
    if isinstance(error, Unauthorized):
        console.print(KEY_HINT, soft_wrap=True)
    for text in map(fault_line, error.details):
        if text not in message:
            console.print(escape(f"  {text}"), soft_wrap=True)
    if error.status >= 500 and error.request_id:
        console.print(f"[dim]request {error.request_id}[/]")


def fault_line(fault: Mapping[str, Any]) -> str:
    """One fault: where it is, then what it is."""
    place = " ".join(str(fault[key]) for key in ("where", "field") if fault.get(key))
    place = place or str(fault.get("param") or "")
    return f"{place}: {fault.get('message')}" if place else str(fault.get("message"))


def print_json(document: object, *, one_line: bool = False) -> None:
    """One JSON document on stdout."""
    text = json.dumps(document, ensure_ascii=False, indent=None if one_line else 2)
    line(text)


def line(text: str) -> None:
    """One line of data on stdout, there at once for whoever reads the pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    for_people: bool = False,
    is_whole: bool = False,
) -> None:
    """A table for a person, a line a row unless `is_whole`, which cuts nothing.

    For a pipe, tab-separated lines under a header, nothing cut.
    """
    texts = [[cell_text(value) for value in row] for row in rows]
    is_terminal = sys.stdout.isatty()
    if not (is_terminal or for_people):
        for row in [list(columns), *texts]:
            line("\t".join(" ".join(text.split()) for text in row))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(Text(name, no_wrap=True), no_wrap=name in CUT_LAST)
    for row in texts:
        table.add_row(*(_cell(text, is_whole=is_whole) for text in row))
    Console(highlight=False, width=None if is_terminal else PIPE_WIDTH).print(table)


def _cell(text: str, *, is_whole: bool) -> Text:
    style = STATUS_STYLES.get(text, "")
    if is_whole:
        return Text(text, style, overflow="fold")
    return Text(short(text), style, no_wrap=True, overflow="ellipsis")


def print_fields(fields: Mapping[str, object]) -> None:
    """Names and values, one a line; what is None is left out."""
    texts = {name: cell_text(value) for name, value in fields.items() if value is not None}
    if not sys.stdout.isatty():
        for name, text in texts.items():
            line(f"{name}\t{' '.join(text.split())}")
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in texts.items():
        table.add_row(Text(name, "dim"), Text(text, STATUS_STYLES.get(text, "")))
    Console(highlight=False).print(table)


def cell_text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def short(text: str, longest: int = LONGEST_CELL) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def duration(seconds: float | None) -> str:
    """Two units at most: `1 h 5 min`, `12 s`."""
    if seconds is None:
        return "-"
    rest = max(0, round(seconds))
    parts = []
    for size, unit in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def age(moment: datetime) -> str:
    """In one unit: `3 min`."""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    size, unit = next((each for each in UNITS if seconds >= each[0]), UNITS[-1])
    return f"{int(seconds // size)} {unit}"


def sparkline(values: Sequence[float | None], width: int = SPARK_WIDTH) -> str:
    """A curve in one line of text, at most `width` characters; what is not finite leaves a gap."""
    finite = [value for value in values if value is not None]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    num = min(width, len(values))
    parts = (values[i * len(values) // num : (i + 1) * len(values) // num] for i in range(num))
    return "".join(
        BARS[round((mean - low) * scale)] if (mean := _mean(part)) is not None else " "
        for part in parts
    )


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return sum(finite) / len(finite) if finite else None


def num_bytes(count: float) -> str:
    """`3.2 MB`; decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
