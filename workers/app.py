"""The Celery application of one training process. Torch is imported, CUDA never touched here.

A forked child that came from here gets its own database connections, heart and sweeper.
"""

import os
import socket
import threading

import torch
from billiard.util import get_logger as multiprocessing_logger
from celery.signals import (
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_shutting_down,
)

from shared.config import get_settings
from shared.db.engine import reset_engine
from shared.logging import configure_logging, get_logger
from shared.nn.kernels.ready import warm_up
from shared.queue import make_celery
from shared.sweeper import Sweeper
from workers.drain import start_draining
from workers.launch import num_gpus
from workers.lease import Heart
from workers.orphans import die_with_parent
from workers.usage import Usage, gpu_uuids

log = get_logger(__name__)
app = make_celery()
app.conf.imports = ["workers.tasks"]
MAIN_PID = os.getpid()  # of the process that this module is imported in, and that forks the others


class Process:
    """What belongs to one training process."""

    heart: Heart
    sweeper: Sweeper


@setup_logging.connect
def _log_our_way(**_: object) -> None:
    settings = get_settings()
    configure_logging(settings.log_level, as_json=settings.log_json)
    multiprocessing_logger().propagate = True  # else it writes lines of its own form to stderr


@worker_process_init.connect
def _begin(**_: object) -> None:
    die_with_parent(MAIN_PID)
    reset_engine(close=False)
    Process.heart = Heart(worker_name(), device_name(), num_gpus(), Usage(gpu_uuids()).read)
    Process.heart.start()
    Process.sweeper = Sweeper(get_settings().sweep_every_s)
    Process.sweeper.start()
    threading.Thread(target=_compile, name="compile", daemon=True).start()


def _compile() -> None:
    """Make the first job wait less; one that comes sooner waits for the loop it needs alone."""
    seconds = warm_up()
    log.info("loops over time are compiled", seconds=round(seconds, 1))


@worker_process_shutdown.connect
def _end(**_: object) -> None:
    Process.sweeper.stop()
    Process.heart.stop()


@worker_shutting_down.connect
def _drain(**_: object) -> None:
    start_draining()


def worker_name() -> str:
    """Host, command and slot, as it was told: the name stays when the process is replaced."""
    return os.environ.get("UNROLL_WORKER_NAME", f"{socket.gethostname()}-{os.getppid()}.1")


def device_name() -> str:
    """`cpu`, or the name of the card; asked in the child alone."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
