"""What may come in a body: so many bytes. Knows no field of it."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.errors import refusal
from shared.config import get_settings


class BodyMiddleware:
    """Refuses a body that is too large: at once where its length is declared, else as it comes."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, str]) -> None:
        """`limits` names the setting that bounds the body at a path; elsewhere, max_body_bytes."""
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared) > limit:
            await refusal(413, "too_large", too_large(limit))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, too_large(limit))
            return message

        await self.app(scope, counted, send)

    def _limit(self, path: str) -> int:
        limit: int = getattr(get_settings(), self.limits.get(path, "max_body_bytes"))
        return limit


def too_large(limit: int) -> str:
    return f"The body is larger than the {limit} bytes that are allowed here."
