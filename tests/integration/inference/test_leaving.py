"""Callers who leave before their answer: their work ends, and nothing of it stays behind."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from services.inference.generation import writer as writing
from services.inference.generation.router import Room
from services.inference.registry import Loaded
from services.inference.sessions.engine import Sessions

Message = dict[str, Any]


class Caller:
    """A connection of ASGI that can be cut."""

    def __init__(self, path: str, body: dict[str, Any]) -> None:
        self.body = json.dumps(body).encode()
        self.is_sent = False
        self.left, self.answered = asyncio.Event(), asyncio.Event()
        self.messages: list[Message] = []
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
        }

    async def receive(self) -> Message:
        if not self.is_sent:
            self.is_sent = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if message.get("body"):
            self.answered.set()


async def tasks_of(app: FastAPI, callers: list[Caller]) -> set["asyncio.Task[Any]"]:
    """What is still under way once all callers are served or gone."""
    before = asyncio.all_tasks()
    requests = [asyncio.create_task(app(c.scope, c.receive, c.send)) for c in callers]
    await asyncio.wait_for(asyncio.gather(*requests), 120)
    return asyncio.all_tasks() - before - set(requests)


def test_a_text_is_written_no_further_than_its_reader_stays(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[int] = []
    begun = threading.Event()
    write = writing.TextWriter.__iter__

    def watched(self: writing.TextWriter) -> Iterator[Any]:
        try:
            for event in write(self):
                begun.set()
                yield event
        finally:
            ends.append(len(self.logprobs))

    monkeypatch.setattr(writing.TextWriter, "__iter__", watched)
    options = {"max_length": 100_000}

    async def leave_at_the_first_word(stream: bool) -> set["asyncio.Task[Any]"]:
        body = {"input": "to be", "options": options, "stream": stream}
        caller = Caller("/v1/models/stream/generate", body)
        first = caller.answered.wait() if stream else asyncio.to_thread(begun.wait, 60)
        asyncio.create_task(first).add_done_callback(lambda _: caller.left.set())
        return await tasks_of(client.app, [caller])  # type: ignore[arg-type]

    for stream in (True, False):
        begun.clear()
        assert asyncio.run(leave_at_the_first_word(stream)) == set()
    room: Room = client.app.state.room  # type: ignore[attr-defined]

    assert [0 < length < 100_000 for length in ends] == [True, True]
    assert room.num_taken == 0


def test_hundreds_of_callers_some_of_whom_leave_early_leave_no_task_behind(
    client: TestClient,
) -> None:
    sessions: Sessions = client.app.state.sessions  # type: ignore[attr-defined]
    session = client.post("/v1/models/tags/sessions").json()

    async def ask() -> tuple[list[Caller], set["asyncio.Task[Any]"]]:
        paths = ("/v1/models/tags/predict", f"/v1/sessions/{session['id']}/step")
        callers = [Caller(paths[n % 2], {"inputs": ["x"]}) for n in range(400)]
        for caller in callers[::50]:
            caller.left.set()
        return callers, await tasks_of(client.app, callers)  # type: ignore[arg-type]

    callers, remaining = asyncio.run(ask())
    stayed = [caller for caller in callers if not caller.left.is_set()]

    assert remaining == set()
    assert {caller.messages[0]["status"] for caller in stayed} == {200}
    assert sessions.ticks.num_waiting == 0
    model: Loaded = client.app.state.registry.get("tags")  # type: ignore[attr-defined]
    assert model.name == "tags"
