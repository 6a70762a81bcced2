"""A service over a real socket, for what a client in the same process cannot see: live streams."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from services.api.app import create_app
from tests.servers import free_port, wait_for


@contextmanager
def served_api() -> Iterator[str]:
    """The address of an API in a thread of this process."""
    with served(create_app()) as url:
        yield url


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of a service in a thread of this process."""
    port = free_port()
    config = uvicorn.Config(
        app, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=3
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served")
    thread.start()
    try:
        assert wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
