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
from shared.db.models import FAILED, LATEST, PENDING, ModelStore
from shared.db.tables import ModelVersionRow
from shared.db.viewer import Viewer, current_viewer
from shared.jobs.errors import FailedChecks
from shared.nn.checkpoint import unpack_network
from shared.nn.checks import check
from shared.nn.mappings import AnyNetwork
from shared.nn.network import Network
from shared.nn.steps.cells import lay_out
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
    """Of its weights."""

    @property
    def held_bytes(self) -> int:
        """What it may take of memory: weights lie in the order of compiled loops, too."""
        return self.num_bytes * 2

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
        """As `get`, from memory alone; None where that has to ask Postgres.

        One asks for all: whoever comes meanwhile gets what the name meant before.
        """
        wish = (current_viewer(), name, version)
        with self._lock:
            if wish not in self._meant:
                return None
            until, key = self._meant[wish]
            now = time.monotonic()
            if now > until:
                self._meant[wish] = (now + self.lookup_s, key)
                return None
            return self._touch(key)

    def get(self, name: str, version: str = LATEST) -> Loaded:
        """The version that is published now under this name.

        Raises:
            ModelNotFound: there is no such model, version or alias.
            FailedChecks: the version is kept, but not served.
            CorruptBlob: its stored bytes are damaged.
        """
        wish = (current_viewer(), name, version)
        try:
            found, key = self._found(name, version)
        except BaseException:
            with self._lock:
                self._meant.pop(wish, None)
            raise
        self._note(wish, key)
        return found

    def _found(self, name: str, version: str) -> tuple[Loaded, Key]:
        while True:
            with transaction() as db:
                row = ModelStore(db).version(name, version)
            if row.checks.get("status") == FAILED:
                raise FailedChecks(row.name, row.version, row.checks["reason"])
            try:
                return self._get(row), _key(row)
            except FailedChecks:
                if version != LATEST:
                    raise  # else an older one is the newest of those that are served

    def _get(self, row: ModelVersionRow) -> Loaded:
        key = _key(row)
        with self._lock:
            found = self._touch(key)
            if found is not None:
                return found
            gate = self._loading.setdefault(key, threading.Lock())
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
        return sum(loaded.held_bytes for loaded in self._loaded.values())


def _key(row: ModelVersionRow) -> Key:
    return row.owner, row.name, row.version, row.blob_id


def load(row: ModelVersionRow) -> Loaded:
    """Read a version's weights, chunk by chunk into their place, and check their hash.

    Raises:
        FailedChecks: checks were pending, and it did not pass them.
    """
    with LOAD_SECONDS.time(), transaction() as db:
        network = unpack_network(BlobStore(db).read_checked(row.blob_id)).eval()
    network.requires_grad_(False)
    if row.checks.get("status") == PENDING:
        complete_checks(row, network)
    lay_out(network)
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


def complete_checks(row: ModelVersionRow, network: AnyNetwork) -> None:
    """Check a network that was published without having been, and write down what was found."""
    found = check(network)
    with transaction() as db:
        ModelStore(db).note_checks(row, found.to_json())
    if found.fault is not None:
        raise FailedChecks(row.name, row.version, found.fault)


def size_of(network: nn.Module) -> int:
    """Bytes of its weights."""
    return sum(p.numel() * p.element_size() for p in network.parameters())
