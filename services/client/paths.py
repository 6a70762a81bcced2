"""How names become parts of a path, whatever they hold."""

from urllib.parse import quote

from services.client.errors import NotFound


def part(name: str) -> str:
    """A name as one part of a path; empty, `.` and `..` would leave the path."""
    if name in ("", ".", ".."):
        raise NotFound(404, "not_found", f"There is nothing called {name!r}.")
    return quote(name, safe="")
