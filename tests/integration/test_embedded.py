"""The embedded servers: real Postgres and Valkey, as root and as an ordinary user."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from services.embedded import binaries
from services.embedded.accounts import Account
from services.embedded.process import end_stale
from services.embedded.servers import Servers, erase
from services.embedded.state import (
    StateDirectory,
    StateDirectoryInUse,
    StateDirectoryUnusable,
    holder,
)
from tests.servers import is_alive, is_root, libpq_url, state_directory, wait_for

ROOT = Path(__file__).parents[2]
START_AND_WAIT = """
import asyncio, sys
sys.modules.setdefault("async_timeout", asyncio)  # what redis-py takes it for before Python 3.11.3
from services.embedded.servers import Servers, erase
with Servers(sys.argv[1]) as servers:
    print(servers.postgres.pid, servers.valkey.pid, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with state_directory() as path:
        yield path


def execute(servers: Servers, statement: str) -> None:
    with psycopg.connect(libpq_url(servers.database_url)) as connection:
        connection.execute(statement)


def fetch(servers: Servers, query: str) -> object:
    with psycopg.connect(libpq_url(servers.database_url)) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def valkey(servers: Servers) -> redis.Redis:
    return redis.Redis.from_url(servers.redis_url, decode_responses=True)


def python_for(account: str) -> str | None:
    """An interpreter that `account` may execute: ours lies closed in some homes."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for program in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run([program, "-c", ""], user=account, check=True, cwd="/")
        except OSError:
            continue
        return program
    return None


PYTHONS: dict[str | None, str] = {None: sys.executable}  # by account; None = the one we run as
if is_root() and (_program := python_for("nobody")):
    PYTHONS["nobody"] = _program


def start_apart(state_dir: Path, account: str | None = None) -> "subprocess.Popen[str]":
    """A supervisor of its own that runs the servers until its stdin ends."""
    packages = os.pathsep.join(
        [str(ROOT), *(path for path in sys.path if path.endswith("-packages"))]
    )
    return subprocess.Popen(
        [PYTHONS[account], "-c", START_AND_WAIT, str(state_dir)],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"},
        user=account,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def pids_of(supervisor: "subprocess.Popen[str]") -> list[int]:
    assert supervisor.stdout is not None
    return [int(pid) for pid in supervisor.stdout.readline().split()]


def test_both_servers_answer_at_their_urls(servers: Servers) -> None:
    assert fetch(servers, "SELECT 1") == 1
    assert valkey(servers).ping()


def test_postgres_keeps_checksums_and_has_room_for_many_connections(servers: Servers) -> None:
    assert fetch(servers, "SHOW data_checksums") == "on"
    assert fetch(servers, "SHOW max_connections") == "200"


def test_a_wrong_password_opens_neither_server(servers: Servers) -> None:
    password = servers.state.secret("postgres")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(libpq_url(servers.database_url).replace(password, "guess"))
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(
            servers.redis_url.replace(servers.state.secret("valkey"), "guess")
        ).ping()


def test_the_secrets_are_for_their_owner_alone(servers: Servers) -> None:
    mode = (servers.state.path / "secrets.json").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_the_sockets_lie_in_a_short_private_folder(servers: Servers) -> None:
    folder = servers.state.sockets()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(len(bytes(socket)) < 104 for socket in folder.iterdir())
    assert {"valkey.sock", ".s.PGSQL.5432"} <= {socket.name for socket in folder.iterdir()}


def test_nothing_listens_on_tcp(servers: Servers) -> None:
    assert fetch(servers, "SHOW listen_addresses") == ""
    assert valkey(servers).config_get("port") == {"port": "0"}


def test_a_root_supervisor_runs_both_servers_unprivileged(servers: Servers) -> None:
    owners = {os.stat(f"/proc/{server.pid}").st_uid for server in servers.running}

    assert owners == {servers.state.account().uid}
    assert 0 not in owners


def test_a_second_start_on_a_state_directory_is_refused_with_the_remedy(servers: Servers) -> None:
    with pytest.raises(StateDirectoryInUse) as refusal:
        Servers(servers.state.path).start()

    assert str(servers.state.path) in str(refusal.value)
    assert f"process {os.getpid()}" in str(refusal.value)
    assert "unroll down" in str(refusal.value)
    assert "--state-dir" in str(refusal.value)
    assert valkey(servers).ping()


def test_a_state_directory_that_cannot_be_made_is_refused_with_the_remedy(state_dir: Path) -> None:
    (state_dir / "file").touch()

    with pytest.raises(StateDirectoryUnusable, match="--state-dir"):
        Servers(state_dir / "file" / "state").start()


def test_the_holder_of_a_state_directory_is_known_while_it_runs(state_dir: Path) -> None:
    state = StateDirectory(state_dir)

    assert holder(state_dir) is None
    state.acquire()
    assert holder(state_dir) == os.getpid()
    state.release()
    assert holder(state_dir) is None


def test_a_warm_start_keeps_rows_keys_and_urls(state_dir: Path) -> None:
    with Servers(state_dir) as first:
        execute(first, "CREATE TABLE kept AS SELECT 7 AS value")
        valkey(first).set("kept", "seven")
        urls = (first.database_url, first.redis_url)

    with Servers(state_dir) as second:
        assert (second.database_url, second.redis_url) == urls
        assert fetch(second, "SELECT value FROM kept") == 7
        assert valkey(second).get("kept") == "seven"


def test_rows_survive_a_kill_of_postgres(state_dir: Path) -> None:
    with Servers(state_dir) as servers:
        execute(servers, "CREATE TABLE kept AS SELECT 7 AS value")
        assert servers.postgres is not None
        os.kill(servers.postgres.pid, signal.SIGKILL)

        servers.restart_postgres()

        assert fetch(servers, "SELECT value FROM kept") == 7


def test_valkey_starts_again_after_a_kill(state_dir: Path) -> None:
    with Servers(state_dir, postgres=False) as servers:
        assert servers.valkey is not None
        os.kill(servers.valkey.pid, signal.SIGKILL)

        servers.restart_valkey()

        assert valkey(servers).ping()


def test_stopping_leaves_no_process_and_no_socket(state_dir: Path) -> None:
    with Servers(state_dir, durable=False) as servers:
        pids = [server.pid for server in servers.running]
        sockets = servers.state.sockets()

    assert not any(is_alive(pid) for pid in pids)
    assert not sockets.exists()


def test_servers_can_be_wanted_one_by_one(state_dir: Path) -> None:
    with Servers(state_dir, postgres=False) as servers:
        assert [server.name for server in servers.running] == ["valkey"]


def test_a_killed_supervisor_leaves_no_server_and_its_directory_free(state_dir: Path) -> None:
    with start_apart(state_dir) as supervisor:
        pids = pids_of(supervisor)
        assert len(pids) == 2
        supervisor.kill()

    assert wait_for(lambda: not any(is_alive(pid) for pid in pids))
    with Servers(state_dir) as servers:
        assert fetch(servers, "SELECT 1") == 1


def test_servers_start_on_what_a_supervisor_killed_a_moment_ago_left(state_dir: Path) -> None:
    with start_apart(state_dir) as supervisor:
        pids_of(supervisor)
        supervisor.kill()

    with Servers(state_dir) as servers:
        assert fetch(servers, "SELECT 1") == 1
        assert valkey(servers).ping()


def test_an_interrupted_setup_is_made_anew(state_dir: Path) -> None:
    with Servers(state_dir, postgres=False) as servers:
        draft = servers.state.data() / "postgres.draft-interrupted"
        draft.mkdir()
        (draft / "PG_VERSION").write_text("18")

    with Servers(state_dir, valkey=False) as servers:
        assert fetch(servers, "SELECT 1") == 1
    assert not draft.exists()


def test_servers_run_in_a_directory_that_is_closed_to_their_account(state_dir: Path) -> None:
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700)
    with Servers(closed / "state") as servers:
        execute(servers, "CREATE TABLE kept AS SELECT 7 AS value")
        data = servers.state.data()

    with Servers(closed / "state") as servers:
        assert fetch(servers, "SELECT value FROM kept") == 7
    erase(closed / "state")
    assert not data.exists()


def test_a_state_directory_may_have_any_name(state_dir: Path) -> None:
    with Servers(state_dir / 'two wörds, "quoted" %20', durable=False) as servers:
        assert fetch(servers, "SELECT 1") == 1
        assert valkey(servers).ping()


def test_binaries_out_of_reach_are_run_from_a_copy(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Outsider(Account):
        def reaches(self, directory: Path) -> bool:
            return False

    monkeypatch.setattr(binaries, "SYSTEM_STATE", state_dir)
    outsider = Outsider(os.geteuid(), os.getegid())
    postgres = binaries.postgres_programs(outsider) / "postgres"
    valkey = binaries.valkey_server(outsider)

    assert state_dir in postgres.parents
    assert state_dir in valkey.parents
    assert b"18." in subprocess.check_output([postgres, "--version"])
    assert b"v=9." in subprocess.check_output([valkey, "--version"])
    assert binaries.valkey_server(outsider) == valkey
    assert len(list(state_dir.iterdir())) == 2


def test_a_process_that_merely_reuses_a_stale_pid_is_left_alone(state_dir: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as bystander:
        pid_file = state_dir / "postmaster.pid"
        pid_file.write_text(f"{bystander.pid}\n")

        end_stale(pid_file, state_dir, signal.SIGKILL, timeout_s=5)

        assert bystander.poll() is None
        bystander.kill()


def test_a_server_that_cannot_start_is_reported_with_the_end_of_its_log(state_dir: Path) -> None:
    with Servers(state_dir, valkey=False) as servers:
        version = servers.state.data() / "postgres" / "PG_VERSION"
    version.write_text("9\n")

    with pytest.raises(
        RuntimeError, match=r"(?s)postgres ended with exit code 1; .*postgres\.log.*not compatible"
    ):
        Servers(state_dir, valkey=False).start()
    assert holder(state_dir) is None


def test_erasing_removes_the_directory_and_its_data(state_dir: Path) -> None:
    path = state_dir / "state"
    with Servers(path, durable=False, postgres=False) as servers:
        data = servers.state.data()

    erase(path)

    assert not path.exists()
    assert not data.exists()


@pytest.mark.parametrize("account", PYTHONS)
def test_an_ordinary_user_runs_both_servers_under_the_same_account(account: str | None) -> None:
    path = Path(tempfile.mkdtemp(prefix="unroll-tests-"))
    if account:
        shutil.chown(path, account)
    with start_apart(path, account) as supervisor:
        owners = {os.stat(f"/proc/{pid}").st_uid for pid in pids_of(supervisor)}
        supervisor.communicate("stop\n")

    assert supervisor.returncode == 0
    assert owners == {path.stat().st_uid} if account else 0 not in owners
    erase(path)
