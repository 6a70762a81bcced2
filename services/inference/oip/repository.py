"""What is published and what of it is in memory, for whoever asks; loads and drops. Knows no tensors."""

from collections.abc import Iterator
from typing import Any

from services.inference.oip.infer import Protocol
from services.inference.oip.statistics import Key
from shared.db.engine import transaction
from shared.db.models import LATEST, ModelStore
from shared.db.tables import ModelVersionRow
from shared.db.viewer import current_viewer

PAGE = 100
AWAY = "not in memory: the first request loads it"


def published(name: str, version: str = LATEST) -> tuple[ModelVersionRow, list[int]]:
    """A version and the numbers of all versions, oldest first; raises `ModelNotFound`."""
    with transaction() as db:
        store = ModelStore(db)
        row = store.version(name, version)
        [rows] = store.versions([store.get(name)])
        return row, sorted(found.version for found in rows)


def index(protocol: Protocol, *, only_ready: bool) -> list[dict[str, str]]:
    """Every version that the caller sees; ready are those in memory."""
    in_memory = protocol.registry.in_memory()
    found = [_entry(key, key in in_memory) for key in _all_keys()]
    return [entry for entry in found if entry["state"] == "READY" or not only_ready]


def _entry(key: Key, is_ready: bool) -> dict[str, str]:
    _, name, version = key
    state, reason = ("READY", "") if is_ready else ("UNAVAILABLE", AWAY)
    return {"name": name, "version": str(version), "state": state, "reason": reason}


def _all_keys() -> Iterator[Key]:
    after: str | None = None
    with transaction() as db:
        store = ModelStore(db)
        while True:
            page = store.page(after, PAGE)
            for rows in store.versions(page.rows):
                yield from ((row.owner, row.name, row.version) for row in reversed(rows))
            if not page.has_more:
                return
            after = page.rows[-1].name


def unload(protocol: Protocol, name: str) -> None:
    """Drop all versions of a model from memory; raises `ModelNotFound`."""
    row, _ = published(name)
    protocol.registry.unload(row.owner, row.name)


def statistics(protocol: Protocol) -> dict[str, Any]:
    """Of every version that was asked or is in memory, as far as the caller sees them."""
    keys = {*protocol.statistics.known(), *protocol.registry.in_memory()}
    return {"model_stats": protocol.statistics.of(sorted(filter(_is_seen, keys)))}


def statistics_of(protocol: Protocol, name: str, version: str | None) -> dict[str, Any]:
    """Of one version; without one, of all that were asked and of the newest."""
    row, _ = published(name, version or LATEST)
    keys = {(row.owner, row.name, row.version)}
    if version is None:
        keys |= {key for key in protocol.statistics.known() if key[:2] == (row.owner, row.name)}
    return {"model_stats": protocol.statistics.of(sorted(keys))}


def _is_seen(key: Key) -> bool:
    viewer = current_viewer()
    return viewer.sees_all or key[0] == viewer.owner
