"""What may come in a body: so many bytes, also once unpacked, and so deep. Knows no field of it."""

import re
import zlib
from collections.abc import Mapping

import numpy as np
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.errors import refusal
from shared.config import get_settings

MAX_DEPTH = 64  # of JSON; nothing of ours has more than ten levels
PLAIN, PACKED = ("", "identity"), ("gzip", "deflate")
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # told apart by the header
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
BRACKETS = b"[{]}"
STEPS = bytes.maketrans(BRACKETS, b"\x01\x01\xff\xff")  # +1 and -1, as signed bytes
NO_BRACKETS = bytes(set(range(256)) - set(BRACKETS))
NO_MARKS = bytes(set(NO_BRACKETS) - set(b'"'))


class BodyMiddleware:
    """Refuses what is too large, at once where its length is declared, else as it comes."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, str]) -> None:
        """`limits` names the setting that bounds the body at a path; elsewhere, max_body_bytes."""
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(scope["path"], is_held=is_json(headers))
        encoding = headers.get("content-encoding", "").lower()
        declared = headers.get("content-length", "0")
        if encoding not in (*PLAIN, *PACKED):
            await refusal(415, "unsupported_encoding", UNPACKED)(scope, receive, send)
        elif declared.isascii() and declared.isdigit() and int(declared) > limit:
            await refusal(413, "too_large", too_large(limit))(scope, receive, send)
        else:
            body = Body(receive, limit, is_packed=encoding in PACKED, is_json=is_json(headers))
            await self.app(scope, body.receive, send)

    def _limit(self, path: str, *, is_held: bool) -> int:
        """JSON is held in memory, so that larger limits are for other bodies."""
        settings = get_settings()
        limit: int = getattr(settings, self.limits.get(path, "max_body_bytes"))
        return min(limit, settings.max_body_bytes) if is_held else limit


class Body:
    """One request's body as it comes in; what it may not be is raised as `HTTPException`."""

    def __init__(self, receive: Receive, limit: int, *, is_packed: bool, is_json: bool) -> None:
        self._receive = receive
        self.limit = limit
        self.num_bytes = 0
        self.unpacker = zlib.decompressobj(GZIP_OR_ZLIB) if is_packed else None
        self.pieces: list[bytes] | None = [] if is_json else None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        data, is_last = message.get("body", b""), not message.get("more_body", False)
        if self.unpacker:
            data = self._unpacked(self.unpacker, data, is_last=is_last)
        self.num_bytes += len(data)
        if self.num_bytes > self.limit:
            raise HTTPException(413, too_large(self.limit))
        if self.pieces is not None:
            self.pieces.append(data)
            if is_last:
                check_depth(b"".join(self.pieces))
        return {**message, "body": data}

    def _unpacked(self, unpacker: "zlib._Decompress", data: bytes, *, is_last: bool) -> bytes:
        """At most one byte more than is allowed, however much is packed in there."""
        try:
            data = unpacker.decompress(data, self.limit - self.num_bytes + 1)
        except zlib.error as error:
            raise HTTPException(400, NOT_PACKED) from error
        is_over = self.num_bytes + len(data) > self.limit
        if not is_over and (unpacker.unused_data or (is_last and not unpacker.eof)):
            raise HTTPException(400, NOT_PACKED)
        return data


def is_json(headers: Headers) -> bool:
    return "json" in headers.get("content-type", "").lower()


def check_depth(body: bytes) -> None:
    """Raise 400 for JSON that is nested too deeply for what reads it."""
    if b"\\" not in body:  # then every quotation mark begins or ends a text
        body = body.translate(None, NO_MARKS)
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    steps = STRING.sub(b"", body).translate(STEPS, NO_BRACKETS)
    depth = np.frombuffer(steps, np.int8).cumsum(dtype=np.int64).max(initial=0)
    if depth > MAX_DEPTH:
        message = f"The body is not JSON that can be read: nested deeper than {MAX_DEPTH} levels."
        raise HTTPException(400, message)


UNPACKED = "Send the body as it is, or with 'Content-Encoding: gzip' or 'deflate'."
NOT_PACKED = "The body is not what its Content-Encoding says: one whole gzip or deflate stream."


def too_large(limit: int) -> str:
    return f"The body is larger than the {limit} bytes that are allowed here."
