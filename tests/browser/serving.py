"""A service in this process, on a port of its own, to be stopped and started at will."""

import threading
from importlib import import_module
from types import TracebackType
from typing import Self

import uvicorn

from tests.servers import free_port, wait_for


class ServedApi:
    """The API, or another service by its module."""

    def __init__(self, module: str = "services.api.app") -> None:
        self.module = module
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = uvicorn.Config(
            import_module(self.module).create_app(),
            port=self.port,
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, name=self.module)
        self.thread.start()
        assert wait_for(lambda: self.server.started), f"{self.module} did not start"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive(), f"{self.module} did not stop"

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
