"""One Celery worker with one training process; everything it must know stands in its environment."""

import os

from shared.config import get_settings
from shared.logging import configure_logging
from shared.queue import QUEUE
from workers.orphans import die_with_parent

QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO")


def main() -> None:
    if "UNROLL_SUPERVISED" in os.environ:
        die_with_parent(int(os.environ["UNROLL_SUPERVISED"]))
    settings = get_settings()
    configure_logging(settings.log_level, as_json=settings.log_json)  # Celery warns before it asks
    from workers.app import app  # torch comes in here, after CUDA_VISIBLE_DEVICES was set

    name = os.environ.get("UNROLL_WORKER_NAME", "unroll")
    pool = ("--pool=prefork", "--concurrency=1", f"--queues={QUEUE}", f"--hostname={name}@%h")
    # a process that is replaced gives all memory back
    renewed = f"--max-tasks-per-child={settings.jobs_per_process}"
    app.worker_main(["--quiet", "worker", *pool, *QUIET, renewed])


if __name__ == "__main__":
    main()
