"""Whose fault it is when one of several processes fails, and what a worker without enough GPUs says."""

import os
import signal
from pathlib import Path

import pytest
import torch

from shared.jobs.errors import ErrorClass, JobError
from workers.drain import is_draining, watch
from workers.launch import RankDied, _reason
from workers.plan import JobFailed, choose_device
from workers.ranks_folder import ABANDONED, FAULTY, RanksFolder, RanksOrder


def test_an_order_is_read_as_it_was_given(tmp_path: Path) -> None:
    order = RanksOrder("job_1", 2, 30.0, "cpu", "host-1.1", "cpu", 0, 2**20, None, 7)

    RanksFolder(tmp_path).give(order)

    assert RanksFolder(tmp_path).order() == order


def test_the_fault_of_the_job_is_blamed_before_what_followed_from_it(tmp_path: Path) -> None:
    folder = RanksFolder(tmp_path)
    memory = JobError("out_of_memory", ErrorClass.RESOURCE, "too large")
    folder.report(0, JobError("unexpected", ErrorClass.INFRA, "connection closed by peer"))
    folder.report(1, memory)

    assert folder.fault() == memory


UNEXPECTED = JobError("unexpected", ErrorClass.INFRA, "KeyError: 'x'")
GONE = JobError("unexpected", ErrorClass.INFRA, "connection closed by peer")


@pytest.mark.parametrize("others", [FAULTY, -signal.SIGTERM])
def test_a_fault_that_was_told_is_told_on_and_the_first_one_is_it(
    tmp_path: Path, others: int
) -> None:
    folder = RanksFolder(tmp_path)
    folder.report(1, UNEXPECTED)
    folder.report(0, GONE)
    for age_s, rank in enumerate((0, 1)):
        os.utime(tmp_path / f"fault-{rank}.json", (1000 - age_s, 1000 - age_s))

    reason = _reason({0: others, 1: FAULTY}, folder)

    assert isinstance(reason, JobFailed)
    assert reason.error == UNEXPECTED


@pytest.mark.parametrize("code", [-signal.SIGKILL, 1, ABANDONED])
def test_a_process_that_ended_without_a_word_is_lost_whatever_the_others_say(
    tmp_path: Path, code: int
) -> None:
    folder = RanksFolder(tmp_path)
    folder.report(0, GONE)

    assert isinstance(_reason({0: FAULTY, 1: code}, folder), RankDied)


def test_without_a_report_nobody_is_blamed(tmp_path: Path) -> None:
    folder = RanksFolder(tmp_path)

    assert folder.fault() is None
    assert isinstance(_reason({0: -signal.SIGTERM}, folder), RankDied)


def test_a_process_stops_as_well_once_its_file_is_there(tmp_path: Path) -> None:
    file = tmp_path / "draining"
    watch(file)

    assert not is_draining()
    file.touch()
    assert is_draining()
    file.unlink()


@pytest.mark.parametrize(("wanted", "found"), [("cuda", 1), ("auto", 3)])
def test_a_worker_with_fewer_gpus_than_asked_for_says_what_to_change(
    monkeypatch: pytest.MonkeyPatch, wanted: str, found: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)

    with pytest.raises(JobFailed) as caught:
        choose_device(wanted, 4)

    error = caught.value.error
    assert (error.code, error.cls) == ("too_few_gpus", ErrorClass.RESOURCE)
    assert f"asks for 4 GPUs and this worker has {found}" in error.message
    assert choose_device("cpu", 4).type == "cpu"
    assert choose_device(wanted, found).type == "cuda"
