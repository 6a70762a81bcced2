"""A service that says what a test told it to, over a real socket, and remembers what it was asked."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CREATED = "2026-01-02T03:04:05Z"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    """JSON, or bytes as they are."""
    headers: dict[str, str] = field(default_factory=dict)
    breaks_off: bool = False
    """Whether the connection ends without an answer."""


class Stub:
    """`on` scripts a route; its last answer is given again and again."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self.requests: list[Request] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer()

            do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

            def answer(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                query = parse_qs(parts.query)
                request = Request(self.command, parts.path, query, self.headers, body)
                send(self, stub.next_answer(request))

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def on(self, method: str, path: str, *answers: Answer | dict[str, Any]) -> None:
        given = [a if isinstance(a, Answer) else Answer(body=a) for a in answers]
        self.answers[method, path] = given

    def next_answer(self, request: Request) -> Answer:
        self.requests.append(request)
        script = self.answers.get((request.method, request.path))
        if not script:
            return error(404, "not_found", f"There is nothing at {request.path}.")
        return script.pop(0) if len(script) > 1 else script[0]

    def asked(self, method: str, path: str) -> list[Request]:
        return [r for r in self.requests if (r.method, r.path) == (method, path)]


def send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    if answer.breaks_off:
        handler.close_connection = True
        return
    is_raw = isinstance(answer.body, bytes)
    body = answer.body if is_raw else json.dumps(answer.body, ensure_ascii=False).encode()
    handler.send_response(answer.status)
    for name, value in {"content-type": "application/json", **answer.headers}.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def running_stub() -> Iterator[Stub]:
    stub = Stub()
    thread = threading.Thread(target=stub.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        stub.server.shutdown()
        thread.join()
        stub.server.server_close()


def error(status: int, code: str, message: str, **more: Any) -> Answer:
    headers = more.pop("headers", {})
    envelope = {"code": code, "message": message, "param": None, "request_id": "req_1", **more}
    return Answer(status, {"error": envelope}, headers)


def listing(*items: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    ids = [item.get("id", item.get("name", item.get("type"))) for item in items]
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    page = {"object": "list", "data": list(items), "first_id": first, "last_id": last}
    return {**page, "has_more": has_more}


def job_json(status: str = "queued", job_id: str = "job_1", **changes: Any) -> dict[str, Any]:
    return {
        "id": job_id,
        "object": "job",
        "name": "names",
        "status": status,
        "status_reason": None,
        "spec": {
            "dataset": "surnames",
            "mapping": "many_to_one",
            "network": {"cell": {"type": "lstm"}, "hidden_size": 8, "num_layers": 1},
            "model_name": "names",
        },
        "seed": 1,
        "dataset_id": "ds_1",
        "created_at": CREATED,
        "queued_at": CREATED,
        "started_at": None,
        "finished_at": None,
        "queue_position": 1 if status == "queued" else None,
        "progress": {"step": 0, "total_steps": 10, "epoch": 0, "epochs": 2, "fraction": 0.0},
        "best": None,
        "latest": {},
        "attempts": [],
        "error": None,
        "model": None,
        "weights_sha256": None,
        "kernel": None,
        "urls": {"dashboard": f"/jobs/{job_id}"},
        "added_later": {"kept": "ü"},
        **changes,
    }


def dataset_json(name: str = "surnames") -> dict[str, Any]:
    return {
        "id": f"ds_{name}",
        "object": "dataset",
        "name": name,
        "source": "builtin",
        "format": "jsonl",
        "bytes": 12_345,
        "sha256": "ab",
        "splits": {"train": 8, "val": 1, "test": 1},
        "schema": {
            "input": {"kind": "tokens", "vocabulary_size": 30},
            "target": {"kind": "class", "size": 17},
        },
        "lengths": {"min": 1, "median": 5, "p95": 9, "max": 12},
        "mappings": ["many_to_one"],
        "created_at": CREATED,
    }


def model_json(name: str = "names") -> dict[str, Any]:
    version = {
        "version": 1,
        "job_id": "job_1",
        "checkpoint_id": "ckpt_1",
        "dataset": "surnames",
        "network": {"cell": {"type": "lstm"}},
        "mapping": "many_to_one",
        "metrics": {"val/loss": 0.5},
        "num_parameters": 1234,
        "weights_sha256": "cd",
        "created_at": CREATED,
    }
    return {"name": name, "object": "model", "latest_version": 1, "versions": [version]}


def event_stream(*events: tuple[str, str, dict[str, Any]]) -> Answer:
    """Events as (id, type, data), with a comment before each, as a keep-alive is one."""
    blocks = [
        f": keep-alive\n\nid: {id_}\nevent: {type_}\ndata: {json.dumps(data)}\n\n"
        for id_, type_, data in events
    ]
    return Answer(200, "".join(blocks).encode(), {"content-type": "text/event-stream"})
