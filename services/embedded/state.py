"""The state directory: who holds it, its secrets and where server files lie; starts nothing."""

import fcntl
import hashlib
import json
import os
import secrets
import stat
import sys
import tempfile
from pathlib import Path
from typing import IO

from services.embedded.accounts import Account, server_account

SOCKET_PATH_BYTES = 103  # macOS allows 104 with the closing NUL, Linux 108
LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"
SYSTEM_STATE = Path(
    "/var/db" if sys.platform == "darwin" else "/var/lib"
)  # every account reaches it
SECRET_NAMES = ("postgres", "valkey")


class StateDirectoryInUse(RuntimeError):
    """Another process holds the state directory."""


class StateDirectoryUnusable(RuntimeError):
    """The state directory cannot hold what it must."""


class StateDirectory:
    """One directory, held by one process at a time.

    `lock` (with the holder's pid), `secrets.json`, `logs/`, and `data/`, which is a link into
    `/var/lib` where the servers' account cannot reach the directory itself.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.logs = self.path / "logs"
        self._lock: IO[str] | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the directory."""
        return self._lock is not None

    def acquire(self) -> None:
        """Hold the directory, making what is missing in it.

        Raises `StateDirectoryInUse`, `StateDirectoryUnusable`.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as fault:
            raise StateDirectoryUnusable(
                f"cannot write to {self.path} ({fault.strerror}); choose another with --state-dir"
            ) from fault
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise self._refusal(_pid_in(self.path / "lock")) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def refuse_if_held(self) -> None:
        """Raises `StateDirectoryInUse` when someone holds the directory, as `acquire` would."""
        pid = holder(self.path)
        if pid is not None:
            raise self._refusal(pid)

    def release(self) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def data(self) -> Path:
        """The folder of the servers' files, which belongs to their account (see `account`)."""
        link = self.path / "data"
        if not link.exists():
            link.unlink(missing_ok=True)  # a link whose target was removed
            self._make_data(link)
        folder = link.resolve()
        self.account().take(folder, 0o700)
        return folder

    def account(self) -> Account:
        """The account that the servers run as."""
        return server_account(self.path / "data")

    def sockets(self) -> Path:
        """A private folder for sockets, short enough for their addresses."""
        account = self.account()
        name = f"unroll-{account.uid}-{hashlib.sha256(bytes(self.path)).hexdigest()[:10]}"
        for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 -- made private below
            folder = parent / name
            if len(bytes(folder / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_BYTES and account.reaches(
                parent
            ):
                return _make_private(folder, account)
        raise StateDirectoryUnusable("neither TMPDIR nor /tmp can hold sockets; set TMPDIR=/tmp")

    def secret(self, name: str) -> str:
        """The password of one server, made at the first asking."""
        file = self.path / "secrets.json"
        if not file.exists():
            write_private(file, {name: secrets.token_urlsafe(24) for name in SECRET_NAMES})
        return str(json.loads(file.read_text())[name])

    def _refusal(self, pid: int | None) -> StateDirectoryInUse:
        return StateDirectoryInUse(
            f"{self.path} is in use by process {pid}; stop it with "
            f"`unroll down --state-dir {self.path}` or choose another with --state-dir"
        )

    def _make_data(self, link: Path) -> None:
        account = self.account()
        if account.reaches(self.path):
            link.mkdir()
            account.take(link, 0o700)
            return
        elsewhere = Path(tempfile.mkdtemp(prefix="unroll-", dir=SYSTEM_STATE))
        account.take(elsewhere, 0o700)
        link.symlink_to(elsewhere)


def write_private(path: Path, value: object) -> None:
    """Replace `path` by `value` as JSON, at once and readable by its owner alone."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp: mode 0600
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file, indent=2)
    os.replace(draft, path)


def holder(state_dir: str | Path) -> int | None:
    """The pid of the process that holds the directory; None when nobody does."""
    path = Path(state_dir).absolute() / "lock"
    try:
        lock = path.open()
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(path)
    return None


def _pid_in(lock: Path) -> int | None:
    text = lock.read_text().strip()
    return int(text) if text else None


def _make_private(folder: Path, account: Account) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), account.uid):
        raise StateDirectoryUnusable(f"{folder} belongs to someone else; remove it or set TMPDIR")
    account.take(folder, 0o700)
    return folder
