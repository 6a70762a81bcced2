"""Sessions from their making to their end: whose they are, where they stand, in which order they go on.

Knows encoded elements and arrays of outputs, not HTTP and not what is sent or shown.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from services.inference.batcher import Batcher
from services.inference.registry import Loaded, Registry
from services.inference.sessions.state import pack, unpack
from services.inference.sessions.store import Facts, Kept, Saved, SessionStore
from services.inference.sessions.ticks import Advanced, Step, Ticks
from shared.config import get_settings
from shared.db.ids import new_id
from shared.db.viewer import current_viewer
from shared.jobs.errors import (
    Busy,
    InvalidSpec,
    ModelGone,
    ModelNotFound,
    SessionMoved,
    SessionNotFound,
)
from shared.nn.steps.network import CannotStep

Array = NDArray[Any]
Encode = Callable[[Loaded], Array]
"""From the model to the elements that its network reads, (T,) or (T, F)."""
MAX_TRIES = 20  # against steps of the same session in other processes
CHUNK = 32  # elements of one session in a tick, so that a long request holds up no other
MAX_TICK_ELEMENTS = 4096
REMEMBERED_BYTES = 64 * 2**20  # of states, so that most steps need no reading


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a session answers to the elements of one request."""

    model: Loaded
    outputs_TK: Array
    """Activated, one row an element."""
    kept: Kept
    """The session behind them."""


class Sessions:
    """All sessions that this process is asked about; what they are is kept in Valkey alone."""

    def __init__(self, registry: Registry, store: SessionStore, max_waiting: int) -> None:
        self.registry, self.store = registry, store
        self.ticks: Batcher[Loaded, Step, Advanced] = Batcher(
            Ticks(store),
            max_waiting=max_waiting,
            max_cost=MAX_TICK_ELEMENTS,
            cost=lambda step: len(step.x_T),
        )
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._seen = Remembered(REMEMBERED_BYTES)

    def create(
        self,
        model: Loaded,
        *,
        state: tuple[Array, int] | None = None,
        lifetime_s: float | None = None,
        session_id: str | None = None,
    ) -> Kept:
        """A session at its beginning, or in a `state` that has read so many elements.

        `session_id` is for callers that derive one of their own; a session of this id is replaced.
        This and the next three wait for Valkey: call them from a thread.

        Raises:
            InvalidSpec: the model takes no sessions, or the state is of another network.
            SessionsFull
        """
        stepper = steppable(model)
        state_S, position = state or (stepper.initial_state()[0], 0)
        if (state_S.dtype, state_S.shape) != (stepper.dtype, (stepper.state_size,)):
            raise InvalidSpec("state: it is of a network of another size", param="state")
        facts = Facts(
            id=session_id or new_id("sess"),
            owner=current_viewer().owner,
            model=model.name,
            model_owner=model.owner,
            version=model.version,
            weights_sha256=model.weights_sha256,
            lifetime_s=lifetime_s or get_settings().session_lifetime_s,
            created_at=time.time(),
        )
        return self._created(facts, position, pack(state_S))

    def _created(self, facts: Facts, position: int, state: bytes) -> Kept:
        kept = Kept(facts, position, state, time.time() + facts.lifetime_s)
        self.store.create(kept, get_settings().max_sessions)
        return kept

    def get(self, session_id: str) -> Kept:
        """A session of the viewer's as it is stored.

        Raises:
            SessionNotFound, SessionExpired
        """
        viewer, owner = current_viewer(), self.store.owner_of(session_id)
        if owner is None or not (viewer.sees_all or viewer.owner == owner):
            raise SessionNotFound(session_id)
        return self.store.load(session_id)

    def fork(self, session_id: str) -> Kept:
        """A second session that begins where this one is.

        Raises:
            SessionNotFound, SessionExpired, ModelGone, SessionsFull
        """
        kept = self.get(session_id)
        self._belonging(kept, self._published(kept))
        owner, now = current_viewer().owner, time.time()
        facts = replace(kept.facts, id=new_id("sess"), owner=owner, created_at=now)
        return self._created(facts, kept.position, kept.state)

    def delete(self, session_id: str) -> None:
        """Raises SessionNotFound, SessionExpired."""
        self.get(session_id)
        self.store.delete(session_id)

    def model_of(self, session_id: str) -> Loaded:
        """The network that a session of the viewer's goes on with.

        Raises:
            SessionNotFound, SessionExpired, ModelGone, CorruptBlob
        """
        kept = self.get(session_id)
        return self._belonging(kept, self._published(kept))

    async def _model_of(self, kept: Kept) -> Loaded:
        """The network that a session goes on with; raises ModelGone and CorruptBlob."""
        model = self.registry.peek(kept.facts.model, str(kept.facts.version))
        if model is None:
            model = await run_in_threadpool(self._published, kept)
        return self._belonging(kept, model)

    def _published(self, kept: Kept) -> Loaded:
        facts = kept.facts
        try:
            return self.registry.get(facts.model, str(facts.version))
        except ModelNotFound as error:
            raise ModelGone(facts.model, facts.version) from error

    def _belonging(self, kept: Kept, model: Loaded) -> Loaded:
        facts = kept.facts
        if (model.owner, model.weights_sha256) != (facts.model_owner, facts.weights_sha256):
            raise ModelGone(facts.model, facts.version)
        return model

    async def step(self, session_id: str, encode: Encode, position: int | None = None) -> Stepped:
        """Read some elements, after whatever else was sent to the session before.

        All of them are read and stored, or none. With `position` they are read only if the session
        has read so many elements so far, so that what may have arrived can be sent again.

        Raises:
            SessionNotFound, SessionExpired, SessionMoved, ModelGone, CorruptBlob, Busy
            and whatever `encode` raises
        """
        async with self._turn(session_id):
            for _ in range(MAX_TRIES):
                kept = self._remembered(session_id, position) or await self._fresh(session_id)
                if position not in (None, kept.position):
                    raise SessionMoved(kept.position)
                self._seen.forget(session_id)  # cancelled from here on, it may or may not be stored
                stepped = await self._tried(kept, encode)
                if stepped is not None:
                    self._seen.keep(stepped.kept)
                    return stepped
        raise Busy(f"Session {session_id} is stepped by too many at once; try again shortly.")

    async def _fresh(self, session_id: str) -> Kept:
        return await run_in_threadpool(self.get, session_id)

    def _turn(self, session_id: str) -> asyncio.Lock:
        """Steps that this process gets for one session go in the order in which they came."""
        return self._turns.setdefault(session_id, asyncio.Lock())

    def _remembered(self, session_id: str, position: int | None) -> Kept | None:
        """What this process stored last; to be compared with a position, it has to fit."""
        kept, viewer = self._seen.get(session_id), current_viewer()
        if kept is None or position not in (None, kept.position):
            return None
        return kept if viewer.sees_all or viewer.owner == kept.facts.owner else None

    async def _tried(self, kept: Kept, encode: Encode) -> Stepped | None:
        """None where the session has moved, or has ended, since `kept` was read."""
        model = await self._model_of(kept)
        x_T, outputs = encode(model), []
        state_S, _ = unpack(kept.state)
        for start in range(0, len(x_T), CHUNK):
            chunk, is_last = x_T[start : start + CHUNK], start + CHUNK >= len(x_T)
            step = Step(kept, state_S, chunk, num_earlier=start, is_last=is_last)
            advanced = await self.ticks.submit(model, step)
            if advanced.saved is not Saved.DONE:
                return None
            outputs.append(advanced.outputs_TK)
            state_S = advanced.state_S
        return Stepped(model, np.concatenate(outputs), advanced.after)


class Remembered:
    """The sessions that were seen last, as far as they fit."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def get(self, session_id: str) -> Kept | None:
        return self._kept.get(session_id)

    def keep(self, kept: Kept) -> None:
        self.forget(kept.facts.id)
        self._kept[kept.facts.id] = kept
        self.num_bytes += len(kept.state)
        while self.num_bytes > self.max_bytes and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))

    def forget(self, session_id: str) -> None:
        kept = self._kept.pop(session_id, None)
        self.num_bytes -= len(kept.state) if kept else 0


def steppable(model: Loaded) -> Any:
    """The model's stepper; raises InvalidSpec with the reason where it has none."""
    try:
        return model.stepper
    except CannotStep as error:
        raise InvalidSpec(f"Model {model.name!r} takes no sessions: {error}.") from error
