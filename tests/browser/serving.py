"""The API in this process, on a port of its own, to be stopped and started at will."""

import threading
from types import TracebackType
from typing import Self

import uvicorn

from tests.servers import free_port, wait_for


class ServedApi:
    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        from services.api.app import create_app

        config = uvicorn.Config(
            create_app(),
            port=self.port,
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, name="api")
        self.thread.start()
        assert wait_for(lambda: self.server.started), "the API did not start"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive(), "the API did not stop"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
