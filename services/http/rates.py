"""How often a caller may ask: a bucket of tokens for each in Valkey. Without Valkey, at will."""

import math
import threading
import time
from functools import cached_property

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from shared.config import Settings, get_settings
from shared.logging import get_logger

log = get_logger(__name__)
AWAY_S = 5.0  # how long a broker that did not answer is left alone
TIMEOUT_S = 0.25  # nobody's request waits longer for being counted
SHARE = 50
"""Of a full bucket, a process takes the fiftieth part at once and asks again when that is used up; so
a caller may have that many more for each process that it asks."""
MOST_KEPT = 10_000  # callers whose tokens a process remembers
# Tokens fill up at ARGV[1] a second to ARGV[2]. Takes up to ARGV[3] of them; answers how many, and how
# long there will be none.
TAKE = """
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(kept[1]) or burst
tokens = math.min(burst, tokens + math.max(0, now - (tonumber(kept[2]) or now)) * rate)
local taken, wait_s = math.min(wanted, math.floor(tokens)), 0
tokens = tokens - taken
if taken == 0 then wait_s = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * burst / rate) + 1000)
return {taken, string.format('%.6f', wait_s)}
"""


class TooOften(Exception):
    """A caller without a token left."""

    def __init__(self, wait_s: float) -> None:
        self.retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(f"Too many requests; wait {self.retry_after_s} s.")


class RateLimiter:
    """The same for all processes of a service, because they count in one place."""

    def __init__(self) -> None:
        self._away_until = 0.0
        self._kept: dict[str, int] = {}
        self._lock = threading.Lock()

    def take_kept(self, who: str) -> bool:
        """Count a request without asking Valkey; False where that has to be asked, by `take`."""
        if get_settings().rate_limit_per_s == 0 or time.monotonic() < self._away_until:
            return True
        with self._lock:
            kept = self._kept.get(who, 0)
            if kept:
                self._kept[who] = kept - 1
        return kept > 0

    def take(self, who: str) -> None:
        """Count a request of this key or address; raises `TooOften`."""
        if self.take_kept(who):
            return
        try:
            taken, wait_s = self._taken(who, get_settings())
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_S
            log.warning("requests are not counted while the broker is away", error=str(error))
            return
        if taken == 0:
            raise TooOften(wait_s)
        self._keep(who, taken - 1)

    def _keep(self, who: str, tokens: int) -> None:
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[who] = self._kept.get(who, 0) + tokens

    def _taken(self, who: str, settings: Settings) -> tuple[int, float]:
        """How many tokens were taken, and how long it takes until there is one."""
        burst = settings.rate_limit_burst
        limits = [settings.rate_limit_per_s, burst, max(1, burst // SHARE)]
        taken, wait_s = self._script(keys=[f"unroll.rate.{who}"], args=limits)
        return int(taken), float(wait_s)

    @cached_property
    def _script(self) -> Script:
        url = get_settings().redis_url.get_secret_value()
        patience = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        client = redis.Redis.from_url(url, **patience, retry=Retry(NoBackoff(), 0))
        return client.register_script(TAKE)
