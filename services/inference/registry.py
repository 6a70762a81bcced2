"""Loaded networks: read from Postgres when first asked for, kept while they fit in memory."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from services.inference.measures import LOAD_SECONDS
from shared.data.encoding import Encoding
from shared.db.blobs import BlobStore
from shared.db.engine import transaction
from shared.db.models import LATEST, ModelStore
from shared.db.tables import ModelVersionRow
from shared.nn.checkpoint import unpack_network
from shared.nn.mappings import AnyNetwork

Key = tuple[str, str, int]
"""Owner, name and version."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A published network, ready to be used by any thread."""

    owner: str
    name: str
    version: int
    network: AnyNetwork
    encoding: Encoding
    num_bytes: int


class Registry:
    """Knows memory and SQL, not HTTP. Loading one model never blocks another."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._loaded: OrderedDict[Key, Loaded] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[Key, threading.Lock] = {}

    def get(self, name: str, version: str = LATEST) -> Loaded:
        """The version that is published now under this name.

        Raises:
            ModelNotFound: there is no such model or version.
            CorruptBlob: its stored bytes are damaged.
        """
        with transaction() as db:
            row = ModelStore(db).version(name, version)
        key = (row.owner, row.name, row.version)
        with self._lock:
            found = self._touch(key)
            gate = self._loading.setdefault(key, threading.Lock())
        if found is not None:
            return found
        with gate:
            with self._lock:
                found = self._touch(key)
            return found or self._keep(key, load(row))

    def in_memory(self) -> set[tuple[str, str, int]]:
        """Owner, name and version of what is loaded now."""
        with self._lock:
            return {(owner, name, version) for owner, name, version, *_ in self._loaded}

    def unload(self, owner: str, name: str) -> None:
        """Drop every version of a model from memory; the next request for one loads it again."""
        with self._lock:
            for key in [key for key in self._loaded if key[:2] == (owner, name)]:
                del self._loaded[key]

    def check(self) -> None:
        """Raise whatever keeps published models from being looked up."""
        with transaction() as db:
            ModelStore(db).page(None, 1)

    def _touch(self, key: Key) -> Loaded | None:
        found = self._loaded.get(key)
        if found is not None:
            self._loaded.move_to_end(key)
        return found

    def _keep(self, key: Key, loaded: Loaded) -> Loaded:
        with self._lock:
            self._loaded[key] = loaded
            self._loading.pop(key, None)
            while self.num_bytes > self.max_bytes and len(self._loaded) > 1:
                self._loaded.popitem(last=False)
        return loaded

    @property
    def num_bytes(self) -> int:
        return sum(loaded.num_bytes for loaded in self._loaded.values())


def load(row: ModelVersionRow) -> Loaded:
    """Read a version's weights, chunk by chunk into their place, and check their hash."""
    with LOAD_SECONDS.time(), transaction() as db:
        network = unpack_network(BlobStore(db).read_checked(row.blob_id)).eval()
    network.requires_grad_(False)
    encoding = Encoding.model_validate(row.encoding)
    return Loaded(
        owner=row.owner,
        name=row.name,
        version=row.version,
        network=network,
        encoding=encoding,
        num_bytes=size_of(network),
    )


def size_of(network: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters())
