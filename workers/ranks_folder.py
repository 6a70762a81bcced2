"""What a worker and the processes that train one of its jobs tell each other, as files in a folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.jobs.errors import ErrorClass, JobError

ABANDONED, FAULTY = 3, 4  # exit codes: the job is another's now; why it failed was reported


@dataclass(frozen=True, slots=True)
class RanksOrder:
    """Which attempt at which job, on what."""

    job_id: str
    attempt: int
    lease_s: float
    device: str  # cpu | cuda
    worker: str
    worker_device: str
    num_gpus: int
    estimated_bytes: int
    request_id: str | None  # for the log lines
    parent: int  # pid of the process that starts them


class RanksFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = path / "meeting"  # where the processes find each other
        self.draining = path / "draining"  # is there once the worker has to stop

    def give(self, order: RanksOrder) -> None:
        (self.path / "order.json").write_text(json.dumps(asdict(order)))

    def order(self) -> RanksOrder:
        return RanksOrder(**json.loads((self.path / "order.json").read_text()))

    def report(self, rank: int, error: JobError) -> None:
        """Say why a process failed."""
        whole = self.path / f"fault-{rank}.partial"
        whole.write_text(json.dumps(error.to_json()))
        whole.rename(self.path / f"fault-{rank}.json")

    def fault(self) -> JobError | None:
        """The fault to blame: one of the job rather than of a machine, else the first.

        A process that ends takes the others with it, and what they say is only that it is gone.
        """
        files = sorted(self.path.glob("fault-*.json"), key=lambda file: file.stat().st_mtime_ns)
        found = [json.loads(file.read_text()) for file in files]
        faults = [
            JobError(f["code"], ErrorClass(f["class"]), f["message"], f.get("details", {}))
            for f in found
        ]
        return min(faults, key=lambda fault: fault.cls is ErrorClass.INFRA, default=None)
