"""Both servers of one state directory, as one context manager; knows nothing of what uses them."""

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from services.embedded import postgres, valkey
from services.embedded.postgres import Postgres
from services.embedded.state import StateDirectory
from services.embedded.valkey import Valkey


class Servers:
    """Postgres and Valkey on private sockets, with their files in `state_dir`.

    `durable=False` trades safety for speed, for data that is thrown away. `postgres=False` or
    `valkey=False` leaves that server out. Start and stop from a thread that outlives the servers:
    on Linux they end with it.
    """

    def __init__(
        self,
        state_dir: str | Path,
        *,
        durable: bool = True,
        postgres: bool = True,
        valkey: bool = True,
    ) -> None:
        self.state = StateDirectory(state_dir)
        self._durable = durable
        self._wanted = (postgres, valkey)
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None

    @property
    def database_url(self) -> str:
        """`postgresql+psycopg://...`, for SQLAlchemy."""
        assert self.postgres is not None, "the servers run without Postgres"
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        """`unix://...`, for redis-py."""
        assert self.valkey is not None, "the servers run without Valkey"
        return self.valkey.url

    @property
    def running(self) -> list[Postgres | Valkey]:
        """The servers that were started."""
        return [server for server in (self.postgres, self.valkey) if server is not None]

    def start(self) -> None:
        """Hold the state directory and start what is wanted; all or nothing.

        Raises `StateDirectoryInUse`, `StateDirectoryUnusable`, `NoServerAccount`,
        `ServerNotInstalled`, `ChildFailed`, `StillRunning`.
        """
        self.state.acquire()
        try:
            self._start_wanted()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs and let go of the state directory."""
        servers, self.postgres, self.valkey = self.running, None, None
        for server in servers:
            server.request_stop()
        for server in servers:
            server.stop()
        if servers:
            shutil.rmtree(self.state.sockets())
        self.state.release()

    def restart_postgres(self) -> None:
        """Stop Postgres, or find it dead, and start it on the same data; the URL stays."""
        assert self.postgres is not None, "the servers run without Postgres"
        self.postgres.stop()
        self.postgres.start()

    def restart_valkey(self) -> None:
        """Stop Valkey, or find it dead, and start it on the same data; the URL stays."""
        assert self.valkey is not None, "the servers run without Valkey"
        self.valkey.stop()
        self.valkey.start()

    def _start_wanted(self) -> None:
        postgres, valkey = self._wanted
        if postgres:
            self.postgres = Postgres(self.state, durable=self._durable)
            self.postgres.start()
        if valkey:
            self.valkey = Valkey(self.state, durable=self._durable)
            self.valkey.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def erase(state_dir: str | Path) -> None:
    """Remove the directory and its data, wherever they lie.

    Raises `StateDirectoryInUse`, and `StillRunning` when a leftover server does not end.
    """
    state = StateDirectory(state_dir)
    state.acquire()
    try:
        data = (state.path / "data").resolve()
        if data.exists():
            postgres.end_leftover(data)
            valkey.end_leftover(data)
            shutil.rmtree(state.sockets())
            shutil.rmtree(data)
        shutil.rmtree(state.path)
    finally:
        state.release()
