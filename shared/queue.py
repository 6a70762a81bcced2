"""The broker: it carries job ids and nothing else, and losing all of it loses no job."""

from functools import lru_cache
from urllib.parse import urlsplit

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.exc import SQLAlchemyError

from shared.config import get_settings
from shared.db.engine import transaction
from shared.db.leases import LeaseStore
from shared.logging import get_logger

QUEUE = "unroll.train"
TRAIN = "unroll.train"
log = get_logger(__name__)


def broker_url(redis_url: str) -> str:
    """The same server in Celery's spelling, which writes sockets in its own way."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    credentials = parts.netloc.rpartition("@")[0]
    number = dict(p.split("=", 1) for p in parts.query.split("&") if "=" in p).get("db", "0")
    login = f"{credentials}@" if credentials else ""
    return f"redis+socket://{login}{parts.path}?virtual_host={number}"


@lru_cache
def make_celery() -> Celery:
    """Settings that matter: early acknowledgement, because the lease recovers lost work, not the
    broker; one message at a time; the broker may come and go."""
    app = Celery("unroll", broker=broker_url(get_settings().redis_url.get_secret_value()))
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_proc_alive_timeout=60.0,  # a child imports torch before it is ready
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    return app


@lru_cache
def get_redis() -> redis.Redis:
    """A connection for health and queue length; one try, because the callers try again."""
    url = get_settings().redis_url.get_secret_value()
    return redis.Redis.from_url(
        url, socket_timeout=5, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
    )


def wake_workers(job_ids: list[str]) -> None:
    """Tell workers that these committed jobs wait. A lost message is sent again by the sweeper.

    Nothing is raised while broker or database is away: the jobs are committed, and their
    submitter must not be told otherwise.
    """
    try:
        for job_id in job_ids:
            make_celery().send_task(TRAIN, args=[job_id], retry=False)
        with transaction() as db:
            LeaseStore(db).mark_sent(job_ids)
    except (OperationalError, redis.RedisError, OSError, SQLAlchemyError) as error:
        log.warning("not every wake-up was sent; the sweeper sends again", error=str(error))


def num_messages() -> int:
    """Messages that the broker holds."""
    return int(get_redis().llen(QUEUE))
