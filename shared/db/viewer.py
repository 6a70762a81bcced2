"""For whom this task or thread asks the database: a request's key, or the process itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

NO_OWNER = ""  # of what was made without keys, or is built in
BUILTIN = "builtin"  # the source of datasets that are everyone's


@dataclass(frozen=True, slots=True)
class Viewer:
    """For whom queries are made."""

    owner: str  # whose a new row is: the id of a key, or NO_OWNER
    sees_all: bool  # also the rows of others


PROCESS = Viewer(NO_OWNER, sees_all=True)  # a worker, a command, the sweeper: no request
NOBODY = Viewer(NO_OWNER, sees_all=False)  # a request before anyone has said whose it is
_viewer: ContextVar[Viewer] = ContextVar("viewer", default=PROCESS)


def current_viewer() -> Viewer:
    return _viewer.get()


def current_owner() -> str:
    """Whom a new row belongs to."""
    return _viewer.get().owner


def view_as(viewer: Viewer) -> None:
    """From here on, this task and the threads that it starts work for `viewer`."""
    _viewer.set(viewer)


@contextmanager
def viewing(viewer: Viewer) -> Iterator[None]:
    """The same, for as long as the block lasts."""
    token = _viewer.set(viewer)
    try:
        yield
    finally:
        _viewer.reset(token)
