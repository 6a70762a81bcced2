"""Fixtures that start servers and processes, each only when a test asks for it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from kombu import pools

from services.embedded.servers import Servers
from services.standalone import Standalone
from tests.servers import (
    empty_valkey_database,
    fresh_database,
    make_template,
    throw_away_servers,
    throw_away_stack,
)


def forget_settings() -> None:
    """Make the next reader of the settings, and the next user of a connection, start anew."""
    from shared.config import get_settings
    from shared.db.engine import reset_engine
    from shared.queue import get_redis, make_celery

    if get_redis.cache_info().currsize:
        get_redis().close()
    pools.reset()  # else a later application of the same URL gets a closed pool
    for cached in (get_settings, get_redis, make_celery):
        cached.cache_clear()
    reset_engine()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_operator() -> Iterator[None]:
    """Tests must not depend on, or write to, what the shell around them points to."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("UNROLL_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Postgres and Valkey for the whole session."""
    with throw_away_servers() as running:
        yield running


@pytest.fixture(scope="session")
def _migrated_template(servers: Servers) -> Servers:
    make_template(servers)
    return servers


@pytest.fixture
def database_url(_migrated_template: Servers) -> Iterator[str]:
    """A migrated, empty database of the test's own, which the settings point to."""
    with fresh_database(_migrated_template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNROLL_DATABASE_URL", url)
        forget_settings()
        yield url
        forget_settings()


@pytest.fixture
def redis_url(servers: Servers) -> Iterator[str]:
    """An empty Valkey database of the test's own, which the settings point to."""
    with empty_valkey_database(servers) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNROLL_REDIS_URL", url)
        forget_settings()
        yield url
        forget_settings()


@pytest.fixture(scope="session")
def stack() -> Iterator[Standalone]:
    """Servers, API, inference and one worker, all real: see `.api_url` and `.inference_url`."""
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as patch:  # only while its processes start
            patch.setenv("UNROLL_LEASE_S", "8")  # a lost worker is noticed sooner than by default
            forget_settings()
            standalone = running.enter_context(throw_away_stack())
        forget_settings()
        yield standalone
