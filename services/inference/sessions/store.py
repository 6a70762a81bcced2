"""Where sessions are kept: one hash each in Valkey, with a lifetime. Knows bytes, not tensors or HTTP.

`unroll.session.ID` holds the facts, the position and the state; `unroll.session.ID.was` outlives it
by a day and tells an expired session from one that never was; `unroll.sessions` counts the living.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import orjson
import redis

from shared.jobs.errors import SessionExpired, SessionNotFound, SessionsFull
from shared.queue import get_redis

REMEMBERED_MS = 86_400_000  # how long an expired session is known to have been
COUNT = "unroll.sessions"
NOW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
KEEP = f"""
redis.call('PEXPIRE', KEYS[1], lifetime)
redis.call('PEXPIRE', KEYS[2], lifetime + {REMEMBERED_MS})
redis.call('ZADD', KEYS[3], now + lifetime, ARGV[1])
"""
# ARGV: id, lifetime in ms, most sessions, facts, owner, position, state. 0 = there are too many.
CREATE = f"""{NOW}
local lifetime = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
local is_new = not redis.call('ZSCORE', KEYS[3], ARGV[1])
if is_new and redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], 'facts', ARGV[4], 'position', ARGV[6], 'state', ARGV[7])
redis.call('SET', KEYS[2], ARGV[5])
{KEEP}
return 1
"""
# ARGV: id, lifetime in ms, position before, position after, state, facts. A session that went on in the
# meantime, or was replaced by a new one of the same id, is left as it is.
SAVE = f"""{NOW}
local lifetime = tonumber(ARGV[2])
local position = redis.call('HGET', KEYS[1], 'position')
if not position then return -1 end
if position ~= ARGV[3] or redis.call('HGET', KEYS[1], 'facts') ~= ARGV[6] then return 0 end
redis.call('HSET', KEYS[1], 'position', ARGV[4], 'state', ARGV[5])
{KEEP}
return 1
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What stays the same for as long as a session lives."""

    id: str
    owner: str
    model: str
    model_owner: str
    version: int
    weights_sha256: str
    lifetime_s: float
    created_at: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A session at one moment."""

    facts: Facts
    position: int
    """Elements read so far."""
    state: bytes
    expires_at: float
    """Seconds since 1970."""

    def moved(self, num_elements: int, state: bytes) -> "Kept":
        expires_at = time.time() + self.facts.lifetime_s
        position = self.position + num_elements
        return replace(self, position=position, state=state, expires_at=expires_at)


class Saved(IntEnum):
    """What became of a step."""

    GONE = -1  # expired or deleted in the meantime
    MOVED = 0  # another step was faster: nothing was stored
    DONE = 1


class SessionStore:
    """Every method is one trip to Valkey, and may raise its errors."""

    def create(self, kept: Kept, max_sessions: int) -> None:
        """Store a session; one of the same id is replaced.

        Raises:
            SessionsFull: so many live already.
        """
        facts = kept.facts
        arguments = (max_sessions, orjson.dumps(facts), facts.owner, kept.position, kept.state)
        [made] = _run(CREATE, [_call(facts, *arguments)])
        if not made:
            raise SessionsFull(max_sessions)

    def load(self, session_id: str) -> Kept:
        """The session as it is now; for whom it is, the caller looks at.

        Raises:
            SessionNotFound, SessionExpired
        """
        key, mark, _ = _keys(session_id)
        pipe = get_redis().pipeline(transaction=False)
        pipe.hmget(key, "facts", "position", "state")
        pipe.get(mark)
        pipe.pttl(key)
        (facts, position, state), owner, remaining_ms = pipe.execute()
        if facts is None:
            raise SessionExpired(session_id) if owner is not None else SessionNotFound(session_id)
        expires_at = time.time() + remaining_ms / 1000
        return Kept(Facts(**orjson.loads(facts)), int(position), state, expires_at)

    def save(self, steps: Sequence[tuple[Kept, Kept]]) -> list[Saved]:
        """Store what sessions have become, each if it is still where its step started from."""
        calls = [
            _call(
                after.facts,
                before.position,
                after.position,
                after.state,
                orjson.dumps(before.facts),
            )
            for before, after in steps
        ]
        return [Saved(verdict) for verdict in _run(SAVE, calls)]

    def owner_of(self, session_id: str) -> str | None:
        """Whose a session is or, if it has expired, was."""
        owner: Any = get_redis().get(_keys(session_id)[1])
        return None if owner is None else owner.decode()

    def delete(self, session_id: str) -> None:
        key, mark, count = _keys(session_id)
        pipe = get_redis().pipeline(transaction=False)
        pipe.delete(key, mark)
        pipe.zrem(count, session_id)
        pipe.execute()


def _keys(session_id: str) -> tuple[str, str, str]:
    key = f"unroll.session.{session_id}"
    return key, f"{key}.was", COUNT


def _call(facts: Facts, *arguments: Any) -> tuple[Any, ...]:
    return (*_keys(facts.id), facts.id, int(1000 * facts.lifetime_s), *arguments)


_hashes: dict[str, str] = {}


def _run(script: str, calls: Sequence[tuple[Any, ...]]) -> list[int]:
    """Run a script for each call, all in one trip; the server that does not know it is told it."""
    client = get_redis()
    digest = _hashes.get(script) or _hashes.setdefault(script, str(client.script_load(script)))
    for attempt in range(2):
        pipe = client.pipeline(transaction=False)
        for call in calls:
            pipe.evalsha(digest, 3, *call)
        results = pipe.execute(raise_on_error=False)
        fault = next((each for each in results if isinstance(each, Exception)), None)
        if not isinstance(fault, redis.exceptions.NoScriptError) or attempt:
            break
        client.script_load(script)  # a server that was started anew has run none of the calls
    if fault is not None:
        raise fault
    return results
