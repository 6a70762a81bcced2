"""The supervisor of everything on one machine: with stand-ins for what it runs, then with the real."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from services.embedded import restarts
from services.embedded.ports import AddressUnusable, PortInUse
from services.embedded.process import ChildFailed
from services.embedded.record import Record, read_record
from services.embedded.state import StateDirectoryInUse, holder
from services.standalone import (
    Commands,
    KeepsEnding,
    NothingRunning,
    Standalone,
    StandaloneOptions,
    commands_for,
    down,
)
from tests.servers import free_port, is_alive, proc_file, processes, state_directory, wait_for

STAND_IN = str(Path(__file__).with_name("stand_in.py"))
RUN = """
import json, sys
from pathlib import Path
from services import standalone
from services.embedded.process import Ending
from services.standalone import Standalone, StandaloneOptions

standalone.WORKER_ENDING = Ending(grace_s=600)  # no test is to go on because time was up
path, port, inference_port, commands = sys.argv[1:]
options = StandaloneOptions(Path(path), port=int(port), inference_port=int(inference_port), durable=False)
Standalone(options, commands=json.loads(commands)).run(lambda _: print("ready", flush=True))
print("stopped", flush=True)
"""


@pytest.fixture
def options() -> Iterator[StandaloneOptions]:
    with state_directory() as path:
        yield StandaloneOptions(path, port=free_port(), inference_port=free_port(), durable=False)


def role(name: str, *arguments: object) -> list[str]:
    return [sys.executable, STAND_IN, name, *map(str, arguments)]


def stand_ins(options: StandaloneOptions, **changes: list[str]) -> Commands:
    commands = {
        "migrate": role("touch", options.state_dir / "migrated"),
        "api": role("serve", options.port),
        "inference": role("serve", options.inference_port),
        "worker": role("wait"),
    }
    return commands | changes


@contextmanager
def run_apart(options: StandaloneOptions, commands: Commands) -> "Iterator[subprocess.Popen[str]]":
    """A supervisor in a process of its own, ready; killed if the test leaves it running."""
    ports = (str(options.port), str(options.inference_port))
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(options.state_dir), *ports, json.dumps(commands)],
        stdout=subprocess.PIPE,
        text=True,
    ) as supervisor:
        try:
            assert supervisor.stdout is not None
            assert supervisor.stdout.readline() == "ready\n"
            yield supervisor
        finally:
            supervisor.kill()


def record_of(options: StandaloneOptions) -> Record:
    record = read_record(options.state_dir)
    assert record is not None
    return record


def none_alive(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`."""
    children: dict[int, list[int]] = {}
    for one in processes():
        state, parent, *_ = proc_file(one, "stat").rpartition(")")[2].split() or ("Z", "0")
        if state != "Z":
            children.setdefault(int(parent), []).append(one)
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def real_processes(options: StandaloneOptions) -> list[int]:
    """Every process below the supervisor, once the worker has forked the one that trains."""
    record = record_of(options)
    assert wait_for(lambda: descendants(record.processes["worker-1"]) != [])
    return descendants(record.pid)


def test_everything_comes_up_and_the_record_says_where(options: StandaloneOptions) -> None:
    with Standalone(replace(options, workers=2), commands=stand_ins(options)) as standalone:
        record = record_of(options)

        names = {"postgres", "valkey", "api", "inference", "worker-1", "worker-2"}
        assert set(record.processes) == names
        assert all(is_alive(pid) for pid in record.processes.values())
        assert record.pid == os.getpid()
        assert record.api_url == standalone.api_url == f"http://127.0.0.1:{options.port}"
        assert record.inference_url == f"http://127.0.0.1:{options.inference_port}"
        assert record.ports == {"api": options.port, "inference": options.inference_port}
        assert record.redis_url == standalone.servers.redis_url
    assert read_record(options.state_dir) is None


def test_the_record_is_for_its_owner_alone(options: StandaloneOptions) -> None:
    with Standalone(options, commands=stand_ins(options)):
        mode = (options.state_dir / "unroll.json").stat().st_mode

        assert stat.S_IMODE(mode) == 0o600


def test_processes_are_given_the_embedded_servers(options: StandaloneOptions) -> None:
    with Standalone(options, commands=stand_ins(options)) as standalone:
        answers = [httpx.get(url).text for url in (standalone.api_url, standalone.inference_url)]

        servers = f"{standalone.servers.database_url}\n{standalone.servers.redis_url}"
        assert answers == [servers, servers]


def test_servers_of_the_operator_are_used_and_not_started(
    options: StandaloneOptions, database_url: str, redis_url: str
) -> None:
    with Standalone(options, commands=stand_ins(options)) as standalone:
        assert set(record_of(options).processes) == {"api", "inference", "worker-1"}
        assert httpx.get(standalone.api_url).text == f"{database_url}\n{redis_url}"


def test_one_server_of_the_operator_leaves_the_other_embedded(
    options: StandaloneOptions, redis_url: str
) -> None:
    with Standalone(options, commands=stand_ins(options)) as standalone:
        processes = record_of(options).processes

        assert "postgres" in processes
        assert "valkey" not in processes
        assert httpx.get(standalone.api_url).text.endswith(redis_url)


def test_services_start_after_the_migrations_and_not_when_these_fail(
    options: StandaloneOptions,
) -> None:
    commands = stand_ins(options, migrate=role("fail", "no such revision"))

    with pytest.raises(
        ChildFailed, match=r"(?s)migrate ended with exit code 3; .*no such revision"
    ):
        Standalone(options, commands=commands).start()
    assert holder(options.state_dir) is None
    assert not (options.state_dir / "logs" / "api.log").exists()


@pytest.mark.parametrize("kind", ["api", "inference", "worker"])
def test_a_process_that_ends_early_stops_everything_and_shows_its_log(
    options: StandaloneOptions, kind: str
) -> None:
    never_ready = {"api": role("wait"), "inference": role("wait")}
    commands = stand_ins(options, **(never_ready | {kind: role("fail", "a missing library")}))
    standalone = Standalone(options, commands=commands)

    with pytest.raises(
        ChildFailed, match=rf"(?s){kind}.* exit code 3; .*\.log:\na missing library"
    ):
        standalone.start()
    assert not standalone.servers.running
    assert not standalone.services
    assert holder(options.state_dir) is None
    assert read_record(options.state_dir) is None


def test_a_second_supervisor_is_refused_and_leaves_the_first_alone(
    options: StandaloneOptions,
) -> None:
    with Standalone(options, commands=stand_ins(options)):
        with pytest.raises(StateDirectoryInUse, match="unroll down"):
            Standalone(options, commands=stand_ins(options)).run()

        assert record_of(options).pid == os.getpid()


@pytest.mark.parametrize("option", ["--port", "--inference-port"])
def test_a_taken_port_is_named_with_the_option_that_changes_it(
    options: StandaloneOptions, option: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        field = option.removeprefix("--").replace("-", "_")

        with pytest.raises(PortInUse, match=f"port {taken} on 127.0.0.1 is taken; .* {option}$"):
            Standalone(replace(options, **{field: taken})).start()
    assert holder(options.state_dir) is None


def test_one_port_cannot_serve_twice(options: StandaloneOptions) -> None:
    with pytest.raises(PortInUse, match="--inference-port"):
        Standalone(replace(options, inference_port=options.port)).start()


def test_a_host_that_is_not_ours_is_refused_with_the_option(options: StandaloneOptions) -> None:
    with pytest.raises(AddressUnusable, match=r"192\.0\.2\.1.*--host"):
        Standalone(replace(options, host="192.0.2.1")).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_stops_everything(options: StandaloneOptions, number: signal.Signals) -> None:
    helper = options.state_dir / "helper.pid"
    commands = stand_ins(options, worker=role("wait_with_a_child", helper))
    with run_apart(options, commands) as supervisor:
        assert wait_for(lambda: helper.exists() and helper.read_text() != "")
        pids = [*record_of(options).processes.values(), int(helper.read_text())]

        supervisor.send_signal(number)
        output, _ = supervisor.communicate(timeout=60)

    assert supervisor.returncode == 0
    assert output.endswith("stopped\n")
    assert none_alive(pids)
    assert not (options.state_dir / "unroll.json").exists()
    assert holder(options.state_dir) is None


def test_a_second_stop_signal_does_not_wait_for_a_worker(options: StandaloneOptions) -> None:
    commands = stand_ins(options, worker=role("ignore_sigterm"))
    with run_apart(options, commands) as supervisor:
        pids = list(record_of(options).processes.values())
        supervisor.send_signal(signal.SIGTERM)
        assert wait_for(lambda: not (options.state_dir / "unroll.json").exists())

        supervisor.send_signal(signal.SIGTERM)

        assert supervisor.wait(timeout=60) == 0
    assert none_alive(pids)


def test_a_killed_supervisor_leaves_no_process(options: StandaloneOptions) -> None:
    with run_apart(options, stand_ins(options)) as supervisor:
        pids = list(record_of(options).processes.values())
        assert len(pids) == 5
        supervisor.kill()

    assert wait_for(lambda: none_alive(pids))
    assert read_record(options.state_dir) is None


@pytest.mark.parametrize("name", ["api", "worker-1", "postgres", "valkey"])
def test_a_process_that_dies_is_started_again(options: StandaloneOptions, name: str) -> None:
    def replaced() -> bool:
        record = read_record(options.state_dir)
        return record is not None and record.processes[name] != old

    with run_apart(options, stand_ins(options)):
        old = record_of(options).processes[name]
        os.kill(old, signal.SIGKILL)

        assert wait_for(replaced)
        assert is_alive(record_of(options).processes[name])


def test_a_process_that_keeps_ending_ends_everything_with_its_log(
    options: StandaloneOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = options.state_dir / "marker"
    commands = stand_ins(options, worker=role("wait_unless", marker))
    monkeypatch.setattr(restarts, "FIRST_PAUSE_S", 0.01)
    with Standalone(options, commands=commands) as standalone:
        marker.touch()
        standalone.workers[0].kill()

        with pytest.raises(KeepsEnding, match=r"(?s)5 restarts .* worker-1 .*the marker is there"):
            standalone.watch()


def test_down_stops_the_supervisor_and_returns_when_nothing_is_left(
    options: StandaloneOptions,
) -> None:
    with run_apart(options, stand_ins(options)) as supervisor:
        pids = [supervisor.pid, *record_of(options).processes.values()]

        down(options.state_dir)

        assert none_alive(pids)
    assert supervisor.returncode == 0


def test_down_says_when_nothing_runs(options: StandaloneOptions) -> None:
    with pytest.raises(
        NothingRunning, match=rf"nothing runs on {options.state_dir}; .*--state-dir"
    ):
        down(options.state_dir)


def test_down_is_not_fooled_by_what_a_killed_supervisor_left(options: StandaloneOptions) -> None:
    with run_apart(options, stand_ins(options)) as supervisor:
        supervisor.kill()

    with pytest.raises(NothingRunning):
        down(options.state_dir)


def test_the_real_services_and_worker_come_up(stack: Standalone) -> None:
    answers = [httpx.get(f"{url}/readyz") for url in (stack.api_url, stack.inference_url)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(child.exit_code is None for child in (*stack.services, *stack.workers))


def test_a_killed_supervisor_leaves_nothing_of_the_real_processes(
    options: StandaloneOptions,
) -> None:
    with run_apart(options, commands_for(options)) as supervisor:
        pids = real_processes(options)
        assert set(record_of(options).processes.values()) <= set(pids)
        supervisor.kill()

    assert wait_for(lambda: none_alive(pids))


def test_a_stop_leaves_nothing_of_the_real_processes(options: StandaloneOptions) -> None:
    with run_apart(options, commands_for(options)) as supervisor:
        pids = real_processes(options)
        supervisor.terminate()

        assert supervisor.wait(timeout=60) == 0
    assert none_alive(pids)
