"""How often a caller may ask: a bucket of tokens for each in Valkey. Without Valkey, at will."""

import math
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
# Tokens fill up at ARGV[1] a second to ARGV[2]. Takes one; answers how long there will be none.
TAKE = """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(kept[1]) or burst
tokens = math.min(burst, tokens + math.max(0, now - (tonumber(kept[2]) or now)) * rate)
local wait_s = 0
if tokens >= 1 then tokens = tokens - 1 else wait_s = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * burst / rate) + 1000)
return string.format('%.6f', wait_s)
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

    def take(self, who: str) -> None:
        """Count a request of this key or address; raises `TooOften`."""
        settings = get_settings()
        if settings.rate_limit_per_s == 0 or time.monotonic() < self._away_until:
            return
        try:
            wait_s = self._wait_s(who, settings)
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_S
            log.warning("requests are not counted while the broker is away", error=str(error))
            return
        if wait_s > 0:
            raise TooOften(wait_s)

    def _wait_s(self, who: str, settings: Settings) -> float:
        limits = [settings.rate_limit_per_s, settings.rate_limit_burst]
        answer: bytes = self._script(keys=[f"unroll.rate.{who}"], args=limits)
        return float(answer)

    @cached_property
    def _script(self) -> Script:
        url = get_settings().redis_url.get_secret_value()
        patience = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        client = redis.Redis.from_url(url, **patience, retry=Retry(NoBackoff(), 0))
        return client.register_script(TAKE)
