"""Thin shells: a name, then one call."""

from shared.queue import TRAIN
from workers.app import Process, app
from workers.runner import run_next


@app.task(name=TRAIN)
def train(job_id: str) -> None:
    """A wake-up: the database chooses which job is next, this one or a more urgent one."""
    run_next(Process.heart)
