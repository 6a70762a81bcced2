"""Server-sent events as typed events: how the bytes are read, and where a broken stream goes on."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.client.errors import TimedOut, Unavailable, UnexpectedAnswer, Unreachable
from services.client.models import Event
from services.client.transport import Call, Transport

SILENCE_S = 60.0  # a stream without even a keep-alive for so long is taken for dead
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)  # between connections that brought nothing
AWAY = (httpx.TransportError, Unreachable, TimedOut, Unavailable)


@dataclass
class Message:
    """One block of a stream: the fields between two empty lines."""

    id: str = ""
    type: str = "message"
    data: list[str] = field(default_factory=list)


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines ended by LF, CRLF or CR alone: `str.splitlines` would also cut at U+2028 in JSON."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        whole = rest.removesuffix(b"\r")  # its LF may come with the next chunk
        *lines, last = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = last + rest[len(whole) :]
        for line in lines:
            yield line.decode()


def messages_of(lines: Iterable[str]) -> Iterator[Message]:
    """The messages that carry data; comments and unfinished messages are left out."""
    message = Message()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if message.data:
                yield message
            message = Message()
        elif name == "data":
            message.data.append(value)
        elif name == "id":
            message.id = value
        elif name == "event":
            message.type = value


def event_of(message: Message) -> Event:
    """`data` is a whole event, or an event's data alone."""
    data: dict[str, Any] = json.loads("\n".join(message.data))
    if data.get("object") == "event":
        return Event.of(data)
    return Event.of({"id": message.id, "object": "event", "type": message.type, "data": data})


@dataclass
class EventStream:
    """The events of one job, through reconnections, until its final status."""

    transport: Transport
    job_id: str
    ended: Callable[[], bool]
    """Whether the job has ended: a stream that only closes does not say."""
    last_event_id: str | None = None

    def __iter__(self) -> Iterator[Event]:
        """Raises `Unreachable` and the like once the service stays away through all pauses."""
        pauses = list(PAUSES_S)
        while True:
            try:
                for event in self._connected():
                    pauses = list(PAUSES_S)
                    yield event
                if self.ended():  # no final event says so: the job may have been tried again since
                    return
            except AWAY as fault:
                if not pauses:
                    raise _told(fault, self.transport.base_url) from fault
            self.transport.sleep(pauses.pop(0) if pauses else PAUSES_S[-1])

    def _connected(self) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream"}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        path = f"/v1/jobs/{self.job_id}/events/stream"
        call = Call("GET", path, headers=headers, read_timeout_s=SILENCE_S)
        with closing(self.transport.send(call, stream=True)) as response:
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise UnexpectedAnswer(f"{response.url} is no event stream; check the URL")
            for message in messages_of(lines_of(response.iter_bytes())):
                event = event_of(message)
                self.last_event_id = message.id or self.last_event_id
                yield event


def _told(fault: Exception, url: str) -> Exception:
    return Unreachable(url, str(fault)) if isinstance(fault, httpx.TransportError) else fault
