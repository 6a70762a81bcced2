"""The command and the client against real processes: what a newcomer types, and what a script does."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from services.client.client import Conflict, UnrollClient
from services.embedded.record import Record, read_record
from services.embedded.state import holder
from services.standalone import NothingRunning, Standalone, down
from tests.servers import is_alive, state_directory, wait_for

COMMAND = [sys.executable, "-m", "services.client.cli"]
SMALL = ("--cell", "gru", "--hidden-size", "8", "--epochs", "2")
ENDLESS = ("--cell", "elman", "--hidden-size", "8", "--epochs", "100000")
DEMO_S = 240
Done = subprocess.CompletedProcess[str]
Unroll = Callable[..., Done]


@pytest.fixture
def unroll(stack: Standalone, tmp_path: Path) -> Unroll:
    """Runs a command line in an empty folder, against the stack."""

    def run(*arguments: str, text: str | None = None) -> Done:
        return subprocess.run(
            [*COMMAND, *arguments],
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment(UNROLL_API_URL=stack.api_url, UNROLL_INFERENCE_URL=stack.inference_url),
        )

    return run


@pytest.fixture
def client(stack: Standalone) -> Iterator[UnrollClient]:
    with UnrollClient(stack.api_url, inference_url=stack.inference_url) as open_client:
        yield open_client


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A state directory on which nothing runs afterwards."""
    with state_directory() as path:
        yield path
        with suppress(NothingRunning):
            down(path)


def environment(**ours: str) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("UNROLL_")}
    return inherited | ours


def words(folder: Path) -> Path:
    """A small dataset that any network can learn."""
    path = folder / "words.jsonl"
    pairs = [("good", "up"), ("great", "up"), ("bad", "down"), ("awful", "down")] * 15
    path.write_text("".join(json.dumps({"input": x, "target": y}) + "\n" for x, y in pairs))
    return path


def demo(state_dir: Path, *arguments: str) -> Done:
    return subprocess.run(
        [*COMMAND, "demo", "--state-dir", str(state_dir), *arguments],
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        check=False,
        env=environment(),
    )


def processes_of(record: Record) -> list[int]:
    return [record.pid, *record.processes.values()]


def test_from_a_file_to_a_prediction(unroll: Unroll, tmp_path: Path) -> None:
    uploaded = unroll("datasets", "upload", str(words(tmp_path)), "--name", "cli-words")
    trained = unroll(
        *("submit", "--dataset", "cli-words", "--name", "cli-words", *SMALL),
        *("--watch", "--exit-status"),
    )
    asked = unroll("predict", "cli-words", "good", "awful", "--json")

    assert uploaded.returncode == 0, uploaded.stderr
    assert uploaded.stdout.startswith("ds_")
    assert trained.returncode == 0, trained.stderr
    lines = trained.stdout.splitlines()
    assert lines[0].startswith("job_")
    assert {"queued", "succeeded", "status\tsucceeded", "model\tcli-words version 1"} <= set(lines)
    outputs = json.loads(asked.stdout)["outputs"]
    assert [set(output["probabilities"]) for output in outputs] == [{"up", "down"}] * 2
    assert "cli-words\t1\tcli-words\tgru" in unroll("models", "list").stdout
    assert json.loads(unroll("show", lines[0], "--json").stdout)["status"] == "succeeded"


def test_records_of_a_dataset_flow_into_a_model(unroll: Unroll) -> None:
    options = ("--name", "cli-digits", "--max-steps", "5")
    trained = unroll("submit", "--dataset", "digits", *SMALL, *options, "--watch", "--exit-status")
    records = unroll("datasets", "preview", "digits", "--split", "test", "--limit", "5").stdout

    answered = unroll("predict", "cli-digits", text=records)

    assert trained.returncode == 0, trained.stderr
    assert answered.returncode == 0, answered.stderr
    assert len(answered.stdout.splitlines()) == 5


def test_a_running_job_is_listed_watched_and_cancelled(
    unroll: Unroll, client: UnrollClient
) -> None:
    job_id = unroll(
        "submit", "--dataset", "digits", "--name", "cli-endless", *ENDLESS
    ).stdout.strip()
    assert wait_for(lambda: client.job(job_id).status == "running", timeout_s=120)

    listed = unroll("jobs", "--status", "running", "--name", "cli-endless", "--json")
    impatient = unroll("watch", job_id, "--wait-s", "3", "--json")
    cancelled = unroll("cancel", job_id)
    watched = unroll("watch", job_id, "--exit-status")
    again = unroll("cancel", job_id)

    assert [job["id"] for job in json.loads(listed.stdout)["data"]] == [job_id]
    assert impatient.returncode == 7
    types = [json.loads(line)["type"] for line in impatient.stdout.splitlines()]
    assert types[:2] == ["status", "status"]
    assert cancelled.returncode == 0
    assert watched.returncode == 11, watched.stderr
    assert "cancelled" in watched.stdout.splitlines()
    assert again.returncode == 5


def test_a_job_is_paused_resumed_tried_again_after_its_cancellation_and_deleted(
    unroll: Unroll, client: UnrollClient
) -> None:
    job_id = unroll("submit", "--dataset", "digits", "--name", "cli-verbs", *ENDLESS).stdout.strip()

    def stands(status: str, attempt: int) -> bool:
        job = client.job(job_id)
        if (job.status, len(job.attempts)) != (status, attempt):
            return False
        goes_on = attempt == 1 or job.attempts[-1].resumed_from_step is not None
        return status != "running" or (job.progress.step > 0 and goes_on)

    def do(verb: str, then: str, attempt: int) -> Done:
        done = unroll(verb, job_id)
        assert done.returncode == 0, done.stderr
        assert wait_for(lambda: stands(then, attempt), timeout_s=120), client.job(job_id).raw
        return done

    assert wait_for(lambda: stands("running", 1), timeout_s=120)
    do("pause", "paused", 1)
    kept = client.checkpoints(job_id).data[0].step
    unfit = [unroll("retry", job_id), unroll("rm", job_id)]
    resumed = do("resume", "running", 2)
    do("cancel", "cancelled", 2)
    changed = unroll("set", job_id, "--name", "cli-again", "--json")
    do("retry", "running", 3)
    attempts = client.job(job_id).attempts
    do("cancel", "cancelled", 3)
    watched = unroll("watch", job_id, "--exit-status")
    removed, gone = unroll("rm", job_id), unroll("show", job_id)

    assert [done.returncode for done in unfit] == [5, 5]
    assert "only a job that is cancelled or failed can be tried again" in unfit[0].stderr
    assert resumed.stdout.startswith(f"id\t{job_id}\nstatus\t")
    assert json.loads(changed.stdout)["name"] == "cli-again"
    assert attempts[1].resumed_from_step == kept > 0
    assert (attempts[2].resumed_from_step or 0) >= kept
    assert watched.returncode == 11, watched.stderr
    lines = watched.stdout.splitlines()
    assert [
        line for line in lines if line == "paused" or line.startswith(("queued", "cancelled"))
    ] == [
        *("queued", "paused", "queued  resumed by the user"),
        *("cancelled", "queued  tried again by the user", "cancelled"),
    ]
    assert (removed.returncode, removed.stderr) == (0, f"{job_id} is deleted.\n")
    assert gone.returncode == 3


def test_what_the_service_refuses_ends_with_the_code_for_it(unroll: Unroll, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"input": "a", "target": "x"}\n{"input": ""}\nnonsense\n')

    wrong_spec = unroll("submit", "--dataset", "digits", "--cell", "gru", "--epochs", "0")
    wrong_data = unroll("datasets", "upload", str(bad))
    codes = {
        "unknown job": unroll("show", "job_nowhere").returncode,
        "unknown model": unroll("predict", "cli-nowhere", "x").returncode,
        "unknown dataset": unroll("submit", "--dataset", "nowhere", "--cell", "gru").returncode,
    }

    assert wrong_spec.returncode == 6
    assert "training.epochs" in wrong_spec.stderr
    assert wrong_data.returncode == 6
    assert "line 3" in wrong_data.stderr
    assert codes == dict.fromkeys(codes, 3)


def test_every_list_can_be_read_by_a_person_and_a_program(unroll: Unroll) -> None:
    for arguments in (("cells",), ("datasets", "list"), ("models", "list"), ("jobs", "--all")):
        plain, as_json = unroll(*arguments), unroll(*arguments, "--json")

        assert plain.returncode == 0, plain.stderr
        document = json.loads(as_json.stdout)
        assert document["object"] == "list"
        assert len(plain.stdout.splitlines()) == 1 + len(document["data"])


def test_doctor_finds_a_running_stack_well(unroll: Unroll, stack: Standalone) -> None:
    checked = unroll("doctor", "--state-dir", str(stack.options.state_dir), "--json")

    statuses = {check["name"]: check["status"] for check in json.loads(checked.stdout)}
    assert checked.returncode == 0, checked.stdout
    assert statuses == dict.fromkeys(statuses, "ok")


def test_the_same_key_gives_the_same_job(client: UnrollClient) -> None:
    spec = {"dataset": "digits", "network": {"cell": "gru", "hidden_size": 4}, "name": "cli-once"}
    spec |= {"training": {"max_steps": 2}}

    first = client.submit(spec, idempotency_key="cli-once")
    second = client.submit(spec, idempotency_key="cli-once")

    assert first.id == second.id
    with pytest.raises(Conflict):
        client.submit({**spec, "name": "cli-twice"}, idempotency_key="cli-once")
    client.wait(first.id, timeout_s=60)


def test_a_job_tells_its_whole_story_to_the_client(client: UnrollClient, tmp_path: Path) -> None:
    spec = {"dataset": "digits", "network": {"cell": "lstm", "hidden_size": 8}, "name": "cli-story"}
    plan = client.dry_run(spec)
    job = client.submit({**spec, "training": {"epochs": 2}})

    events = list(client.stream(job.id))
    ended = client.wait(job.id, timeout_s=60)

    assert plan.num_parameters == ended.raw["num_parameters"]
    assert [e.data["status"] for e in events if e.type == "status"] == [
        *("queued", "running"),
        "succeeded",
    ]
    ids = [event.id for event in client.events_page(job.id).data]
    assert [event.id for event in events] == ids
    assert [e.id for e in client.stream(job.id, last_event_id=ids[0])] == ids[1:]
    curve = client.metrics(job.id, ["train/loss"], max_points=10).series["train/loss"]
    assert curve.step == sorted(curve.step)
    best = next(kept for kept in client.checkpoints(job.id).data if kept.is_best)
    client.download_checkpoint(best.id, tmp_path / "best.safetensors")
    assert sha256((tmp_path / "best.safetensors").read_bytes()).hexdigest() == best.sha256
    assert ended.model is not None
    assert client.model(ended.model.name).versions[0].job_id == job.id
    client.delete_job(job.id)
    assert job.id not in [found.id for found in client.jobs()]


def test_the_demo_runs_from_nothing_and_leaves_what_it_is_told_to_keep(state_dir: Path) -> None:
    kept = demo(state_dir, "--keep")
    record = read_record(state_dir)
    again = demo(state_dir)

    assert kept.returncode == 0, kept.stderr
    assert record is not None
    assert "Italy (it_IT)" in kept.stdout
    assert "Test accuracy" in kept.stdout
    assert record.api_url in kept.stdout
    assert "unroll down" in kept.stdout
    assert again.returncode == 0, again.stderr
    assert "Using the stack that runs" in again.stderr
    assert all(is_alive(pid) for pid in processes_of(record))
    stopped = subprocess.run(
        [*COMMAND, "down", "--state-dir", str(state_dir)], check=False, env=environment()
    )
    assert stopped.returncode == 0
    assert not any(is_alive(pid) for pid in processes_of(record))


def test_an_interrupted_demo_stops_what_it_started(state_dir: Path) -> None:
    command = [*COMMAND, "demo", "--state-dir", str(state_dir)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment()
    ) as process:
        assert process.stderr is not None
        assert any(line.startswith("Training ") for line in process.stderr)
        record = read_record(state_dir)
        process.send_signal(signal.SIGINT)
        process.stderr.read()

    assert process.returncode == 130
    assert record is not None
    assert not any(is_alive(pid) for pid in processes_of(record))
    assert holder(state_dir) is None
