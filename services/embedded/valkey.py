"""A Valkey server of our own: its settings, its start and its end."""

import json
import signal
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.embedded.binaries import valkey_server
from services.embedded.process import Child, Ending, end_stale
from services.embedded.state import StateDirectory

HOME, PID_FILE, SETTINGS_FILE = "valkey", "valkey.pid", "valkey.conf"
START_S, STOP_S = 60.0, 30.0

SETTINGS = {
    "port": "0",  # the socket alone
    "unixsocketperm": "700",
    "save": "",  # no snapshots: the append-only file is what lasts
    "maxmemory-policy": "noeviction",  # a queue must not lose messages
    "set-proc-title": "no",  # the command line proves whose server it is
}
DURABILITY = {True: {"appendonly": "yes", "appendfsync": "everysec"}, False: {"appendonly": "no"}}


def end_leftover(data: Path) -> None:
    """End the server that a killed supervisor left on `data`; raises `StillRunning`."""
    home = data / HOME
    end_stale(home / PID_FILE, home / SETTINGS_FILE, signal.SIGTERM, STOP_S)


class Valkey(Child):
    """The server whose files lie in the state directory. The directory must be held."""

    def __init__(self, state: StateDirectory, *, durable: bool) -> None:
        account = state.account()
        self._home = state.data() / HOME
        self._socket = state.sockets() / "valkey.sock"
        self._pid_file = self._home / PID_FILE
        self._settings = self._home / SETTINGS_FILE
        self._password = state.secret("valkey")
        self._durable = durable
        super().__init__(
            "valkey",
            [str(valkey_server(account)), str(self._settings)],
            log=state.logs / "valkey.log",
            env={"PATH": "/usr/bin:/bin"},
            account=account,
            ending=Ending(signal.SIGTERM, orphaned=signal.SIGTERM, grace_s=STOP_S),
        )

    @property
    def url(self) -> str:
        """For redis-py: `unix://...`."""
        return f"unix://:{self._password}@{quote(str(self._socket))}?db=0"

    def start(self) -> None:
        """Start, and return once the server answers.

        Raises `ChildFailed`, and `StillRunning` when a server of a killed supervisor does not end.
        """
        self._home.mkdir(exist_ok=True)
        self.account.take(self._home, 0o700)
        end_leftover(self._home.parent)
        self._write_settings()
        super().start()
        self.wait_ready(self._answers, START_S)

    def _write_settings(self) -> None:
        settings = SETTINGS | DURABILITY[self._durable]
        settings |= {
            "dir": str(self._home),
            "pidfile": str(self._pid_file),
            "unixsocket": str(self._socket),
            "requirepass": self._password,
        }
        self._settings.touch(0o600)
        self.account.take(self._settings, 0o600)
        lines = [
            f"{name} {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items()
        ]  # quoted
        self._settings.write_text("".join(lines))

    def _answers(self) -> bool:
        # redis-py's default retries would sleep for seconds before they tell us "not yet"
        with redis.Redis.from_url(
            self.url, retry=Retry(NoBackoff(), 0), socket_timeout=5
        ) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):  # BusyLoading is a ConnectionError
                return False
