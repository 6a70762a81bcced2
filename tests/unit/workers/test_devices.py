"""Which training process gets which devices and how many threads."""

import json
import os
import subprocess
import sys

import pytest

from shared.config import get_settings
from shared.jobs.spec import JobSpec
from workers import threads
from workers.devices import (
    BadDevice,
    count_gpus,
    gpus_for,
    process_environment,
    share_out,
    visible,
)


@pytest.mark.parametrize(
    ("wanted", "gpus"),
    [
        ("auto", [0, 1, 2, 3]),
        ("cuda", [0, 1, 2, 3]),
        ("cpu", []),
        ("cuda:2", [2]),
        ("cuda:3, cuda:1", [3, 1]),
    ],
)
def test_a_wish_for_devices_means_these_gpus(wanted: str, gpus: list[int]) -> None:
    assert gpus_for(wanted, 4) == gpus


@pytest.mark.parametrize(
    ("wanted", "num_gpus", "said"),
    [
        ("cuda", 0, "finds no GPU"),
        ("cuda:2", 2, "finds 2 GPUs"),
        ("cuda:0,cuda:0", 2, "twice"),
        ("gpu", 2, "'gpu' is not auto, cpu, cuda"),
        ("cuda:0,", 2, "is not auto"),
        ("", 2, "is not auto"),
    ],
)
def test_a_wish_that_cannot_be_granted_is_refused(wanted: str, num_gpus: int, said: str) -> None:
    with pytest.raises(BadDevice, match=said):
        gpus_for(wanted, num_gpus)


def test_auto_on_a_machine_without_a_gpu_is_the_cpu() -> None:
    assert gpus_for("auto", 0) == []


@pytest.mark.parametrize(
    ("gpus", "concurrency", "shares"),
    [
        ([], None, [[]]),
        ([], 3, [[], [], []]),
        ([0, 1], None, [[0], [1]]),
        ([0, 1, 2, 3], 1, [[0, 1, 2, 3]]),
        ([0, 1, 2, 3], 2, [[0, 1], [2, 3]]),
        ([4, 5, 6, 7], 3, [[4, 5], [6], [7]]),
    ],
)
def test_gpus_are_shared_out_among_the_processes(
    gpus: list[int], concurrency: int | None, shares: list[list[int]]
) -> None:
    assert share_out(gpus, concurrency) == shares


def test_more_processes_than_gpus_are_refused() -> None:
    with pytest.raises(BadDevice, match="--concurrency 3 is more than the 2 GPUs"):
        share_out([0, 1], 3)


def test_gpus_are_counted_among_those_that_the_operator_left_visible() -> None:
    assert visible([1, 0], None) == "1,0"
    assert visible([1], "5, 7") == "7"
    assert visible([], "5,7") == ""


def test_a_machine_of_tests_has_no_gpu_that_torch_could_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    assert count_gpus() == 0


def test_a_process_is_told_its_devices_its_name_and_its_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("UNROLL_CONCURRENCY", "3")  # as many commands on this machine

    told = process_environment(2, [4], 2, "host-9")

    assert told["CUDA_VISIBLE_DEVICES"] == "4"
    assert told["UNROLL_WORKER_NAME"] == "host-9.2"
    assert told["UNROLL_CONCURRENCY"] == "6"


def test_devices_are_chosen_before_torch_is_imported() -> None:
    code = "import sys, json, workers.__main__; sys.stdout.write(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "torch" not in json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--concurrency", "0"], "--concurrency must be at least 1"),
        (["--device", "tpu"], "'tpu' is not auto, cpu, cuda"),
        (["--device", "cuda:9"], "counted from cuda:0"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workers", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )

    assert done.returncode == 2
    assert said in done.stderr


def large_job(devices: int = 1, batch_size: int = 4096) -> JobSpec:
    spec = JobSpec.model_validate(
        {
            "dataset": "copy",
            "network": {"cell": "lstm", "hidden_size": 64},
            "training": {"batch_size": batch_size},
        }
    )
    resources = spec.resources.model_copy(update={"devices": devices})
    return spec.model_copy(update={"resources": resources})


@pytest.mark.parametrize(
    ("concurrency", "devices", "each"), [(1, 1, 8), (2, 1, 4), (3, 1, 2), (2, 2, 2), (16, 1, 1)]
)
def test_cores_are_shared_out_among_processes_and_devices(
    monkeypatch: pytest.MonkeyPatch, concurrency: int, devices: int, each: int
) -> None:
    monkeypatch.setattr(threads, "num_cores", lambda: 8)
    monkeypatch.setenv("UNROLL_CONCURRENCY", str(concurrency))

    assert threads.threads_for(large_job(devices)) == each


def test_a_small_step_gets_one_thread_whatever_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_cores", lambda: 8)

    assert threads.threads_for(large_job(batch_size=8)) == 1


def test_the_operator_may_fix_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLL_TORCH_THREADS", "3")
    get_settings.cache_clear()

    try:
        assert threads.threads_for(large_job(batch_size=8)) == 3
    finally:
        get_settings.cache_clear()
