"""`python -m workers`: as many training processes as asked for, each with devices of its own."""

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from shared.config import get_settings
from shared.logging import configure_logging
from workers import serve
from workers.devices import BadDevice, count_gpus, gpus_for, process_environment, share_out
from workers.supervisor import Slot, Supervisor

CELERY = (sys.executable, "-m", "workers.serve")


def main() -> None:
    settings = get_settings()
    configure_logging(settings.log_level, as_json=settings.log_json)
    environments = _environments(sys.argv[1:])
    if len(environments) == 1:
        os.environ.update(environments[0])
        serve.main()  # nothing to supervise
    else:
        Supervisor([Slot(CELERY, os.environ | changes) for changes in environments]).run()


def _environments(arguments: Sequence[str]) -> list[dict[str, str]]:
    """What each training process is told; a wish that cannot be granted ends us with status 2."""
    parser = argparse.ArgumentParser(prog="unroll worker", description="Train queued jobs.")
    parser.add_argument(
        "--concurrency", type=int, help="jobs trained at a time (default: one a GPU, else 1)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, or as cuda:0,cuda:1")
    wanted = parser.parse_args(arguments)
    if wanted.concurrency is not None and wanted.concurrency < 1:
        parser.error("--concurrency must be at least 1")
    try:
        gpus = gpus_for(wanted.device, 0 if wanted.device == "cpu" else count_gpus())
        shares = share_out(gpus, wanted.concurrency)
    except BadDevice as fault:
        parser.error(str(fault))
    name = f"{socket.gethostname()}-{os.getpid()}"
    return [
        process_environment(slot, share, len(shares), name) for slot, share in enumerate(shares, 1)
    ]


if __name__ == "__main__":
    main()
