"""`python -m workers --concurrency N`: training processes under one main process."""

import argparse
import os

from shared.config import get_settings
from shared.logging import configure_logging
from shared.queue import QUEUE


def main() -> None:
    parser = argparse.ArgumentParser(description="Train queued jobs.")
    parser.add_argument(
        "--concurrency", type=int, default=1, help="jobs trained at once (default 1)"
    )
    arguments = parser.parse_args()
    if arguments.concurrency < 1:
        parser.error("--concurrency must be at least 1")
    os.environ["UNROLL_CONCURRENCY"] = str(arguments.concurrency)
    # threads that spin while they wait are 20 times slower where other processes want the cores
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    settings = get_settings()
    configure_logging(settings.log_level, as_json=settings.log_json)  # Celery warns before it asks
    from workers.app import app  # imports torch, which --help need not wait for

    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO"]
    pool = ["--pool=prefork", f"--concurrency={arguments.concurrency}", f"--queues={QUEUE}"]
    app.worker_main(["--quiet", "worker", *pool, *options, "--max-tasks-per-child=50"])


if __name__ == "__main__":
    main()
