"""Throw-away servers and databases for tests; knows nothing of what a test is about."""

import os
import random
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
import redis

from services.embedded.servers import Servers, erase
from services.standalone import Standalone, StandaloneOptions

TEMPLATE = "template_unroll"  # migrated once; every test's database is a copy of it
VALKEY_DATABASES = range(1, 16)
PORTS = range(10_000, 30_000)  # below those that the kernel gives to connections

_names = count(1)
_dice = random.SystemRandom()  # tests set the seed of the other one


@contextmanager
def state_directory() -> Iterator[Path]:
    """An empty state directory that every account can reach; erased with its data afterwards."""
    path = Path(tempfile.mkdtemp(prefix="unroll-tests-"))
    path.chmod(0o755)  # pytest's own temporary folders are closed to the servers' account
    try:
        yield path
    finally:
        erase(path)


@contextmanager
def throw_away_servers() -> Iterator[Servers]:
    """Postgres and Valkey on an empty state directory, without durability."""
    with state_directory() as path, Servers(path, durable=False) as servers:
        yield servers


@contextmanager
def throw_away_stack(workers: int = 1) -> Iterator[Standalone]:
    """Everything on free ports and an empty state directory, without durability."""
    with state_directory() as path:
        options = StandaloneOptions(
            path, port=free_port(), inference_port=free_port(), workers=workers, durable=False
        )
        with Standalone(options) as standalone:
            yield standalone


def make_template(servers: Servers) -> None:
    """Migrate the database that `fresh_database` copies, and close it to connections."""
    from shared.db.migrate import upgrade

    run_sql(servers, f"CREATE DATABASE {TEMPLATE}")
    upgrade(database_url(servers, TEMPLATE))
    run_sql(servers, f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")
    run_sql(
        servers,
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'",
    )


@contextmanager
def fresh_database(servers: Servers, template: str = TEMPLATE) -> Iterator[str]:
    """The URL of a copy of `template`, dropped afterwards with whoever is still connected."""
    name = f"test_{next(_names)}"
    run_sql(servers, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield database_url(servers, name)
    finally:
        run_sql(servers, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def empty_valkey_database(servers: Servers) -> Iterator[str]:
    """The URL of one numbered database, emptied before and after; the others are left alone."""
    number = VALKEY_DATABASES[next(_names) % len(VALKEY_DATABASES)]
    url = servers.redis_url.replace("db=0", f"db={number}")
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        try:
            yield url
        finally:
            client.flushdb()


def database_url(servers: Servers, name: str) -> str:
    return servers.database_url.replace("@/postgres?", f"@/{name}?")


def run_sql(servers: Servers, statement: str) -> None:
    """One statement on the server's own database, outside any transaction."""
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(statement)


def libpq_url(url: str) -> str:
    """An SQLAlchemy URL as psycopg itself takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


def free_port() -> int:
    """A loopback port that is free, and of a range from which no connection is given one meanwhile."""
    while True:
        port = _dice.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def wait_for(condition: Callable[[], bool], timeout_s: float = 30) -> bool:
    """Whether the condition holds before time is up."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    """Whether a process runs under this pid; a zombie does not."""
    stat = proc_file(pid, "stat")
    return bool(stat) and stat.rpartition(")")[2].split()[0] != "Z"


def children_of(pid: int) -> list[int]:
    """The processes that the main thread of this one started; none once it has ended."""
    return [int(child) for child in proc_file(pid, f"task/{pid}/children").split()]


def processes() -> list[int]:
    """Every process of the machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def proc_file(pid: int, name: str) -> str:
    """What the kernel tells about a process, or nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_root() -> bool:
    return os.geteuid() == 0
