"""Which account the servers run as and what that account can reach; knows no server."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

UNPRIVILEGED_ACCOUNTS = (
    "postgres",
    "nobody",
)  # Postgres refuses root; the first that exists serves


class NoServerAccount(RuntimeError):
    """Root has no unprivileged account to start Postgres under."""


@dataclass(frozen=True)
class Account:
    """A user and group id."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def reaches(self, directory: Path) -> bool:
        """Whether every folder down to `directory` lets this account through, by mode bits."""
        if self.is_ours:
            return True
        resolved = directory.resolve()
        return all(
            self._passes(folder.stat())
            for folder in (resolved, *resolved.parents)
            if folder.exists()
        )

    def take(self, path: Path, mode: int) -> None:
        """Make `path` this account's own, with exactly these mode bits."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid)
        path.chmod(mode)

    def _passes(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account(data: Path) -> Account:
    """The account for servers whose files lie in `data`: ours, or for root an unprivileged one.

    Raises `NoServerAccount` when root finds none.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise NoServerAccount(
        f"Postgres cannot run as root and none of {', '.join(UNPRIVILEGED_ACCOUNTS)} exists; "
        "create one (`useradd --system postgres`) or run as an ordinary user"
    )
