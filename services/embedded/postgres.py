"""A Postgres server of our own: its first set-up, its settings, its start and its end."""

import shutil
import signal
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from services.embedded.binaries import postgres_programs
from services.embedded.process import Child, ChildFailed, Ending, end_stale
from services.embedded.state import StateDirectory

SUPERUSER = "unroll"
DATABASE = "postgres"  # made by initdb itself, so there is no moment at which it is missing
PORT = "5432"  # names the socket; nothing listens on TCP
START_S, STOP_S, INITDB_S = 60.0, 30.0, 120.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}

SETTINGS = {
    "listen_addresses": "",
    "port": PORT,
    "max_connections": "200",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

INITDB = (
    *("--username", SUPERUSER),
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    *(
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    ),  # alike on every system
    "--data-checksums",
)

OLD_BACKENDS_REMAIN = "shared memory block"  # until the backends of a killed postmaster notice

FAST_SHUTDOWN = signal.SIGINT  # SIGTERM would wait for every client to leave


def end_leftover(data: Path) -> None:
    """End the server that a killed supervisor left on `data`; raises `StillRunning`."""
    home = data / "postgres"
    end_stale(home / "postmaster.pid", home, FAST_SHUTDOWN, STOP_S)


class Postgres(Child):
    """The server whose files lie in the state directory. The directory must be held."""

    def __init__(self, state: StateDirectory, *, durable: bool) -> None:
        self._state = state
        self._durable = durable
        self._data = state.data() / "postgres"
        self._sockets = state.sockets()
        self._programs = postgres_programs(state.account())
        settings = SETTINGS | {"unix_socket_directories": str(self._sockets)}
        settings |= {} if durable else NOT_DURABLE
        options = [
            option for name, value in settings.items() for option in ("-c", f"{name}={value}")
        ]
        super().__init__(
            "postgres",
            [str(self._programs / "postgres"), "-D", str(self._data), *options],
            log=state.logs / "postgres.log",
            env=ENVIRONMENT,
            account=state.account(),
            ending=Ending(FAST_SHUTDOWN, orphaned=FAST_SHUTDOWN, grace_s=STOP_S),
        )

    @property
    def url(self) -> str:
        """For SQLAlchemy: `postgresql+psycopg://...`."""
        return self._url("postgresql+psycopg")

    def start(self) -> None:
        """Set up the data directory if needed, start, and return once the server answers.

        Raises `ChildFailed`, and `StillRunning` when a server of a killed supervisor does not end.
        """
        if not self._data.exists():
            self._initialise()
        end_leftover(self._data.parent)
        deadline = time.monotonic() + START_S
        while not self._starts(deadline):
            time.sleep(0.1)

    def _starts(self, deadline: float) -> bool:
        super().start()
        try:
            self.wait_ready(self._answers, START_S)
        except ChildFailed:
            if OLD_BACKENDS_REMAIN not in self.log_tail() or time.monotonic() > deadline:
                raise
            return False
        return True

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgresql"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, scheme: str) -> str:
        password, host = self._state.secret("postgres"), quote(str(self._sockets))
        return f"{scheme}://{SUPERUSER}:{password}@/{DATABASE}?host={host}&port={PORT}"

    def _initialise(self) -> None:
        """Set up a draft and rename it, so that an interruption leaves nothing half-made."""
        for abandoned in self._data.parent.glob("postgres.draft-*"):
            shutil.rmtree(abandoned)
        draft = Path(tempfile.mkdtemp(prefix="postgres.draft-", dir=self._data.parent))
        self.account.take(draft, 0o700)
        password = draft.with_name(f"{draft.name}-password")
        password.touch(0o600)
        self.account.take(password, 0o600)
        password.write_text(self._state.secret("postgres"))
        try:
            self._run_initdb(draft, password)
        finally:
            password.unlink()
        draft.rename(self._data)

    def _run_initdb(self, draft: Path, password: Path) -> None:
        places = ["-D", str(draft), f"--pwfile={password}"]
        initdb = Child(
            "initdb",
            [
                str(self._programs / "initdb"),
                *places,
                *INITDB,
                *([] if self._durable else ["--no-sync"]),
            ],
            log=self._state.logs / "initdb.log",
            env=ENVIRONMENT,
            account=self.account,
        )
        initdb.run(INITDB_S)
