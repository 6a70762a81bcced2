"""`python -m workers.rank FOLDER`: one of several processes that train one job together.

The first one owns the job as a single process would. The others read the same data and the same
checkpoint, take the same steps on their own rows, and write nothing.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from sqlalchemy.exc import InterfaceError, OperationalError
from structlog.contextvars import bind_contextvars

from shared.config import get_settings
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.jobs.errors import LeaseLost
from shared.jobs.spec import JobSpec
from shared.logging import configure_logging, get_logger
from workers.drain import watch
from workers.faults import explain
from workers.lease import Heart, Lease, StopAsked
from workers.orphans import die_with_parent
from workers.plan import make_plan
from workers.ranks_folder import ABANDONED, FAULTY, RanksFolder, RanksOrder
from workers.runner import Attempt, load_table
from workers.saver import load_latest
from workers.threads import threads_for
from workers.training.loop import fit
from workers.training.ranks import Ranks
from workers.training.state import own_parts
from workers.training.team import Dismissed

log = get_logger(__name__)


def main(folder: RanksFolder, order: RanksOrder) -> int:
    """Train as one of several; the exit code, which is 0 only where the job was settled."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    ids = {"request_id": order.request_id, "job_id": order.job_id, "attempt": order.attempt}
    bind_contextvars(**ids, rank=rank)
    try:
        device = torch.device(order.device, rank) if order.device == "cuda" else torch.device("cpu")
        if order.device == "cuda":
            torch.cuda.set_device(device)
        team = Ranks(rank, size, device, str(folder.store))
        (_follow if rank else _lead)(order, team)
    except (LeaseLost, OperationalError, InterfaceError) as error:
        log.warning("attempt abandoned", error=str(error))
        return ABANDONED
    except Exception as error:
        folder.report(rank, explain(error, order.estimated_bytes))
        return FAULTY
    return 0


def _lead(order: RanksOrder, team: Ranks) -> None:
    lease = Lease(order.job_id, order.attempt, order.lease_s)
    lease.renew()  # the lease counts from before this process began
    heart = Heart(order.worker, order.worker_device, order.num_gpus)
    heart.start()
    with heart.holding(lease):
        with transaction() as db:
            job = JobStore(db).get(order.job_id)
        try:
            Attempt(job, lease, team.device, team).run()
        except StopAsked as asked:
            lease.stop(asked)
    heart.stopped.set()  # without signing off: the worker goes on


def _follow(order: RanksOrder, team: Ranks) -> None:
    with transaction() as db:
        job = JobStore(db).get(order.job_id)
        spec = JobSpec.model_validate(job.spec)
        table = load_table(db, job, spec)
    torch.set_num_threads(threads_for(spec))
    plan = make_plan(spec, table, team.device)
    training = plan.training
    training.team = team
    team.parts = lambda: own_parts(training)
    team.seed(spec.training.seed)
    if order.attempt > 1:
        with transaction() as db:
            load_latest(db, job.id, plan)
    team.begin(training.network)
    try:
        for _ in fit(training, spec.training.max_steps):
            pass
        team.next_step(0.0)  # the first one may still save
    except Dismissed:
        log.debug("dismissed")


if __name__ == "__main__":
    ranks_folder = RanksFolder(Path(sys.argv[1]))
    ranks_order = ranks_folder.order()
    die_with_parent(ranks_order.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the worker decides what follows
    settings = get_settings()
    configure_logging(settings.log_level, as_json=settings.log_json)
    watch(ranks_folder.draining)
    code = main(ranks_folder, ranks_order)
    sys.stdout.flush()
    os._exit(code)  # no farewell to the other processes, which may be gone
