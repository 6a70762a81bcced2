"""Who may come in: whoever holds a key with the scope; without keys, this machine alone."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.http.errors import AWAY, away, refusal
from services.http.keys import Caller, KeyRefused, Keyring
from services.http.rates import RateLimiter, TooOften
from shared.config import is_loopback
from shared.db.viewer import NOBODY, current_viewer, view_as
from shared.scopes import Scope as KeyScope

bearer = HTTPBearer(auto_error=False, description="A key with the scope that the route needs")
GUARDED = ("/v1/", "/v2")
OPEN = ("/v2/health/",)  # as /healthz: whoever watches over processes holds no key
KEY_WANTED = "Send a key as 'Authorization: Bearer <key>'."
ScopeOf = Callable[[str, str], KeyScope]
"""The scope that a method needs at a path."""


class OpenToTheWorld(Exception):
    """A bind address that others can reach, and no key to keep them out."""


def check_bind(host: str, keyring: Keyring) -> None:
    """Raise `OpenToTheWorld` for an address beyond this machine without keys."""
    if not is_loopback(host) and keyring.is_open():
        raise OpenToTheWorld(
            f"Refusing to listen on {host} without keys: anyone who reaches it could use it. "
            "Make one with `unroll keys create` or set UNROLL_API_KEYS (comma-separated), "
            "or listen on 127.0.0.1."
        )


class KeyMiddleware:
    """Refuses strangers before a byte of their body is read; says for whom the others ask."""

    def __init__(
        self, app: ASGIApp, keyring: Keyring, limiter: RateLimiter, scope_of: ScopeOf
    ) -> None:
        self.app = app
        self.keyring = keyring
        self.limiter = limiter
        self.scope_of = scope_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = self.app
        if scope["type"] == "http":
            view_as(NOBODY)
            if scope["path"].startswith(GUARDED) and not scope["path"].startswith(OPEN):
                answer = await self._admitted(scope)
        await answer(scope, receive, send)

    async def _admitted(self, scope: Scope) -> ASGIApp:
        """The application, or what a caller without the right key is answered."""
        try:
            caller = self._at_once(scope)
            if caller is None:
                caller = await run_in_threadpool(self._counted, scope)
        except TooOften as fault:
            headers = {"Retry-After": str(fault.retry_after_s)}
            return refusal(429, "too_many_requests", str(fault), headers=headers)
        except KeyRefused as refused:
            message = f"{refused} {KEY_WANTED}".strip()
            headers = {"WWW-Authenticate": "Bearer"}
            return refusal(401, "unauthorized", message, headers=headers)
        except AWAY as error:
            return away(error)
        needed = self.scope_of(scope["method"], scope["path"])
        if not caller.may(needed):
            return refusal(403, "forbidden", lacks(needed))
        view_as(caller.viewer)
        return self.app

    def _at_once(self, scope: Scope) -> Caller | None:
        """Who asks, counted; None where the database or Valkey has to be asked."""
        caller = self.keyring.remembered(*_secret_of(scope))
        if caller is None or not self.limiter.take_kept(caller.key_id or address_of(scope)):
            return None
        return caller

    def _counted(self, scope: Scope) -> Caller:
        """Who asks; strangers are counted too, by their address."""
        try:
            caller = self.keyring.holder(*_secret_of(scope))
        except KeyRefused:
            self.limiter.take(address_of(scope))
            raise
        self.limiter.take(caller.key_id or address_of(scope))
        return caller


def _secret_of(scope: Scope) -> tuple[str, str]:
    """Scheme and secret, each perhaps empty."""
    return get_authorization_scheme_param(Headers(scope=scope).get("authorization"))


def address_of(scope: Scope) -> str:
    """Where a request comes from; a server on a socket has no address to tell."""
    host, _ = scope.get("client") or ("unknown", 0)
    return f"address.{host}"


def lacks(scope: KeyScope) -> str:
    return f"This key lacks the scope '{scope}', which is needed here; use one that has it."


async def require_key(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> str:
    """The owner that a request acts for, whom `KeyMiddleware` let in; it describes the scheme too."""
    viewer = current_viewer()
    if viewer == NOBODY:
        raise HTTPException(401, KEY_WANTED, headers={"WWW-Authenticate": "Bearer"})
    return viewer.owner


Owner = Annotated[str, Depends(require_key)]
