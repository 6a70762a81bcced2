"""Loaded networks: read from Postgres when first asked for, kept while they fit in memory."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from services.inference.measures import LOAD_SECONDS
from shared.data.encoding import Encoding
from shared.db.blobs import BlobStore
from shared.db.engine import transaction
from shared.db.models import LATEST, ModelStore
from shared.db.tables import ModelVersionRow
from shared.db.viewer import Viewer, current_viewer
from shared.nn.checkpoint import unpack_network
from shared.nn.mappings import AnyNetwork
from shared.nn.network import Network
from shared.nn.steps.network import CannotStep, Stepper

Key = tuple[str, str, int, str]
"""Owner, name, version and blob: the number of a deleted version may come again."""
Wish = tuple[Viewer, str, str]
"""For whom, name and version as it was asked for."""
LOOKUP_S = 0.5  # how long it is believed which version a name means
MAX_WISHES = 10_000


@dataclass(frozen=True, eq=False)
class Loaded:
    """A published network, ready to be used by any thread."""

    owner: str
    name: str
    version: int
    weights_sha256: str
    network: AnyNetwork
    encoding: Encoding
    num_bytes: int

    @cached_property
    def stepper(self) -> Stepper:
        """The network fed one element at a time; made when first asked for.

        Raises:
            CannotStep: the message says why.
        """
        if not isinstance(self.network, Network):
            raise CannotStep("it writes sequences of its own: ask it to generate")
        return Stepper(self.network)


class Registry:
    """Knows memory and SQL, not HTTP. Loading one model never blocks another."""

    def __init__(self, max_bytes: int, lookup_s: float = LOOKUP_S) -> None:
        self.max_bytes, self.lookup_s = max_bytes, lookup_s
        self._loaded: OrderedDict[Key, Loaded] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[Key, threading.Lock] = {}
        self._meant: dict[Wish, tuple[float, Key]] = {}

    def peek(self, name: str, version: str = LATEST) -> Loaded | None:
        """As `get`, from memory alone; None where that has to ask Postgres."""
        found = self._meant.get((current_viewer(), name, version))
        if found is None or time.monotonic() > found[0]:
            return None
        with self._lock:
            return self._touch(found[1])

    def get(self, name: str, version: str = LATEST) -> Loaded:
        """The version that is published now under this name.

        Raises:
            ModelNotFound: there is no such model or version.
            CorruptBlob: its stored bytes are damaged.
        """
        with transaction() as db:
            row = ModelStore(db).version(name, version)
        key = (row.owner, row.name, row.version, row.blob_id)
        with self._lock:
            found = self._touch(key)
            gate = None if found else self._loading.setdefault(key, threading.Lock())
        if gate is not None:
            with gate:
                with self._lock:
                    found = self._touch(key)
                found = found or self._keep(key, load(row))
        assert found is not None
        self._note((current_viewer(), name, version), key)
        return found

    def check(self) -> None:
        """Raise whatever keeps published models from being looked up."""
        with transaction() as db:
            ModelStore(db).page(None, 1)

    def _note(self, wish: Wish, key: Key) -> None:
        with self._lock:
            if len(self._meant) >= MAX_WISHES:
                self._meant.clear()
            self._meant[wish] = (time.monotonic() + self.lookup_s, key)

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
        weights_sha256=row.weights_sha256,
        network=network,
        encoding=encoding,
        num_bytes=size_of(network),
    )


def size_of(network: nn.Module) -> int:
    """Bytes of its weights; twice of those that may be stepped, which are kept in another order too."""
    num_bytes = sum(p.numel() * p.element_size() for p in network.parameters())
    return num_bytes * 2 if isinstance(network, Network) else num_bytes
