"""A load of HTTP requests on loopback, by plain sockets, so that the client costs little. Knows no server."""

import asyncio
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count

import numpy as np


@dataclass(frozen=True, slots=True)
class Request:
    """A POST of JSON, or of JSON and the bytes of tensors behind it."""

    path: str
    body: bytes
    headers: tuple[str, ...] = ("Content-Type: application/json",)

    def wire(self, port: int) -> bytes:
        lines = (
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            *self.headers,
            f"Content-Length: {len(self.body)}",
        )
        return "\r\n".join((*lines, "", "")).encode() + self.body


@dataclass
class Load:
    """What came of it."""

    seconds: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    num_failed: int = 0
    num_left: int = 0
    lasted_s: float = 0.0

    @property
    def per_s(self) -> float:
        return len(self.seconds) / self.lasted_s

    def quantile_ms(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent)) * 1e3


def run_load(
    port: int,
    requests: Sequence[Request],
    num_clients: int,
    budget_s: float,
    num_requests: int | None = None,
    leave_every: int | None = None,
) -> Load:
    """Send the requests in turn, over and over, from so many clients that each wait for their answer.

    One in `leave_every` requests is left alone: its connection is cut once it was sent.
    """
    wires = [request.wire(port) for request in requests]
    return asyncio.run(_load(port, wires, num_clients, budget_s, num_requests, leave_every))


async def _load(
    port: int,
    wires: Sequence[bytes],
    num_clients: int,
    budget_s: float,
    num_requests: int | None,
    leave_every: int | None,
) -> Load:
    load, turns = Load(), count()
    started = time.perf_counter()
    until = started + budget_s

    async def client() -> None:
        while await connection():
            load.num_left += 1

    async def connection() -> bool:
        """Whether it was cut before its end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            while time.perf_counter() < until and (turn := next(turns)) < (num_requests or 10**9):
                begun = time.perf_counter()
                writer.write(wires[turn % len(wires)])
                if leave_every and turn % leave_every == 0:
                    await writer.drain()
                    return True
                status, body = await _answer(reader)
                load.seconds.append(time.perf_counter() - begun)
                load.num_failed += status >= 400
                if num_requests is not None:
                    load.bodies.append(body)
        return False

    await asyncio.gather(*(client() for _ in range(num_clients)))
    load.lasted_s = time.perf_counter() - started
    return load


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return status, await reader.readexactly(int(lengths[0].partition(b":")[2]))


def is_up(port: int, path: str) -> bool:
    """Whether a server answers 200 there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
            return b" 200 " in connection.recv(64)
    except OSError:
        return False
